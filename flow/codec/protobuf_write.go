package codec

import (
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millstream/millstream/flow/value"
)

func wrongProto(x any, want string) error {
	return fmt.Errorf("it is %s, and the message takes %s", value.Unbox(x).Kind(), want)
}

// toMessage fills an empty message from a value.
func toMessage(m protoreflect.Message, x any, depth int) error {
	if depth > MaxDepth {
		return errTooDeep
	}
	d := m.Descriptor()
	if isWellKnown(d) {
		return toWellKnown(m, x, depth)
	}
	fields, ok := x.(map[string]any)
	if !ok {
		return wrongProto(x, "a map")
	}
	set := map[protoreflect.FullName]string{} // by oneof
	for _, name := range sortedKeys(fields) {
		f := d.Fields().ByName(protoreflect.Name(name))
		if f == nil {
			return member(name, errors.New("the message has no such field"))
		}
		if fields[name] == nil && !isNullable(f) {
			continue // as if it were not there
		}
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			if other, twice := set[o.FullName()]; twice {
				return member(name, fmt.Errorf("of the oneof %s, %s is set already", o.Name(), other))
			}
			set[o.FullName()] = name
		}
		if err := setField(m, f, fields[name], depth); err != nil {
			return member(name, err)
		}
	}
	return nil
}

// isNullable tells of a field whose nil is a value: that of Value.
func isNullable(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName() == valueName && !f.IsList() && !f.IsMap()
}

func setField(m protoreflect.Message, f protoreflect.FieldDescriptor, x any, depth int) error {
	switch {
	case f.IsList():
		l, ok := x.([]any)
		if !ok {
			return wrongProto(x, "a list")
		}
		into := m.Mutable(f).List()
		for i := range l {
			v, err := toSingle(into.NewElement, f, l[i], depth)
			if err != nil {
				return element(i, err)
			}
			into.Append(v)
		}
		return nil
	case f.IsMap():
		entries, ok := x.(map[string]any)
		if !ok {
			return wrongProto(x, "a map")
		}
		into := m.Mutable(f).Map()
		for _, name := range sortedKeys(entries) {
			key, err := mapKey(name, f.MapKey())
			if err != nil {
				return err
			}
			v, err := toSingle(into.NewValue, f.MapValue(), entries[name], depth)
			if err != nil {
				return member(name, err)
			}
			into.Set(key, v)
		}
		return nil
	}
	v, err := toSingle(func() protoreflect.Value { return m.NewField(f) }, f, x, depth)
	if err != nil {
		return err
	}
	m.Set(f, v)
	return nil
}

func toSingle(fresh func() protoreflect.Value, f protoreflect.FieldDescriptor, x any, depth int) (v protoreflect.Value, err error) {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		v = fresh()
		return v, toMessage(v.Message(), x, depth+1)
	case protoreflect.EnumKind:
		switch x := x.(type) {
		case string:
			if known := f.Enum().Values().ByName(protoreflect.Name(x)); known != nil {
				return protoreflect.ValueOfEnum(known.Number()), nil
			}
			return v, fmt.Errorf("the enum %s has no value %.80q", f.Enum().Name(), x)
		case int:
			if x == int(int32(x)) {
				return protoreflect.ValueOfEnum(protoreflect.EnumNumber(x)), nil
			}
		}
		return v, wrongProto(x, "the name of a value of the enum "+string(f.Enum().Name()))
	case protoreflect.BoolKind:
		if b, ok := x.(bool); ok {
			return protoreflect.ValueOfBool(b), nil
		}
		return v, wrongProto(x, "a bool")
	case protoreflect.StringKind:
		if s, ok := x.(string); ok {
			if !utf8.ValidString(s) {
				return v, errNotText
			}
			return protoreflect.ValueOfString(s), nil
		}
		return v, wrongProto(x, "a string")
	case protoreflect.BytesKind:
		if b, ok := x.([]byte); ok {
			return protoreflect.ValueOfBytes(b), nil
		}
		return v, wrongProto(x, "bytes")
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return toFloat(f, x)
	default:
		return toInteger(f, x)
	}
}

func toInteger(f protoreflect.FieldDescriptor, x any) (v protoreflect.Value, err error) {
	switch n := x.(type) {
	case int:
		return integerOf(int64(n), f)
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return integerOf(int64(n), f)
		}
	}
	return v, wrongProto(x, "an integer")
}

func toFloat(f protoreflect.FieldDescriptor, x any) (v protoreflect.Value, err error) {
	n, ok := x.(float64)
	if i, isInt := x.(int); isInt && int(float64(i)) == i {
		n, ok = float64(i), true
	}
	switch {
	case !ok:
		return v, wrongProto(x, "a number")
	case f.Kind() == protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(n), nil
	case math.IsInf(float64(float32(n)), 0) && !math.IsInf(n, 0):
		return v, fmt.Errorf("%g is more than a float holds", n)
	}
	return protoreflect.ValueOfFloat32(float32(n)), nil
}

// toWellKnown fills a message that stands for a value of its own.
func toWellKnown(m protoreflect.Message, x any, depth int) error {
	fields := m.Descriptor().Fields()
	switch m.Descriptor().FullName() {
	case timestampName:
		t, ok := x.(time.Time)
		if !ok {
			return wrongProto(x, "a time")
		}
		m.Set(fields.ByNumber(1), protoreflect.ValueOfInt64(t.Unix()))
		m.Set(fields.ByNumber(2), protoreflect.ValueOfInt32(int32(t.Nanosecond())))
		return nil
	case durationName:
		d, ok := x.(time.Duration)
		if !ok {
			return wrongProto(x, "a duration")
		}
		m.Set(fields.ByNumber(1), protoreflect.ValueOfInt64(int64(d/time.Second)))
		m.Set(fields.ByNumber(2), protoreflect.ValueOfInt32(int32(d%time.Second)))
		return nil
	case valueName:
		return toValue(m, x, depth)
	}
	return setField(m, fields.ByNumber(1), x, depth) // Struct, ListValue, wrappers
}

// toValue sets the field of a Value that takes x.
func toValue(m protoreflect.Message, x any, depth int) error {
	name := map[value.Kind]protoreflect.Name{
		value.KindNil: "null_value", value.KindBool: "bool_value", value.KindInt: "number_value", value.KindFloat: "number_value",
		value.KindString: "string_value", value.KindMap: "struct_value", value.KindList: "list_value",
	}[value.Unbox(x).Kind()]
	f := m.Descriptor().Fields().ByName(name)
	switch {
	case f == nil:
		return wrongProto(x, "what JSON has")
	case x == nil:
		m.Set(f, protoreflect.ValueOfEnum(0))
		return nil
	}
	return setField(m, f, x, depth)
}
