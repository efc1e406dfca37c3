package codec

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// withoutPrefix leaves out the name of the library, and the odd space that it puts behind it.
func withoutPrefix(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00A0", " ")
	return strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
}

// The messages that stand for a value of their own.
const (
	wellKnown     = "google.protobuf."
	timestampName = wellKnown + "Timestamp"
	durationName  = wellKnown + "Duration"
	structName    = wellKnown + "Struct"
	valueName     = wellKnown + "Value"
	listName      = wellKnown + "ListValue"
)

func isWrapper(m protoreflect.MessageDescriptor) bool {
	name, ok := strings.CutPrefix(string(m.FullName()), wellKnown)
	return ok && strings.HasSuffix(name, "Value") && name != "Value" && name != "ListValue" && m.Fields().Len() == 1
}

func isWellKnown(m protoreflect.MessageDescriptor) bool {
	switch m.FullName() {
	case timestampName, durationName, structName, valueName, listName:
		return true
	}
	return isWrapper(m)
}

// fromMessage is a message as a value.
func fromMessage(m protoreflect.Message, left *budget, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	d := m.Descriptor()
	fields := d.Fields()
	switch name := d.FullName(); {
	case name == timestampName:
		seconds, nanos := m.Get(fields.ByNumber(1)).Int(), m.Get(fields.ByNumber(2)).Int()
		if nanos < 0 || nanos > 999_999_999 {
			return nil, errors.New("a Timestamp with more than a second of nanoseconds")
		}
		return time.Unix(seconds, nanos).UTC(), nil
	case name == durationName:
		return durationOf(m.Get(fields.ByNumber(1)).Int(), m.Get(fields.ByNumber(2)).Int())
	case name == structName:
		return fromField(m.Get(fields.ByNumber(1)), fields.ByNumber(1), left, depth)
	case name == valueName:
		f := m.WhichOneof(d.Oneofs().Get(0))
		if f == nil || f.Name() == "null_value" {
			return nil, left.take(1)
		}
		return fromField(m.Get(f), f, left, depth)
	case name == listName, isWrapper(d):
		return fromField(m.Get(fields.ByNumber(1)), fields.ByNumber(1), left, depth)
	}
	if err := left.take(mapValues); err != nil {
		return nil, err
	}
	out := make(map[string]any, fields.Len())
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		x, err := fromField(m.Get(f), f, left, depth)
		if err != nil {
			return nil, member(string(f.Name()), err)
		}
		out[string(f.Name())] = x
	}
	return out, left.take(1)
}

func durationOf(seconds, nanos int64) (any, error) {
	if seconds > math.MaxInt64/int64(time.Second)-1 || seconds < -math.MaxInt64/int64(time.Second)+1 || nanos <= -1e9 || nanos >= 1e9 {
		return nil, errors.New("a Duration of more than 292 years")
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanos), nil
}

func fromField(v protoreflect.Value, f protoreflect.FieldDescriptor, left *budget, depth int) (any, error) {
	switch {
	case f.IsList():
		l := v.List()
		out := make([]any, l.Len())
		for i := range out {
			var err error
			if out[i], err = fromSingle(l.Get(i), f, left, depth); err != nil {
				return nil, element(i, err)
			}
		}
		return out, left.take(1)
	case f.IsMap():
		if err := left.take(mapValues); err != nil {
			return nil, err
		}
		out := make(map[string]any, v.Map().Len())
		var err error
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			var x any
			if x, err = fromSingle(v, f.MapValue(), left, depth); err != nil {
				err = member(k.String(), err)
				return false
			}
			out[k.String()] = x
			return true
		})
		if err != nil {
			return nil, err
		}
		return out, left.take(1)
	}
	return fromSingle(v, f, left, depth)
}

func fromSingle(v protoreflect.Value, f protoreflect.FieldDescriptor, left *budget, depth int) (any, error) {
	if err := left.take(1); err != nil {
		return nil, err
	}
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return fromMessage(v.Message(), left, depth+1)
	case protoreflect.EnumKind:
		if known := f.Enum().Values().ByNumber(v.Enum()); known != nil {
			return string(known.Name()), nil
		}
		return int(v.Enum()), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if n := v.Uint(); n > math.MaxInt64 {
			return nil, fmt.Errorf("the integer %d is larger than an int can hold", n)
		}
		return int(v.Uint()), nil
	case protoreflect.BoolKind:
		return v.Bool(), nil
	case protoreflect.StringKind:
		if !utf8.ValidString(v.String()) {
			return nil, errors.New("a string that is not UTF-8")
		}
		return v.String(), nil
	case protoreflect.BytesKind:
		return v.Bytes(), nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return v.Float(), nil
	default:
		return int(v.Int()), nil
	}
}

// mapKey reads the key of a map from its text.
func mapKey(text string, f protoreflect.FieldDescriptor) (protoreflect.MapKey, error) {
	var v protoreflect.Value
	var err error
	switch f.Kind() {
	case protoreflect.StringKind:
		if !utf8.ValidString(text) {
			err = errNotText
		}
		v = protoreflect.ValueOfString(text)
	case protoreflect.BoolKind:
		if text != "true" && text != "false" {
			err = fmt.Errorf("the key %.40q is neither true nor false", text)
		}
		v = protoreflect.ValueOfBool(text == "true")
	default:
		var n int64
		if n, err = strconv.ParseInt(text, 10, 64); err == nil {
			v, err = integerOf(n, f)
		}
	}
	return v.MapKey(), err
}

// integerOf is an integer as a field takes it.
func integerOf(n int64, f protoreflect.FieldDescriptor) (protoreflect.Value, error) {
	switch f.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		if n == int64(int32(n)) {
			return protoreflect.ValueOfInt32(int32(n)), nil
		}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		if n == int64(uint32(n)) {
			return protoreflect.ValueOfUint32(uint32(n)), nil
		}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if n >= 0 {
			return protoreflect.ValueOfUint64(uint64(n)), nil
		}
	default:
		return protoreflect.ValueOfInt64(n), nil
	}
	return protoreflect.ValueOfInt64(0), fmt.Errorf("%d is out of the range of %s", n, f.Kind())
}
