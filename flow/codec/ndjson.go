package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

// NDJSON is lines of JSON: the body is the list of their values. Blank lines are passed over. A list is written as one line for each
// element, anything else as one line; the last line has no end.
func NDJSON() *Format {
	return &Format{Name: "ndjson", Kind: document.Coded, Coder: ndjson{}, Media: "application/x-ndjson", Text: true}
}

type ndjson struct{}

func (ndjson) Decode(payload []byte) (value.Value, error) {
	lines := make([]any, 0, bytes.Count(payload, []byte{'\n'})+1)
	left, number, at := newBudget(), 0, 0
	for line := range bytes.SplitSeq(payload, []byte{'\n'}) {
		number++
		start := at
		at += len(line) + 1
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		v, err := value.ParseJSON(line)
		if err != nil {
			return value.Value{}, lineError(number, start, err)
		}
		if err := left.take(1); err != nil {
			return value.Value{}, err
		}
		lines = append(lines, v.Box())
	}
	return value.List(lines), nil
}

func lineError(number, start int, err error) error {
	var e *syntax.Error
	if errors.As(err, &e) {
		return fmt.Errorf("line %d: %s, at byte %d", number, e.Reason, start+e.Offset)
	}
	return fmt.Errorf("line %d: %w", number, err)
}

func (ndjson) Append(dst []byte, v value.Value) ([]byte, error) {
	if v.Kind() != value.KindList {
		return appendJSON(dst, v)
	}
	start := len(dst)
	for i, x := range v.List() {
		if i > 0 {
			dst = append(dst, '\n')
		}
		var err error
		if dst, err = appendJSON(dst, value.Unbox(x)); err != nil {
			return dst[:start], element(i, err)
		}
	}
	return dst, nil
}
