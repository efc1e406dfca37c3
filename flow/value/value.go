// Package value holds one value of a message in the form the engine passes around: a tagged struct whose scalars never
// allocate. It also is the border to the two other forms a value takes, JSON text and the plain Go values that expressions
// see. It knows nothing of messages and paths.
//
// Values are immutable by agreement: the lists, maps and bytes inside are shared and must never be changed.
package value

import (
	"math"
	"time"
	"unsafe"
)

// Kind says what a Value holds.
type Kind uint8

// The kinds. Delete and Keep are the markers that a transform understands; they never stand in a message.
const (
	KindNil Kind = iota
	KindBool
	KindInt
	KindFloat
	KindString
	KindBytes
	KindTime
	KindDuration
	KindList
	KindMap
	KindDelete
	KindKeep
)

var kindNames = [...]string{"nil", "bool", "int", "float", "string", "bytes", "time", "duration", "list", "map", "delete", "keep"}

// String is the kind's name as messages to people show it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Value is one value. The zero Value is nil. It is not comparable with ==; use Equal.
//
// It has no more than four fields, because the compiler keeps a struct with more of them in memory instead of registers.
type Value struct {
	_    [0]func()
	tag  uint64         // the kind in the lowest byte; time: nanoseconds within the second in the upper half
	bits uint64         // bool, int, float, duration; time: Unix seconds; string, bytes, list: length
	ptr  unsafe.Pointer // string, bytes, list: first element; map: the map itself; time: its *time.Location
}

// Marker is what the markers delete and keep are among plain Go values.
type Marker Kind

// Bool makes a bool.
func Bool(b bool) Value {
	if b {
		return Value{tag: uint64(KindBool), bits: 1}
	}
	return Value{tag: uint64(KindBool)}
}

// Int makes an int.
func Int(i int64) Value { return Value{tag: uint64(KindInt), bits: uint64(i)} }

// Float makes a float.
func Float(f float64) Value { return Value{tag: uint64(KindFloat), bits: math.Float64bits(f)} }

// Duration makes a duration.
func Duration(d time.Duration) Value { return Value{tag: uint64(KindDuration), bits: uint64(d)} }

// String makes a string, which must be valid UTF-8.
func String(s string) Value {
	return Value{tag: uint64(KindString), bits: uint64(len(s)), ptr: unsafe.Pointer(unsafe.StringData(s))}
}

// Bytes makes bytes. The slice is shared, not copied.
func Bytes(b []byte) Value {
	return Value{tag: uint64(KindBytes), bits: uint64(len(b)), ptr: unsafe.Pointer(unsafe.SliceData(b))}
}

// Time makes a time. A monotonic clock reading is left out, the location is kept.
func Time(t time.Time) Value {
	return Value{tag: uint64(KindTime) | uint64(t.Nanosecond())<<32, bits: uint64(t.Unix()), ptr: unsafe.Pointer(t.Location())}
}

// List makes a list of plain Go values, each of a type that Box returns (FromAny takes the others). The slice is shared.
func List(l []any) Value {
	return Value{tag: uint64(KindList), bits: uint64(len(l)), ptr: unsafe.Pointer(unsafe.SliceData(l))}
}

// Map makes a map of plain Go values, each of a type that Box returns (FromAny takes the others). The map is shared.
func Map(m map[string]any) Value {
	return Value{tag: uint64(KindMap), ptr: *(*unsafe.Pointer)(unsafe.Pointer(&m))}
}

// Delete is the marker that removes what it is assigned to.
func Delete() Value { return Value{tag: uint64(KindDelete)} }

// Keep is the marker that leaves alone what it is assigned to.
func Keep() Value { return Value{tag: uint64(KindKeep)} }

// Kind says what v holds, and with it which of the methods below may be called.
func (v Value) Kind() Kind { return Kind(v.tag) }

// IsNil reports whether v is nil.
func (v Value) IsNil() bool { return v.Kind() == KindNil }

// IsNumber reports whether v is an int or a float.
func (v Value) IsNumber() bool { return v.Kind() == KindInt || v.Kind() == KindFloat }

// Bool is the bool of a KindBool.
func (v Value) Bool() bool { return v.bits != 0 }

// Int is the int of an KindInt.
func (v Value) Int() int64 { return int64(v.bits) }

// Float is the float of a KindFloat.
func (v Value) Float() float64 { return math.Float64frombits(v.bits) }

// Duration is the duration of a KindDuration.
func (v Value) Duration() time.Duration { return time.Duration(v.bits) }

// Str is the string of a KindString.
func (v Value) Str() string { return unsafe.String((*byte)(v.ptr), int(v.bits)) }

// BytesValue is the bytes of a KindBytes, shared.
func (v Value) BytesValue() []byte { return unsafe.Slice((*byte)(v.ptr), int(v.bits)) }

// Time is the time of a KindTime.
func (v Value) Time() time.Time {
	return time.Unix(int64(v.bits), int64(v.tag>>32)).In((*time.Location)(v.ptr))
}

// List is the list of a KindList, shared.
func (v Value) List() []any { return unsafe.Slice((*any)(v.ptr), int(v.bits)) }

// Map is the map of a KindMap, shared.
func (v Value) Map() map[string]any { return *(*map[string]any)(unsafe.Pointer(&v.ptr)) }

// Box is v as the plain Go value that expressions see: nil, bool, int, float64, string, []byte, time.Time, time.Duration,
// []any, map[string]any, or a Marker.
func (v Value) Box() any {
	switch v.Kind() {
	case KindBool:
		return v.Bool()
	case KindInt:
		return int(v.bits)
	case KindFloat:
		return v.Float()
	case KindString:
		return v.Str()
	case KindBytes:
		return v.BytesValue()
	case KindTime:
		return v.Time()
	case KindDuration:
		return v.Duration()
	case KindList:
		return v.List()
	case KindMap:
		return v.Map()
	case KindDelete, KindKeep:
		return Marker(v.Kind())
	}
	return nil
}
