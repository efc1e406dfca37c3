package document

import (
	"fmt"

	"github.com/millstream/millstream/flow/value"
)

// DecodeError says where and why a payload is not what its format asks for.
type DecodeError struct {
	Offset int // in bytes, from 0; negative where Reason says the place in a way of its own
	Reason string
}

// Error names reason and position.
func (e *DecodeError) Error() string {
	if e.Offset < 0 {
		return "decode body: " + e.Reason
	}
	return fmt.Sprintf("decode body: %s, at byte %d", e.Reason, e.Offset)
}

// PathError says that a path cannot be read or written because of what stands above it.
type PathError struct {
	Path   string // the path asked for
	Reason string // a whole sentence that names both paths and says what to do
}

// Error is the reason.
func (e *PathError) Error() string { return e.Reason }

var kindPhrases = [...]string{
	value.KindNil:      "nil",
	value.KindBool:     "a bool",
	value.KindInt:      "a number",
	value.KindFloat:    "a number",
	value.KindString:   "a string",
	value.KindBytes:    "bytes",
	value.KindTime:     "a time",
	value.KindDuration: "a duration",
	value.KindList:     "a list",
	value.KindMap:      "a map",
	value.KindDelete:   "a marker",
	value.KindKeep:     "a marker",
}

// use is what was tried, for the errors' words.
type use string

const (
	read  use = "read"
	write use = "write"
)

func nilError(at, target *node, u use) error {
	reason := fmt.Sprintf("%s is nil, cannot %s %s", at.path, u, target.path)
	if u == read {
		rest := suffix(target, at)
		if rest[0] == '.' {
			rest = rest[1:]
		}
		reason += fmt.Sprintf("; write %s?.%s, or give a default with ??", at.path, rest)
	} else {
		reason += "; a list's element must exist to be written"
	}
	return &PathError{Path: target.path, Reason: reason}
}

func kindError(at, target *node, k value.Kind, u use) error {
	return &PathError{Path: target.path, Reason: fmt.Sprintf("%s is %s, cannot %s %s", at.path, kindPhrases[k], u, target.path)}
}

func rangeError(list, target *node, length int, u use) error {
	elements := "elements"
	if length == 1 {
		elements = "element"
	}
	return &PathError{Path: target.path, Reason: fmt.Sprintf("%s has %d %s, cannot %s %s", list.path, length, elements, u, target.path)}
}
