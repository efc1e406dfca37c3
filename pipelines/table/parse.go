package table

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

// parser collects the rows of one file.
type parser struct {
	spec     *Spec
	text     []byte
	rows     map[string]any
	places   map[string]int // where the row of each key stands
	columns  map[string]bool
	problems []Problem
}

func (p *parser) whole(message, hint string) {
	p.problems = append(p.problems, Problem{About: AboutFile, Message: message, Hint: hint})
}

// full tells that enough has been said about the rows.
func (p *parser) full() bool { return len(p.problems) >= maxProblems }

// at is a problem about the bytes of the text from offset on.
func (p *parser) at(from, to int, message, hint string) {
	if p.full() {
		return
	}
	from = min(from, len(p.text))
	start := bytes.LastIndexByte(p.text[:from], '\n') + 1
	end := from
	for end < len(p.text) && end < to && p.text[end] != '\n' && p.text[end] != '\r' {
		end++
	}
	p.problems = append(p.problems, Problem{
		Line: 1 + bytes.Count(p.text[:start], []byte("\n")), Col: 1 + utf8.RuneCount(p.text[start:from]),
		Width: max(1, utf8.RuneCount(p.text[from:end])), Message: message, Hint: hint,
	})
}

// csv reads a header and a row a record.
func (p *parser) csv() {
	p.text = bytes.TrimPrefix(p.text, []byte("\ufeff"))
	if !utf8.Valid(p.text) {
		p.whole("the file is not UTF-8", "")
		return
	}
	r := csv.NewReader(bytes.NewReader(p.text))
	r.ReuseRecord, r.FieldsPerRecord = true, -1
	lines := lineStarts(p.text)
	record, err := r.Read()
	if err != nil {
		p.csvError(err, lines, "the file has no header")
		return
	}
	header := slices.Clone(record)
	for i, name := range header {
		if slices.Contains(header[:i], name) {
			line, col := r.FieldPos(i)
			p.at(lines[line-1]+col-1, lines[line-1]+col-1+len(name), fmt.Sprintf("the column %q stands twice in the header", name), "rename one of the two")
		}
		p.columns[name] = true
	}
	if len(p.problems) > 0 || !p.checkColumns() {
		return
	}
	for !p.full() {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.csvError(err, lines, "")
			return
		}
		line, _ := r.FieldPos(0)
		if len(record) != len(header) {
			p.at(lines[line-1], len(p.text), fmt.Sprintf("the row has %d cells, and the header %d", len(record), len(header)), "")
			continue
		}
		p.csvRow(r, lines, header, record)
	}
}

func (p *parser) csvRow(r *csv.Reader, lines []int, header, record []string) {
	row := make(map[string]any, len(header))
	good, keyAt, keyWidth := true, 0, 0
	for i, name := range header {
		line, col := r.FieldPos(i)
		at := lines[line-1] + col - 1
		x, ok := cell(record[i], p.spec.Types[name])
		if !ok {
			p.at(at, at+max(1, len(record[i])), fmt.Sprintf("%s must be %s, found %q", name, named(p.spec.Types[name]), record[i]), "")
			good = false
		}
		if name == p.spec.Key {
			keyAt, keyWidth = at, max(1, len(record[i]))
		}
		row[name] = x
	}
	if good {
		p.add(row, keyAt, keyWidth)
	}
}

func (p *parser) csvError(err error, lines []int, empty string) {
	var e *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		p.whole(empty, "write the names of the columns in the first line")
	case errors.Is(err, csv.ErrQuote) && errors.As(err, &e):
		at := lines[e.StartLine-1]
		p.at(at, len(p.text), "a quoted cell that begins here is never closed, or has text behind its last quote", `of a quote within quotes write two: ""`)
	case errors.As(err, &e) && e.Line <= len(lines):
		at := lines[e.Line-1] + max(0, e.Column-1)
		p.at(at, at+1, "a quote within a cell without quotes", `put the whole cell in quotes, and write "" for one`)
	default:
		p.whole(err.Error(), "")
	}
}

// cell reads the text of a CSV cell. An empty one of a type other than string is nil.
func cell(text string, t Type) (x any, ok bool) {
	if text == "" && t != "" && t != String {
		return nil, true
	}
	switch t {
	case Int:
		i, err := strconv.Atoi(text)
		return i, err == nil
	case Float:
		v, err := value.ParseJSON([]byte(text))
		switch {
		case err != nil || !v.IsNumber():
			return nil, false
		case v.Kind() == value.KindInt:
			return float64(v.Int()), true
		}
		return v.Float(), true
	case Bool:
		return text == "true", text == "true" || text == "false"
	case String:
	}
	return text, true
}

func named(t Type) string {
	switch t {
	case Int:
		return "an int"
	case Bool:
		return "true or false"
	case Float, String:
	}
	return "a " + string(t)
}

// json reads a list of objects.
func (p *parser) json() {
	if end := syntax.Check(p.text); end < 0 {
		p.fault(syntax.Fault(end), 0)
		return
	}
	at := syntax.Space(p.text, 0)
	if at >= len(p.text) || p.text[at] != '[' {
		p.at(at, at+1, "the file must hold a list of objects", "write [{…}, {…}]; a file with an object a line is named .ndjson")
		return
	}
	end := syntax.Skip(p.text, at, 0)
	if end < 0 {
		p.fault(syntax.Fault(end), 0)
		return
	}
	if rest := syntax.Space(p.text, end); rest < len(p.text) {
		p.at(rest, rest+1, "there is something behind the list", "")
		return
	}
	for at = syntax.Space(p.text, at+1); p.text[at] != ']' && !p.full(); {
		end := syntax.Skip(p.text, at, 1)
		p.object(at, end)
		if at = syntax.Space(p.text, end); p.text[at] == ',' {
			at = syntax.Space(p.text, at+1)
		}
	}
	p.checkColumns()
}

// lined reads an object a line.
func (p *parser) lined() {
	for from := 0; from < len(p.text) && !p.full(); {
		end := from + bytes.IndexByte(p.text[from:], '\n')
		if end < from {
			end = len(p.text)
		}
		if at := from + len(p.text[from:end]) - len(bytes.TrimLeft(p.text[from:end], " \t\r")); at < end {
			p.object(at, from+len(bytes.TrimRight(p.text[from:end], " \t\r")))
		}
		from = end + 1
	}
	p.checkColumns()
}

func (p *parser) fault(e *syntax.Error, base int) {
	p.at(base+e.Offset, base+e.Offset+1, "this is no JSON: "+e.Reason, "")
}

// object takes one row of JSON.
func (p *parser) object(from, to int) {
	v, err := value.ParseJSON(p.text[from:to])
	var e *syntax.Error
	switch {
	case errors.As(err, &e):
		p.fault(e, from)
		return
	case err != nil:
		p.at(from, to, "this is no JSON: "+err.Error(), "")
		return
	case v.Kind() != value.KindMap:
		p.at(from, to, fmt.Sprintf("a row is an object, and this is %s", v.Kind()), "")
		return
	}
	row, _ := value.Own(v).Box().(map[string]any)
	good := true
	for _, name := range sorted(row) {
		p.columns[name] = true
		x, ok := member(row[name], p.spec.Types[name])
		if !ok {
			p.at(from, to, fmt.Sprintf("%s must be %s, found %s", name, named(p.spec.Types[name]), shown(row[name])), "")
			good = false
		}
		row[name] = x
	}
	if _, keyed := row[p.spec.Key]; !keyed {
		p.at(from, to, fmt.Sprintf("the row has no %q, which is the key", p.spec.Key), "")
		return
	}
	if good {
		p.add(row, from, to-from)
	}
}

// member checks what JSON gives against the type of its column. Of a whole number a float is made where one is wanted.
func member(x any, t Type) (any, bool) {
	switch x := x.(type) {
	case nil:
		return nil, true
	case int:
		if t == Float {
			return float64(x), true
		}
		return x, t == "" || t == Int
	case float64:
		return x, t == "" || t == Float
	case bool:
		return x, t == "" || t == Bool
	case string:
		return x, t == "" || t == String
	}
	return x, t == ""
}

func shown(x any) string {
	v, err := value.FromAny(x)
	if err != nil {
		return "something else"
	}
	text, err := value.AppendJSON(nil, v)
	if err != nil || len(text) > 40 {
		return "a " + v.Kind().String()
	}
	return string(text)
}

// add puts a row under its key.
func (p *parser) add(row map[string]any, at, width int) {
	key, ok := keyText(row[p.spec.Key])
	if !ok {
		p.at(at, at+width, fmt.Sprintf("the key %s must be text, an int or a bool, and not empty", p.spec.Key), "")
		return
	}
	if first, taken := p.places[key]; taken {
		p.at(at, at+width, fmt.Sprintf("the key %q stands twice", key), fmt.Sprintf("line %d has it first", 1+bytes.Count(p.text[:first], []byte("\n"))))
		p.problems[len(p.problems)-1].Duplicate = true
		return
	}
	p.rows[key], p.places[key] = row, at
}

// keyText is the text that a row is found by.
func keyText(x any) (string, bool) {
	switch x := x.(type) {
	case string:
		return x, x != ""
	case int:
		return strconv.Itoa(x), true
	case bool:
		return strconv.FormatBool(x), true
	}
	return "", false
}

// checkColumns reports columns that the spec names and the file has not. Of an empty file nothing is known.
func (p *parser) checkColumns() bool {
	if len(p.columns) == 0 {
		return true
	}
	before := len(p.problems)
	if !p.columns[p.spec.Key] && len(p.problems) == 0 {
		p.problems = append(p.problems, Problem{About: AboutKey, Column: p.spec.Key, Columns: sorted(p.columns), Message: fmt.Sprintf("the file has no column %q", p.spec.Key)})
	}
	for _, name := range sorted(p.spec.Types) {
		if !p.columns[name] {
			p.problems = append(p.problems, Problem{About: AboutType, Column: name, Columns: sorted(p.columns), Message: fmt.Sprintf("the file has no column %q", name)})
		}
	}
	return len(p.problems) == before
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// lineStarts are the offsets of the lines; encoding/csv counts lines by their \n.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}
