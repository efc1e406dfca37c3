package codec

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// ErrNoColumns tells that a header line cannot be written since nobody says what it is to hold.
var ErrNoColumns = errors.New("a header line above lines needs columns")

// Lined is the format where each payload is one line of a file or stream. Of CSV, a payload is then a row alone: head is the line that
// stands once above all of them, nil where there is none. Other formats stay as they are.
func (f *Format) Lined() (lined *Format, head []byte, err error) {
	c, ok := f.Coder.(*csvCoder)
	if !ok {
		return f, nil, nil
	}
	o := c.CSVOptions
	if o.Header {
		if o.Columns == nil {
			return nil, nil, ErrNoColumns
		}
		if head, err = c.line(toAny(o.Columns), nil); err != nil {
			return nil, nil, err
		}
		o.Header = false
	}
	return f.with(&csvLine{csvCoder{o}}), head, nil
}

// Headed tells whether the first line of a file says how its other lines read.
func (f *Format) Headed() bool {
	c, ok := f.Coder.(*csvCoder)
	return ok && c.Header
}

// Under makes the coder of the lines that stand under a header line; what is wrong with that line is the error of each of them.
func (f *Format) Under(header []byte) document.Coder {
	c, ok := f.Coder.(*csvCoder)
	if !ok {
		return f.Coder
	}
	o := c.CSVOptions
	o.Header, o.Columns = false, nil
	rows, err := (&csvCoder{CSVOptions{Delimiter: o.Delimiter}}).Decode(header)
	switch {
	case err != nil:
		return headless{fmt.Errorf("the header line: %w", err)}
	case len(rows.List()) != 1:
		return headless{errors.New("the header line is no row of CSV")}
	}
	fields, _ := rows.List()[0].([]any)
	for _, x := range fields {
		name, _ := x.(string)
		o.Columns = append(o.Columns, strings.Clone(name))
	}
	if name, twice := repeated(o.Columns); twice {
		return headless{fmt.Errorf("the header names the column %q twice", name)}
	}
	return &csvLine{csvCoder{o}}
}

func (f *Format) with(c document.Coder) *Format {
	other := *f
	other.Coder = c
	return &other
}

// csvLine is CSV of which each payload is one row, without an end.
type csvLine struct{ csvCoder }

// Append writes one row. A list of one row is that row.
func (c *csvLine) Append(dst []byte, v value.Value) ([]byte, error) {
	row := v.Box()
	if v.Kind() == value.KindList && (c.Columns != nil || !isFlat(v.List())) {
		if n := len(v.List()); n != 1 {
			return dst, fmt.Errorf("the body has %d rows, and a line is one; write split: body before", n)
		}
		row = v.List()[0]
	}
	line, err := c.line(row, c.Columns)
	if err != nil {
		return dst, err
	}
	return append(dst, line...), nil
}

// line is a row without its end.
func (c *csvCoder) line(row any, columns []string) ([]byte, error) {
	fields, err := (&csvCoder{CSVOptions{Columns: columns, Delimiter: c.Delimiter}}).fields(row, columns)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(fields, func(s string) bool { return strings.ContainsRune(s, '\n') }); i >= 0 {
		place := fmt.Sprintf("field %d", i+1)
		if columns != nil {
			place = fmt.Sprintf("column %q", columns[i])
		}
		return nil, fmt.Errorf("%s holds a newline, and a row is one line here", place)
	}
	out := &bytes.Buffer{}
	w := csv.NewWriter(out)
	w.Comma = c.Delimiter
	if err := writeRow(w, out, fields); err != nil {
		return nil, err
	}
	w.Flush()
	text := bytes.TrimSuffix(out.Bytes(), []byte{'\n'})
	if bytes.HasPrefix(text, []byte(byteOrderMark)) { // a reader would take it for a mark
		text = append([]byte(byteOrderMark), text...)
	}
	return text, w.Error()
}

func toAny(names []string) []any {
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	return list
}

// headless is the coder of lines whose header is broken.
type headless struct{ err error }

func (h headless) Decode([]byte) (value.Value, error) { return value.Value{}, h.err }

func (h headless) Append(dst []byte, _ value.Value) ([]byte, error) { return dst, h.err }
