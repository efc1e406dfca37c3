package value

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millstream/millstream/flow/value/syntax"
)

// plain is x as a Value when x has one of the types that Box returns. It does not look into lists and maps.
func plain(x any) (Value, bool) {
	switch x := x.(type) {
	case nil:
		return Value{}, true
	case bool:
		return Bool(x), true
	case int:
		return Int(int64(x)), true
	case float64:
		return Float(x), true
	case string:
		return String(x), true
	case map[string]any:
		return Map(x), true
	case []any:
		return List(x), true
	case []byte:
		return Bytes(x), true
	case time.Time:
		return Time(x), true
	case time.Duration:
		return Duration(x), true
	case Marker:
		return Value{tag: uint64(x)}, true
	}
	return Value{}, false
}

// unbox is plain for what is known to be one of ours.
func unbox(x any) Value {
	v, _ := plain(x)
	return v
}

// Unbox is the Value of a list's element or a map's member, whose type is one that Box returns. Anything else is nil: use FromAny
// for what comes from elsewhere.
func Unbox(x any) Value { return unbox(x) }

func unsupported(x any) error {
	return fmt.Errorf("a value of Go type %T cannot stand in a message", x)
}

var errNested = errors.New("value is nested too deeply, or contains itself")

// FromAny takes a plain Go value of any usual type: all integers (error when int64 cannot hold one), float32, slices and maps of
// these, maps with keys of type any that are strings. Lists and maps are copied only where something in them has to change. The
// error names a type that cannot stand in a message, such as a function, a channel or a struct.
func FromAny(x any) (Value, error) {
	if v, ok := plain(x); ok && v.Kind() != KindList && v.Kind() != KindMap {
		return v, nil
	}
	normal, _, err := normalise(x, 0)
	if err != nil {
		return Value{}, err
	}
	return unbox(normal), nil
}

// normalise returns x made of the types that Box returns; changed says that the result is not x itself.
func normalise(x any, depth int) (normal any, changed bool, err error) {
	if depth > syntax.MaxDepth {
		return nil, false, errNested
	}
	switch x := x.(type) {
	case nil, bool, int, float64, string, []byte, time.Time, time.Duration, Marker:
		return x, false, nil
	case []any:
		return normaliseList(x, depth)
	case map[string]any:
		return normaliseMap(x, depth)
	case Value:
		normal, _, err = normalise(x.Box(), depth)
		return normal, true, err
	}
	normal, err = convert(reflect.ValueOf(x), depth)
	return normal, true, err
}

func normaliseList(l []any, depth int) (any, bool, error) {
	out := l
	for i, x := range l {
		normal, changed, err := normalise(x, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed {
			if &out[0] == &l[0] {
				out = slices.Clone(l)
			}
			out[i] = normal
		}
	}
	return out, len(l) > 0 && &out[0] != &l[0], nil
}

func normaliseMap(m map[string]any, depth int) (any, bool, error) {
	out, copied := m, false
	for k, x := range m {
		normal, changed, err := normalise(x, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed {
			if !copied {
				out, copied = maps.Clone(m), true
			}
			out[k] = normal
		}
	}
	return out, copied, nil
}

// convert takes the types that are none of ours.
func convert(x reflect.Value, depth int) (any, error) {
	switch x.Kind() {
	case reflect.Bool:
		return x.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return int(x.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if x.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("integer %d is larger than an int can hold", x.Uint())
		}
		return int(x.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return x.Float(), nil
	case reflect.String:
		return x.String(), nil
	case reflect.Slice, reflect.Array:
		return convertList(x, depth)
	case reflect.Map:
		return convertMap(x, depth)
	}
	return nil, unsupported(x.Interface())
}

func convertList(x reflect.Value, depth int) (any, error) {
	if x.Kind() == reflect.Slice && x.Type().Elem().Kind() == reflect.Uint8 {
		return x.Bytes(), nil
	}
	l := make([]any, x.Len())
	for i := range l {
		normal, _, err := normalise(x.Index(i).Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		l[i] = normal
	}
	return l, nil
}

func convertMap(x reflect.Value, depth int) (any, error) {
	m := make(map[string]any, x.Len())
	for entries := x.MapRange(); entries.Next(); {
		key := entries.Key()
		if key.Kind() == reflect.Interface {
			key = key.Elem()
		}
		if key.Kind() != reflect.String {
			return nil, fmt.Errorf("the keys of a map must be strings, not %s", entries.Key())
		}
		normal, _, err := normalise(entries.Value().Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		m[key.String()] = normal
	}
	return m, nil
}

// Own is a deep copy of v that shares no string and no bytes with a payload. It is for what outlives the message.
func Own(v Value) Value {
	switch v.Kind() {
	case KindString:
		return String(strings.Clone(v.Str()))
	case KindBytes, KindList, KindMap:
		return unbox(own(v.Box()))
	}
	return v
}

func own(x any) any {
	switch x := x.(type) {
	case string:
		return strings.Clone(x)
	case []byte:
		return slices.Clone(x)
	case []any:
		l := make([]any, len(x))
		for i := range x {
			l[i] = own(x[i])
		}
		return l
	case map[string]any:
		m := make(map[string]any, len(x))
		for k := range x {
			m[strings.Clone(k)] = own(x[k])
		}
		return m
	}
	return x
}
