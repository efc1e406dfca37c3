package value

import (
	"bytes"
	"math"
)

// Equal reports whether a and b are the same value. Numbers compare by value whatever their kind (1 equals 1.0), exactly; times by the
// instant; lists and maps member by member. Values of different kinds are not equal, and NaN equals nothing.
func Equal(a, b Value) bool {
	if a.Kind() != b.Kind() {
		switch {
		case a.Kind() == KindInt && b.Kind() == KindFloat:
			return sameNumber(a.Int(), b.Float())
		case a.Kind() == KindFloat && b.Kind() == KindInt:
			return sameNumber(b.Int(), a.Float())
		}
		return false
	}
	switch a.Kind() {
	case KindFloat:
		return a.Float() == b.Float()
	case KindString:
		return a.Str() == b.Str()
	case KindBytes:
		return bytes.Equal(a.BytesValue(), b.BytesValue())
	case KindTime:
		return a.Time().Equal(b.Time())
	case KindList:
		return equalLists(a.List(), b.List())
	case KindMap:
		return equalMaps(a.Map(), b.Map())
	}
	return a.bits == b.bits
}

// sameNumber does not round i to a float, which would make neighbours equal above 2^53.
func sameNumber(i int64, f float64) bool {
	return f == math.Trunc(f) && f >= math.MinInt64 && f < -math.MinInt64 && int64(f) == i
}

func equalLists(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !Equal(unbox(a[i]), unbox(b[i])) {
			return false
		}
	}
	return true
}

func equalMaps(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for k, x := range a {
		y, ok := b[k]
		if !ok || !Equal(unbox(x), unbox(y)) {
			return false
		}
	}
	return true
}
