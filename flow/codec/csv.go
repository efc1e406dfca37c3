package codec

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// CSVOptions are what a file says of its CSV.
type CSVOptions struct {
	// Header: the first line names the columns.
	Header bool
	// Columns names the columns where no line does; beside Header it is the order in which they are written. Without either, a row is a list.
	Columns []string
	// Delimiter stands between fields; 0 is a comma.
	Delimiter rune
	// Types of columns by name: int, float, bool or string.
	Types map[string]string
}

// CSV is rows of fields, as RFC 4180 has them: the body is always a list, of one map of names to texts per row, or of one list.
func CSV(o CSVOptions) (*Format, error) {
	if o.Delimiter == 0 {
		o.Delimiter = ','
	}
	if r := o.Delimiter; r == '"' || r == '\r' || r == '\n' || r == utf8.RuneError {
		return nil, fmt.Errorf("the delimiter %q cannot be told from what CSV is made of", r)
	}
	for _, name := range sortedKeys(o.Types) {
		if len(o.Columns) > 0 && !slices.Contains(o.Columns, name) {
			return nil, fmt.Errorf("types names the column %q, which there is not", name)
		}
	}
	if name, twice := repeated(o.Columns); twice {
		return nil, fmt.Errorf("the column %q is named twice", name)
	}
	return &Format{Name: "csv", Kind: document.Coded, Coder: &csvCoder{o}, Media: "text/csv", Text: true}, nil
}

func repeated(names []string) (string, bool) {
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if seen[n] {
			return n, true
		}
		seen[n] = true
	}
	return "", false
}

type csvCoder struct{ CSVOptions }

func (c *csvCoder) Decode(payload []byte) (value.Value, error) {
	if !utf8.Valid(payload) {
		return value.Value{}, errors.New("it holds bytes that are not UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(keepReturns(bytes.TrimPrefix(payload, []byte(byteOrderMark)))))
	r.Comma, r.ReuseRecord, r.FieldsPerRecord = c.Delimiter, true, -1
	columns := c.Columns
	if c.Header {
		first, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return value.List([]any{}), nil
		case err != nil:
			return value.Value{}, csvError(err)
		}
		columns = slices.Clone(first)
		if name, twice := repeated(columns); twice {
			return value.Value{}, fmt.Errorf("the header names the column %q twice", name)
		}
	}
	rows, left := []any{}, newBudget()
	for {
		fields, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return value.List(rows), nil
		case err != nil:
			return value.Value{}, csvError(err)
		}
		n := len(fields) + 1
		if columns != nil {
			n += mapValues
		}
		if err := left.take(n); err != nil {
			return value.Value{}, err
		}
		row, err := c.row(columns, fields)
		if err != nil {
			line, _ := r.FieldPos(0)
			return value.Value{}, fmt.Errorf("row %d (line %d): %w", len(rows)+1, line, err)
		}
		rows = append(rows, row)
	}
}

// keepReturns doubles each carriage return that stands before a newline within quotes, since the reader takes one away everywhere, and there
// it is part of a field.
func keepReturns(text []byte) []byte {
	if !bytes.Contains(text, []byte("\r\n")) || bytes.IndexByte(text, '"') < 0 {
		return text
	}
	out, quoted := make([]byte, 0, len(text)+len(text)/16), false
	for i, c := range text {
		if c == '"' {
			quoted = !quoted // a quote that is part of a field is doubled, and so changes nothing
		}
		if out = append(out, c); quoted && c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			out = append(out, c)
		}
	}
	return out
}

func csvError(err error) error {
	var e *csv.ParseError
	if errors.As(err, &e) {
		return fmt.Errorf("line %d, column %d: %w", e.Line, e.Column, e.Err)
	}
	return err
}

func (c *csvCoder) row(columns, fields []string) (any, error) {
	if !c.Header && columns == nil {
		list := make([]any, len(fields))
		for i, f := range fields {
			list[i] = f
		}
		return list, nil
	}
	if len(fields) != len(columns) {
		return nil, fmt.Errorf("it has %d fields, and there are %d columns", len(fields), len(columns))
	}
	m := make(map[string]any, len(fields))
	for i, f := range fields {
		x, err := typed(f, c.Types[columns[i]])
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", columns[i], err)
		}
		m[columns[i]] = x
	}
	return m, nil
}

// typed reads a field; an empty one of a type other than text is nil.
func typed(text, as string) (any, error) {
	if as == "" || as == "string" {
		return text, nil
	}
	if text == "" {
		return nil, nil
	}
	switch as {
	case "int":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%.40q is no whole number of 64 bits", text)
		}
		return int(n), nil
	case "float":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%.40q is no number", text)
		}
		return f, nil
	}
	if text != "true" && text != "false" {
		return nil, fmt.Errorf("%.40q is neither true nor false", text)
	}
	return text == "true", nil
}

func (c *csvCoder) Append(dst []byte, v value.Value) ([]byte, error) {
	start, rows := len(dst), []any{v.Box()}
	if v.Kind() == value.KindList && (c.Header || c.Columns != nil || !isFlat(v.List())) {
		rows = v.List()
	}
	out := bytes.NewBuffer(dst)
	w := csv.NewWriter(out)
	w.Comma = c.Delimiter
	columns, err := c.columnsOf(rows)
	if err != nil {
		return dst, err
	}
	if c.Header {
		if err := writeRow(w, out, columns); err != nil {
			return dst, err
		}
	}
	for i, row := range rows {
		fields, err := c.fields(row, columns)
		if err == nil {
			err = writeRow(w, out, fields)
		}
		if err != nil {
			return dst, fmt.Errorf("row %d: %w", i+1, err)
		}
	}
	w.Flush()
	text := out.Bytes()
	if bytes.HasPrefix(text[start:], []byte(byteOrderMark)) { // a reader would take it for a mark
		text = slices.Insert(text, start, []byte(byteOrderMark)...)
	}
	return text, w.Error()
}

// byteOrderMark may stand before a text, as spreadsheets write it.
const byteOrderMark = "\uFEFF"

// writeRow writes a row; the one of a single empty field in quotes, since a blank line is no row.
func writeRow(w *csv.Writer, out *bytes.Buffer, fields []string) error {
	if len(fields) == 0 || len(fields) == 1 && fields[0] == "" {
		if len(fields) == 0 {
			return errors.New("a row without fields cannot be written as CSV")
		}
		w.Flush()
		_, err := out.WriteString("\"\"\n")
		return err
	}
	return w.Write(fields)
}

// isFlat tells whether a list is one row: a list of rows holds lists and maps only.
func isFlat(l []any) bool {
	for _, x := range l {
		switch x.(type) {
		case []any, map[string]any:
			return false
		}
	}
	return len(l) > 0
}

// columnsOf are the columns in the order in which they are written; nil where rows are lists.
func (c *csvCoder) columnsOf(rows []any) ([]string, error) {
	if c.Columns != nil || !c.Header {
		return c.Columns, nil
	}
	names := map[string]bool{}
	for i, row := range rows {
		m, ok := row.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("row %d is %s, and must be a map of columns", i+1, value.Unbox(row).Kind())
		}
		for name := range m {
			names[name] = true
		}
	}
	return sortedKeys(names), nil
}

func (c *csvCoder) fields(row any, columns []string) ([]string, error) {
	if l, ok := row.([]any); ok && !c.Header && c.Columns == nil {
		fields := make([]string, len(l))
		for i, x := range l {
			var err error
			if fields[i], err = fieldOf(value.Unbox(x)); err != nil {
				return nil, fmt.Errorf("field %d: %w", i+1, err)
			}
		}
		return fields, nil
	}
	m, ok := row.(map[string]any)
	if !ok || columns == nil {
		return nil, fmt.Errorf("it is %s, and must be a %s", value.Unbox(row).Kind(), map[bool]string{true: "map of columns", false: "list of fields"}[columns != nil])
	}
	fields, found := make([]string, len(columns)), 0
	for i, name := range columns {
		x, there := m[name]
		if there {
			found++
		}
		var err error
		if fields[i], err = fieldOf(value.Unbox(x)); err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
	}
	if found < len(m) {
		for _, name := range sortedKeys(m) {
			if !slices.Contains(columns, name) {
				return nil, fmt.Errorf("there is no column for %q; the columns are %s", name, strings.Join(columns, ", "))
			}
		}
	}
	return fields, nil
}

// fieldOf is a value as a field. nil is an empty one.
func fieldOf(v value.Value) (string, error) {
	switch v.Kind() {
	case value.KindNil:
		return "", nil
	case value.KindString:
		if !utf8.ValidString(v.Str()) {
			return "", errors.New("a string that is not UTF-8 cannot be written as CSV")
		}
		return v.Str(), nil
	case value.KindTime:
		return v.Time().UTC().Format(time.RFC3339Nano), nil
	case value.KindDuration:
		return v.Duration().String(), nil
	case value.KindBool, value.KindInt, value.KindFloat:
		text, err := value.AppendJSON(nil, v)
		return string(text), err
	default:
		return "", fmt.Errorf("%s cannot be written as CSV", v.Kind())
	}
}
