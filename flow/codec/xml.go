package codec

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// XMLOptions are what a file says of its XML.
type XMLOptions struct {
	// Lists are the elements that are lists even where there is only one of them, by their name as written.
	Lists []string
}

// XML is one element: the body is a map of its name to its content. An element with text alone is that text, the empty one the empty text;
// any other is a map of its attributes (@name), its text (#text) and its elements, of which those that repeat are a list. Names keep their
// prefix as written, and declarations of namespaces are attributes. Comments, processing instructions and white space between elements are
// left out; the pieces of a text between elements are joined. A document type is an error, and so is every entity but the five of XML.
func XML(o XMLOptions) *Format {
	return &Format{Name: "xml", Kind: document.Coded, Coder: &xmlCoder{o}, Media: "application/xml", Text: true}
}

type xmlCoder struct{ XMLOptions }

// The keys of what is no element.
const (
	attribute = "@"
	textKey   = "#text"
)

// xmlReader is one payload on its way to a value.
type xmlReader struct {
	*xml.Decoder
	lists []string
	left  budget
}

func (c *xmlCoder) Decode(payload []byte) (value.Value, error) {
	if !utf8.Valid(payload) {
		return value.Value{}, errors.New("it holds bytes that are not UTF-8")
	}
	r := &xmlReader{Decoder: xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(payload, []byte(byteOrderMark)))), lists: c.Lists, left: MaxMarkup}
	x, err := r.document()
	if err != nil {
		line, column := r.InputPos()
		var e *xml.SyntaxError
		if errors.As(err, &e) {
			err = errors.New(e.Msg)
		}
		return value.Value{}, fmt.Errorf("%w, in line %d, column %d", err, line, column)
	}
	return value.Unbox(x), nil
}

func (r *xmlReader) document() (any, error) {
	var body map[string]any
	for {
		t, err := r.token()
		switch {
		case errors.Is(err, io.EOF) && body != nil:
			return body, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("there is no element")
		case err != nil:
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if body != nil {
				return nil, errors.New("a second element stands beside the first")
			}
			x, err := r.element(&t, 0)
			if err != nil {
				return nil, err
			}
			body = map[string]any{}
			r.add(body, nameOf(t.Name), x)
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("text stands outside of the element")
			}
		case xml.EndElement:
			return nil, fmt.Errorf("</%s> ends nothing", nameOf(t.Name))
		}
	}
}

// token is the next token that says something.
func (r *xmlReader) token() (xml.Token, error) {
	for {
		t, err := r.RawToken()
		if err != nil {
			return nil, err
		}
		switch t.(type) {
		case xml.Directive:
			return nil, errors.New("a document type is not read")
		case xml.Comment, xml.ProcInst:
			continue
		}
		return t, nil
	}
}

func nameOf(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// element reads what stands between start and its end.
func (r *xmlReader) element(start *xml.StartElement, depth int) (any, error) {
	if depth >= MaxDepth {
		return nil, errTooDeep
	}
	if err := r.left.take(1 + len(start.Attr)); err != nil {
		return nil, err
	}
	m := make(map[string]any, len(start.Attr))
	for _, a := range start.Attr {
		key := attribute + nameOf(a.Name)
		if _, twice := m[key]; twice {
			return nil, fmt.Errorf("the attribute %s comes twice", nameOf(a.Name))
		}
		m[key] = a.Value
	}
	var text strings.Builder
	elements := false
	for {
		t, err := r.token()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("<%s> has no end", nameOf(start.Name))
		case err != nil:
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			elements = true
			x, err := r.element(&t, depth+1)
			if err != nil {
				return nil, err
			}
			r.add(m, nameOf(t.Name), x)
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if t.Name != start.Name {
				return nil, fmt.Errorf("<%s> is ended by </%s>", nameOf(start.Name), nameOf(t.Name))
			}
			return content(m, text.String(), elements), nil
		}
	}
}

// content is what an element with these parts reads as.
func content(m map[string]any, text string, elements bool) any {
	switch {
	case len(m) == 0:
		return text
	case elements && strings.TrimSpace(text) == "", text == "":
		return m
	}
	m[textKey] = text
	return m
}

// add puts an element into its parent.
func (r *xmlReader) add(m map[string]any, name string, x any) {
	old, there := m[name]
	list, isList := old.([]any)
	switch {
	case isList:
		m[name] = append(list, x)
	case there:
		m[name] = []any{old, x}
	case slices.Contains(r.lists, name):
		m[name] = []any{x}
	default:
		m[name] = x
	}
}

func (c *xmlCoder) Append(dst []byte, v value.Value) ([]byte, error) {
	start := len(dst)
	m, ok := v.Box().(map[string]any)
	if !ok || len(m) != 1 {
		return dst, fmt.Errorf("XML has one element: the body must be a map of its name to its content, and is %s", described(v, m))
	}
	name := sortedKeys(m)[0]
	if l, ok := m[name].([]any); ok && len(l) != 1 {
		return dst, fmt.Errorf("XML has one element, and body[%q] is a list of %d", name, len(l))
	}
	out, err := appendXML(dst, name, m[name], 0)
	if err != nil {
		return dst[:start], err
	}
	return out, nil
}

func described(v value.Value, m map[string]any) string {
	if v.Kind() == value.KindMap {
		return fmt.Sprintf("a map of %d", len(m))
	}
	return v.Kind().String()
}

// appendXML writes an element; a list is one element for each of its own.
func appendXML(dst []byte, name string, x any, depth int) ([]byte, error) {
	if depth >= MaxDepth {
		return dst, errTooDeep
	}
	if !isXMLName(name) {
		return dst, fmt.Errorf("%.80q cannot be the name of an element", name)
	}
	var err error
	switch x := x.(type) {
	case []any:
		for i := range x {
			if _, inner := x[i].([]any); inner {
				return dst, member(name, element(i, errors.New("a list in a list has no form in XML")))
			}
			if dst, err = appendXML(dst, name, x[i], depth); err != nil {
				return dst, err
			}
		}
		return dst, nil
	case map[string]any:
		return appendXMLMap(dst, name, x, depth)
	}
	if dst, err = appendXMLText(append(append(append(dst, '<'), name...), '>'), x); err != nil {
		return dst, member(name, err)
	}
	return append(append(append(dst, "</"...), name...), '>'), nil
}

func appendXMLMap(dst []byte, name string, m map[string]any, depth int) (_ []byte, err error) {
	keys := sortedKeys(m)
	dst = append(append(dst, '<'), name...)
	for _, key := range keys {
		bare, isAttribute := strings.CutPrefix(key, attribute)
		if !isAttribute {
			continue
		}
		if !isXMLName(bare) {
			return dst, member(name, fmt.Errorf("%.80q cannot be the name of an attribute", bare))
		}
		dst = append(append(append(dst, ' '), bare...), `="`...)
		if dst, err = appendXMLText(dst, m[key]); err != nil {
			return dst, member(name, member(key, err))
		}
		dst = append(dst, '"')
	}
	dst = append(dst, '>')
	if text, ok := m[textKey]; ok {
		if dst, err = appendXMLText(dst, text); err != nil {
			return dst, member(name, err)
		}
	}
	for _, key := range keys {
		if key == textKey || strings.HasPrefix(key, attribute) {
			continue
		}
		if dst, err = appendXML(dst, key, m[key], depth+1); err != nil {
			return dst, within("["+fmt.Sprintf("%q", name)+"]", err)
		}
	}
	return append(append(append(dst, "</"...), name...), '>'), nil
}

func appendXMLText(dst []byte, x any) ([]byte, error) {
	var text string
	switch x := x.(type) {
	case nil:
		return dst, nil
	case string:
		text = x
	case time.Duration:
		text = x.String()
	case bool, int, float64, time.Time:
		json, err := value.AppendJSON(nil, value.Unbox(x))
		if err != nil {
			return dst, err
		}
		text = strings.Trim(string(json), `"`)
	default:
		return dst, fmt.Errorf("%s has no form in XML", value.Unbox(x).Kind())
	}
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") || !isXMLRune(r) {
			return dst, fmt.Errorf("the character %U has no form in XML", r)
		}
	}
	out := bytes.NewBuffer(dst)
	err := xml.EscapeText(out, []byte(text))
	return out.Bytes(), err
}

func isXMLRune(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000
}

// isXMLName tells whether a name needs no escape: letters, digits, and what XML allows among them. One colon is a prefix's.
func isXMLName(s string) bool {
	if s == "" || strings.Count(s, ":") > 1 || strings.HasPrefix(s, ":") || strings.HasSuffix(s, ":") {
		return false
	}
	start := true
	for _, r := range s {
		inner := r >= '0' && r <= '9' || r == '-' || r == '.'
		if !startsXMLName(r) && r != ':' && (start || !inner) {
			return false
		}
		start = r == ':'
	}
	return true
}

func startsXMLName(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0xC0 && r <= 0x2FF && r != 0xD7 && r != 0xF7
}
