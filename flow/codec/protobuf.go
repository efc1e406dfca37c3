package codec

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// ProtobufOptions are what a file says of its Protocol Buffers.
type ProtobufOptions struct {
	// File is the .proto file, as import statements would name it; Message the full name of a message in it.
	File, Message string
	// Open gives the text of a file that File imports, or of itself. It may be called by several goroutines.
	Open func(path string) (io.ReadCloser, error)
}

// ProtobufError is what is wrong with a .proto file; line and column count from 1.
type ProtobufError struct {
	File         string
	Line, Column int
	Reason       string
}

// Error names the place and the reason.
func (e *ProtobufError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

// Protobuf is one message of Protocol Buffers. Fields have the names of the .proto file. What has no presence is always there, with its
// default; an optional field, a message, or a field of a oneof is there only when it is set. Enums are the names of their values, or a
// number where there is none; maps have their keys as text; Timestamp is a time, Duration a duration, the wrappers are what they wrap,
// and Struct, Value and ListValue are plain values. An integer beyond int64 is an error. Fields that the .proto file does not know are
// not in the body, and are lost when it is written.
func Protobuf(ctx context.Context, o ProtobufOptions) (*Format, error) {
	var first *ProtobufError
	c := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: o.Open}), MaxParallelism: 1,
		Reporter: reporter.NewReporter(func(err reporter.ErrorWithPos) error {
			if first == nil {
				first = placedError(err)
			}
			return err
		}, nil),
	}
	files, err := c.Compile(ctx, o.File)
	var at reporter.ErrorWithPos
	if first == nil && errors.As(err, &at) {
		first = placedError(at)
	}
	switch {
	case first != nil:
		return nil, first
	case err != nil:
		return nil, err
	}
	d := files[0].FindDescriptorByName(protoreflect.FullName(o.Message))
	m, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s has no message %q%s", o.File, o.Message, messagesOf(files[0].Messages()))
	}
	return &Format{Name: "protobuf", Kind: document.Coded, Coder: &protobufCoder{m}, Media: "application/x-protobuf", Shape: protoShape(m, 0)}, nil
}

func placedError(err reporter.ErrorWithPos) *ProtobufError {
	at := err.GetPosition()
	return &ProtobufError{File: at.Filename, Line: at.Line, Column: at.Col, Reason: err.Unwrap().Error()}
}

func messagesOf(list protoreflect.MessageDescriptors) string {
	out := ""
	for i := range list.Len() {
		if out += ", "; i == 0 {
			out = "; there are: "
		}
		out += string(list.Get(i).FullName())
	}
	return out
}

type protobufCoder struct {
	message protoreflect.MessageDescriptor
}

func (c *protobufCoder) Decode(payload []byte) (value.Value, error) {
	m := dynamicpb.NewMessage(c.message)
	if err := (proto.UnmarshalOptions{RecursionLimit: MaxDepth}).Unmarshal(payload, m); err != nil {
		return value.Value{}, errors.New(withoutPrefix(err))
	}
	left := newBudget()
	x, err := fromMessage(m, &left, 0)
	if err != nil {
		return value.Value{}, err
	}
	return value.Unbox(x), nil
}

func (c *protobufCoder) Append(dst []byte, v value.Value) ([]byte, error) {
	m := dynamicpb.NewMessage(c.message)
	if err := toMessage(m, v.Box(), 0); err != nil {
		return dst, err
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m)
	if err != nil {
		return dst, errors.New(withoutPrefix(err))
	}
	return out, nil
}

// protoShape is what a message tells.
func protoShape(m protoreflect.MessageDescriptor, depth int) *Shape {
	if depth > maxShapeDepth {
		return nil
	}
	if isWellKnown(m) {
		return nil
	}
	out := &Shape{Kind: value.KindMap, Fields: map[string]*Shape{}}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		var shape *Shape
		switch {
		case f.IsMap():
			shape = &Shape{Kind: value.KindMap}
		case f.IsList():
			shape = &Shape{Kind: value.KindList, Elem: protoFieldShape(f, depth)}
		default:
			shape = protoFieldShape(f, depth)
		}
		out.Fields[string(f.Name())] = shape
	}
	return out
}

func protoFieldShape(f protoreflect.FieldDescriptor, depth int) *Shape {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return &Shape{Kind: value.KindBool}
	case protoreflect.StringKind:
		return &Shape{Kind: value.KindString}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return &Shape{Kind: value.KindFloat}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoShape(f.Message(), depth+1)
	case protoreflect.BytesKind, protoreflect.EnumKind:
		return nil
	default:
		return &Shape{Kind: value.KindInt}
	}
}
