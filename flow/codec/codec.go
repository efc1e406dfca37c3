// Package codec turns payloads into values and values into payloads: the formats and byte codecs that decode and encode name.
//
// A Format says how a body reads; a Layer wraps the bytes of another payload (compression, base64). A Chain is what one decode or encode
// lists. All of them are immutable, safe for concurrent use, and hold against payloads that were made to hurt: depth, the number of
// values, and the expansion of compressed payloads are bounded, and no payload makes them panic.
//
// The package does not read configuration and opens no files: schemas come as text.
package codec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// The limits of a payload, besides those on its size.
const (
	// MaxDepth is how many lists and maps may be inside each other.
	MaxDepth = 128
	// MaxValues is how many values one payload may hold, members and elements included. A map that is read counts as mapValues more,
	// which is about what one of few members takes.
	MaxValues = 1_000_000
	mapValues = 4
	// MaxMarkup is the same for XML and YAML, which cost more to read.
	MaxMarkup = 250_000
)

// Format is one way in which a body reads and is written.
type Format struct {
	Name string
	// Kind tells what the document itself reads; Coder is set where Kind is document.Coded.
	Kind  document.Format
	Coder document.Coder
	// Media is the media type of what it writes; empty when there is none to name.
	Media string
	// Text: what it writes is text.
	Text bool
	// Shape is what a schema tells of bodies; nil knows nothing.
	Shape *Shape
}

// JSON is the format of a body that nothing else is said of.
func JSON() *Format {
	return &Format{Name: "json", Kind: document.JSON, Media: "application/json", Text: true}
}

// Text is UTF-8 that is one string.
func Text() *Format {
	return &Format{Name: "text", Kind: document.Text, Media: "text/plain", Text: true}
}

// Bytes is anything.
func Bytes() *Format {
	return &Format{Name: "bytes", Kind: document.Bytes, Media: "application/octet-stream"}
}

// Append writes a value in the format.
func (f *Format) Append(dst []byte, v value.Value) ([]byte, error) {
	switch {
	case f.Kind == document.Coded:
		return f.Coder.Append(dst, v)
	case f.Kind == document.JSON:
		return appendJSON(dst, v)
	case v.Kind() == value.KindString:
		return append(dst, v.Str()...), nil
	case v.Kind() == value.KindBytes:
		return append(dst, v.BytesValue()...), nil
	}
	return dst, fmt.Errorf("the body is %s, and %s takes a string or bytes", v.Kind(), f.Name)
}

// appendJSON writes JSON, and names the path of what JSON cannot say.
func appendJSON(dst []byte, v value.Value) ([]byte, error) {
	out, err := value.AppendJSON(dst, v)
	if err == nil {
		return out, nil
	}
	return dst, unsaid(v.Box(), err)
}

// unsaid puts the path of the first value that cannot be written as JSON before the error.
func unsaid(x any, err error) error {
	switch x := x.(type) {
	case []any:
		for i := range x {
			if _, inner := value.AppendJSON(nil, value.Unbox(x[i])); inner != nil {
				return element(i, unsaid(x[i], inner))
			}
		}
	case map[string]any:
		for _, name := range sortedKeys(x) {
			if _, inner := value.AppendJSON(nil, value.Unbox(x[name])); inner != nil {
				return member(name, unsaid(x[name], inner))
			}
		}
	}
	return err
}

// Layer is one byte codec.
type Layer struct {
	Name string
	// Encoding is its name as a Content-Encoding; empty when it has none.
	Encoding string
	// Compresses: what comes out of Undo may be much more than goes in.
	Compresses bool
	// Undo gives what was wrapped, at most limit bytes; Do appends the wrapped form of b to dst.
	Undo func(b []byte, limit int64) ([]byte, error)
	Do   func(dst, b []byte) ([]byte, error)
}

// Chain is what a decode or encode lists: byte codecs from the outermost to the innermost, around one format.
type Chain struct {
	Layers []Layer
	// Format is nil when only byte codecs are named.
	Format *Format
}

// Unwrap undoes the byte codecs of a chain; most is max_message. An empty payload has nothing to undo.
func (c *Chain) Unwrap(payload []byte, most int64) ([]byte, error) {
	for i := range c.Layers {
		l := &c.Layers[i]
		if len(payload) == 0 {
			return payload, nil
		}
		limit := max(int64(len(payload)), most)
		if l.Compresses {
			limit = expansion(int64(len(payload)), most)
		}
		out, err := l.Undo(payload, limit)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
		payload = out
	}
	return payload, nil
}

// Wrap applies the byte codecs of a chain, the innermost first.
func (c *Chain) Wrap(dst, payload []byte) ([]byte, error) {
	for i := len(c.Layers) - 1; i >= 0; i-- {
		into := dst
		if i > 0 {
			into = nil
		}
		out, err := c.Layers[i].Do(into, payload)
		if err != nil {
			return dst, fmt.Errorf("%s: %w", c.Layers[i].Name, err)
		}
		if i == 0 {
			return out, nil
		}
		payload = out
	}
	return append(dst, payload...), nil
}

// Encoding is the Content-Encoding of what Wrap makes: that of its only layer.
func (c *Chain) Encoding() string {
	if len(c.Layers) == 1 {
		return c.Layers[0].Encoding
	}
	return ""
}

// Shape is what a schema tells of a value before there is one; nil knows nothing. Times and bytes have none: a checker knows of
// JSON's values only.
type Shape struct {
	Kind value.Kind
	// Fields are all that a map has; nil where it may have any.
	Fields map[string]*Shape
	// Elem is an element of a list.
	Elem *Shape
}

var (
	errTooDeep  = fmt.Errorf("more than %d lists and maps inside each other", MaxDepth)
	errTooMany  = errors.New("more values than one payload may hold")
	errShort    = errors.New("the payload ends too early")
	errTrailing = errors.New("there is more behind the end")
)

// budget counts what one payload may still hold.
type budget int

func newBudget() budget { return MaxValues }

// take counts n values.
func (b *budget) take(n int) error {
	if n > int(*b) {
		return errTooMany
	}
	*b -= budget(n)
	return nil
}

// placed is an error with the path of the value that it is about.
type placed struct {
	path string
	err  error
}

func (p *placed) Error() string { return "body" + p.path + ": " + p.err.Error() }

func (p *placed) Unwrap() error { return p.err }

// within puts a step before the path of an error; it is called on the way out of a value.
func within(step string, err error) error {
	var p *placed
	if errors.As(err, &p) {
		p.path = step + p.path
		return p
	}
	return &placed{path: step, err: err}
}

func member(name string, err error) error {
	return within("["+strconv.Quote(name)+"]", err)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func element(i int, err error) error { return within("["+strconv.Itoa(i)+"]", err) }
