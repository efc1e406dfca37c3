package value

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/millstream/millstream/flow/value/syntax"
)

// ParseJSON decodes a whole JSON text. A number without fraction and exponent that fits int64 is an int, any other a float; of
// duplicate keys the last counts; half of a surrogate pair becomes U+FFFD. The error is a *syntax.Error, with the offset.
// Strings without escapes alias b, which must not change while the value lives; see Own.
func ParseJSON(b []byte) (Value, error) {
	if end := syntax.Check(b); end < 0 {
		return Value{}, syntax.Fault(end)
	}
	x, end := parse(b, syntax.Space(b, 0), 0)
	if end >= 0 {
		if end = syntax.Space(b, end); end < len(b) {
			end = syntax.Fail(end, syntax.WantEnd)
		}
	}
	if end < 0 {
		return Value{}, syntax.Fault(end)
	}
	return unbox(x), nil
}

// parse decodes the value that starts at i inside depth open lists and maps; end is negative when there is none.
func parse(b []byte, i, depth int) (x any, end int) {
	if i >= len(b) {
		return nil, syntax.Fail(i, syntax.WantValue)
	}
	switch c := b[i]; {
	case c == '"':
		return parseString(b, i)
	case c == '-' || c-'0' <= 9:
		end, float := syntax.Number(b, i)
		if end < 0 {
			return nil, end
		}
		return number(b[i:end], float).Box(), end
	case c == '{':
		return parseMap(b, i, depth)
	case c == '[':
		return parseList(b, i, depth)
	case c == 't' || c == 'f' || c == 'n':
		if end = syntax.Literal(b, i); end < 0 || c == 'n' {
			return nil, end
		}
		return c == 't', end
	}
	return nil, syntax.Fail(i, syntax.WantValue)
}

func parseString(b []byte, i int) (s string, end int) {
	end, escaped := syntax.String(b, i+1)
	if end < 0 {
		return "", end
	}
	return unquote(b[i+1:end-1], escaped), end
}

// unquote is the text of a scanned string without its quotes; it aliases b unless escapes make that impossible.
func unquote(b []byte, escaped bool) string {
	if escaped {
		b = syntax.Unescape(make([]byte, 0, len(b)), b)
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func parseMap(b []byte, i, depth int) (x any, end int) {
	if depth >= syntax.MaxDepth {
		return nil, syntax.Fail(i, syntax.TooDeep)
	}
	m := map[string]any{}
	i = syntax.Space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return m, i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return nil, syntax.Fail(i, syntax.WantKey)
		}
		key, end := parseString(b, i)
		if end < 0 {
			return nil, end
		}
		if i = syntax.Colon(b, end); i < 0 {
			return nil, i
		}
		member, end := parse(b, i, depth+1)
		if end < 0 {
			return nil, end
		}
		m[key] = member
		i = syntax.Space(b, end)
		if i < len(b) && b[i] == '}' {
			return m, i + 1
		}
		if i >= len(b) || b[i] != ',' {
			return nil, syntax.Fail(i, syntax.WantMemberEnd)
		}
		i = syntax.Space(b, i+1)
	}
}

func parseList(b []byte, i, depth int) (x any, end int) {
	if depth >= syntax.MaxDepth {
		return nil, syntax.Fail(i, syntax.TooDeep)
	}
	l := []any{}
	i = syntax.Space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return l, i + 1
	}
	for {
		element, end := parse(b, i, depth+1)
		if end < 0 {
			return nil, end
		}
		l = append(l, element)
		i = syntax.Space(b, end)
		if i < len(b) && b[i] == ']' {
			return l, i + 1
		}
		if i >= len(b) || b[i] != ',' {
			return nil, syntax.Fail(i, syntax.WantElementEnd)
		}
		i = syntax.Space(b, i+1)
	}
}

// ParseString decodes the inside of a JSON string that syntax.String has passed over. Without escapes the string aliases b.
func ParseString(b []byte, escaped bool) Value { return String(unquote(b, escaped)) }

// ParseNumber decodes the text of one number; float says that it has a fraction or an exponent. Text that is no JSON number,
// or one that no float64 holds, is an error.
func ParseNumber(b []byte, float bool) (Value, error) {
	if len(b) == 0 {
		return Value{}, syntax.Fault(syntax.Fail(0, syntax.BadNumber))
	}
	end, scanned := syntax.Number(b, 0)
	if end >= 0 && end < len(b) {
		end = syntax.Fail(end, syntax.BadNumber)
	}
	if end < 0 {
		return Value{}, syntax.Fault(end)
	}
	return number(b, float || scanned), nil
}

// ScannedNumber is ParseNumber for a text that syntax.Number has already passed over.
func ScannedNumber(b []byte, float bool) Value { return number(b, float) }

var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// number decodes a number that the scan has found valid. Up to 18 characters are read as one integer, which is exact; dividing it by a
// power of ten rounds correctly as long as it is below 2^53.
func number(b []byte, float bool) Value {
	if len(b) <= 18 {
		if v, ok := shortNumber(b, float); ok {
			return v
		}
	}
	text := unsafe.String(unsafe.SliceData(b), len(b))
	if !float {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return Int(i)
		}
	}
	f, _ := strconv.ParseFloat(text, 64) // the scan has checked syntax and range
	return Float(f)
}

func shortNumber(b []byte, float bool) (Value, bool) {
	negative := b[0] == '-'
	if negative {
		b = b[1:]
	}
	digits, point := int64(0), len(b)-1
	for i, c := range b {
		switch {
		case c-'0' <= 9:
			digits = digits*10 + int64(c-'0')
		case c == '.':
			point = i
		default:
			return Value{}, false
		}
	}
	if !float {
		if negative {
			digits = -digits
		}
		return Int(digits), true
	}
	if digits >= 1<<53 {
		return Value{}, false
	}
	f := float64(digits) / powersOfTen[len(b)-1-point]
	if negative {
		f = math.Copysign(f, -1)
	}
	return Float(f), true
}
