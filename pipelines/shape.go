package pipelines

import "reflect"

// Shape is what the parts of a pipeline file that belong to no verb and no connector are decoded into. The reference and the editor
// schema are made of it, so that they cannot say anything but what the decoder does. Values that are decoded by what stands in them
// (sources, steps, tests) are *yamldoc.Value there, and have a type of their own here.
type Shape struct {
	File, Source, Sink, Node, NodeSteps, Step reflect.Type
	OnError, Retry, Table                     reflect.Type
	Test, Send, Stub, Expect, ExpectError     reflect.Type
}

// FileShape gives the types that this package decodes into.
func FileShape() Shape {
	return Shape{
		File: reflect.TypeFor[file](), Source: reflect.TypeFor[sourceCommon](), Sink: reflect.TypeFor[sinkCommon](),
		Node: reflect.TypeFor[nodeCommon](), NodeSteps: reflect.TypeFor[nodeSteps](), Step: reflect.TypeFor[stepCommon](),
		OnError: reflect.TypeFor[onError](), Retry: reflect.TypeFor[retry](), Table: reflect.TypeFor[tableEntry](),
		Test: reflect.TypeFor[testEntry](), Send: reflect.TypeFor[sendEntry](), Stub: reflect.TypeFor[stubEntry](),
		Expect: reflect.TypeFor[expectEntry](), ExpectError: reflect.TypeFor[expectError](),
	}
}
