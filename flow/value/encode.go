package value

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/millstream/millstream/flow/value/syntax"
)

// maxEncodeDepth is far above what a text may have (syntax.MaxDepth); it only ends the walk through a value that contains itself.
const maxEncodeDepth = 10_000

var (
	errNotFinite = errors.New("a number that is not finite cannot be written as JSON")
	errBytes     = errors.New("bytes cannot be written as JSON; write toBase64(…)")
	errNotUTF8   = errors.New("a string that is not UTF-8 cannot be written as JSON")
	errTooDeep   = errors.New("value is nested too deeply to be written as JSON")
	errYear      = errors.New("a time before the year 0 or after 9999 cannot be written as JSON")
)

// AppendJSON appends v as JSON in its shortest form: no white space, 104.0 as 104, the keys of maps sorted. A time becomes its
// RFC 3339 text in UTC, a duration its text as Go writes it. What JSON cannot say is an error, and dst is then returned as it was.
func AppendJSON(dst []byte, v Value) ([]byte, error) {
	start := len(dst)
	out, err := appendValue(dst, v, 0)
	if err != nil {
		return out[:start], err
	}
	return out, nil
}

// AppendJSONString appends s as a JSON string, with no more escapes than JSON asks for. Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(dst []byte, s string) []byte {
	dst, _ = syntax.AppendString(dst, s)
	return dst
}

func appendValue(dst []byte, v Value, depth int) ([]byte, error) {
	switch v.Kind() {
	case KindNil:
		return append(dst, "null"...), nil
	case KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case KindInt:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case KindFloat:
		return appendFloat(dst, v.Float())
	case KindString:
		return appendString(dst, v.Str())
	case KindBytes:
		return dst, errBytes
	case KindTime:
		return appendTime(dst, v.Time())
	case KindDuration:
		return AppendJSONString(dst, v.Duration().String()), nil
	case KindList:
		return appendList(dst, v.List(), depth)
	case KindMap:
		return appendMap(dst, v.Map(), depth)
	}
	return dst, fmt.Errorf("the marker %s cannot be written as JSON", v.Kind())
}

// appendFloat leaves the exponent out between 1e-6 and 1e21, as ECMAScript does, but not where the digits alone would read as an integer
// of another value: the shortest digits of a float beyond 2^53 need not be the float itself.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, errNotFinite
	}
	if size := math.Abs(f); size == 0 || (size >= 1e-6 && size < 1<<53) || (size >= 1<<63 && size < 1e21) {
		return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' { // Go writes two digits at least
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst, nil
}

func appendString(dst []byte, s string) ([]byte, error) {
	dst, valid := syntax.AppendString(dst, s)
	if !valid {
		return dst, errNotUTF8
	}
	return dst, nil
}

func appendTime(dst []byte, t time.Time) ([]byte, error) {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return dst, errYear
	}
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"'), nil
}

func appendList(dst []byte, l []any, depth int) (_ []byte, err error) {
	if depth >= maxEncodeDepth {
		return dst, errTooDeep
	}
	dst = append(dst, '[')
	for i, x := range l {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendAny(dst, x, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, m map[string]any, depth int) (_ []byte, err error) {
	if depth >= maxEncodeDepth {
		return dst, errTooDeep
	}
	var room [16]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendString(dst, k); err != nil {
			return dst, err
		}
		dst = append(dst, ':')
		if dst, err = appendAny(dst, m[k], depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendAny(dst []byte, x any, depth int) ([]byte, error) {
	v, ok := plain(x)
	if !ok {
		return dst, unsupported(x)
	}
	return appendValue(dst, v, depth)
}
