package reference

import (
	"reflect"
	"slices"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

// Grammar is everything that may stand in a pipeline file, for one registry of verbs and connectors.
type Grammar struct {
	// File is the outermost mapping.
	File *Type
	// Verbs and Connectors are in the order of the registry.
	Verbs      []Verb
	Connectors []Connector
	// Codecs are what decode and encode may name.
	Codecs []Codec
	// Unknown are Go types that read themselves from YAML and do not say what they take; a test wants none.
	Unknown []string
	// Undocumented are fields without a doc comment, as type.field; a test wants none.
	Undocumented []string
}

// Verb is a verb with the options that stand beside it; the first field is the verb's own key.
type Verb struct {
	Name, Doc string
	NodeOnly  bool
	Fields    []Field
}

// Connector is a connector; a side that it does not have is nil.
type Connector struct {
	Name, Doc    string
	Source, Sink *Type
}

// NewGrammar reads a registry, with doc comments.
func NewGrammar(registry *config.Registry, comments Comments) *Grammar {
	g := &Grammar{}
	b := &builder{reader: newReader(comments), grammar: g, shape: pipelines.FileShape()}
	b.ownTypes()
	for _, t := range registry.Nodes {
		b.addVerb(t)
	}
	for _, t := range registry.Connectors {
		b.addConnector(t)
	}
	g.File = b.file()
	g.Unknown = slices.Compact(slices.Sorted(slices.Values(b.unknown)))
	return g
}

type builder struct {
	*reader
	grammar *Grammar
	shape   pipelines.Shape
}

// ownTypes are read in a way of their own wherever they stand.
func (b *builder) ownTypes() {
	b.codecs()
	retry := b.documented("retry", b.shape.Retry)
	b.own["pipelines.retry"] = &Type{Kind: Either, Types: []*Type{{Kind: Text, Words: []string{"none"}}, retry}}
	b.own["pipelines.onError"] = b.documented("on_error", b.shape.OnError)
}

func (b *builder) addVerb(t config.NodeType) {
	v := Verb{Name: t.Name, Doc: t.Doc, NodeOnly: t.NodeOnly, Fields: b.verb(t)}
	b.note(t.Name, v.Fields)
	b.grammar.Verbs = append(b.grammar.Verbs, v)
}

func (b *builder) addConnector(t config.ConnectorType) {
	c := Connector{Name: t.Name, Doc: t.Doc}
	if t.NewSource != nil {
		c.Source = b.connector(t.Name, "source", t.Doc, t.NewSource())
		b.note(c.Source.Name, c.Source.Fields)
	}
	if t.NewSink != nil {
		c.Sink = b.connector(t.Name, "sink", t.Doc, t.NewSink())
		b.note(c.Sink.Name, c.Sink.Fields)
	}
	b.grammar.Connectors = append(b.grammar.Connectors, c)
}

// note collects the fields without a doc.
func (b *builder) note(owner string, fields []Field) {
	for _, f := range fields {
		name := owner + "." + f.Name
		if f.Doc == "" && !slices.Contains(b.grammar.Undocumented, name) {
			b.grammar.Undocumented = append(b.grammar.Undocumented, name)
		}
		if f.Type.Kind == Struct {
			b.note(name, f.Type.Fields)
		}
	}
}

// documented reads a struct of the language itself under the name that its keys have in keyDocs.
func (b *builder) documented(name string, t reflect.Type) *Type {
	s := &Type{Kind: Struct, Name: name, Fields: b.fieldsOf(t)}
	for i := range s.Fields {
		s.Fields[i].Doc = keyDocs[name+"."+s.Fields[i].Name]
	}
	b.note(name, s.Fields)
	s.common = len(s.Fields)
	return s
}

// set gives fields whose value is decoded by what stands in it their type.
func set(t *Type, types map[string]*Type) {
	for i := range t.Fields {
		if given, ok := types[t.Fields[i].Name]; ok {
			t.Fields[i].Type = given
		}
	}
}

func (b *builder) file() *Type {
	file := b.documented("pipeline", b.shape.File)
	file.Extensions = true
	source, sink := b.component("source"), b.component("sink")
	step := b.step()
	steps := &Type{Kind: List, Elem: step}
	set(file, map[string]*Type{
		"vars": {Kind: Map, Elem: &Type{Kind: Literal}}, "connections": {Kind: Map, Elem: b.component("connection")},
		"from": source, "steps": steps, "to": {Kind: Either, Types: []*Type{sink, {Kind: List, Elem: sink}}},
		"sources": {Kind: Map, Elem: source}, "nodes": {Kind: Map, Elem: b.node(steps)}, "sinks": {Kind: Map, Elem: sink},
		"delivery":   {Kind: Text, Words: []string{"at_least_once", "exactly_once", "at_most_once"}, Raw: true},
		"millstream": {Kind: Text, Words: []string{"1"}, Raw: true},
		"tables":     {Kind: Map, Elem: b.documented("table", b.shape.Table)}, "tests": {Kind: List, Elem: b.test()},
	})
	if name, ok := file.Field("name"); ok {
		name.Required = true
		name.Type = &Type{Kind: Text, Raw: true}
	}
	for _, key := range []string{"env", "limits"} {
		if f, ok := file.Field(key); ok {
			b.document(key, f.Type)
		}
	}
	return file
}

// document gives the fields of a mapping further in their lines.
func (b *builder) document(name string, t *Type) {
	if t.Kind == Map {
		t = t.Elem
	}
	t.Name = name
	for i := range t.Fields {
		t.Fields[i].Doc = keyDocs[name+"."+t.Fields[i].Name]
		whole := func(u string) bool { return u == "pipeline."+name+"."+t.Fields[i].Name && t.Fields[i].Doc != "" }
		b.grammar.Undocumented = slices.DeleteFunc(b.grammar.Undocumented, whole)
	}
}

// component is a source, sink or connection: what it has in common with others, and one connector.
func (b *builder) component(side string) *Type {
	t := &Type{Kind: Struct, Name: side}
	switch side {
	case "source":
		t = b.documented(side, b.shape.Source)
	case "sink":
		t = b.documented(side, b.shape.Sink)
		set(t, map[string]*Type{"from": refs()})
	}
	for _, c := range b.grammar.Connectors {
		settings := c.Source
		if side == "sink" {
			settings = c.Sink
		}
		if side == "connection" {
			settings = shared(c)
		}
		if settings == nil {
			continue
		}
		t.Fields = append(t.Fields, Field{Name: c.Name, Type: settings, Doc: c.Doc})
		t.OneOf = append(t.OneOf, c.Name)
	}
	return t
}

// shared are the options of a connector that a connection may hold: those of either side, none of which it must.
func shared(c Connector) *Type {
	t := &Type{Kind: Struct, Name: c.Name + ".connection"}
	for _, side := range []*Type{c.Source, c.Sink} {
		if side == nil {
			continue
		}
		for _, f := range side.Fields {
			if _, twice := t.Field(f.Name); twice || f.Name == useKey {
				continue
			}
			f.Required, f.Default = false, ""
			t.Fields = append(t.Fields, f)
		}
	}
	return t
}

func refs() *Type {
	return &Type{Kind: Either, Types: []*Type{{Kind: Text, Raw: true}, {Kind: List, Elem: &Type{Kind: Text, Raw: true}}}}
}

func (b *builder) step() *Type {
	t := b.documented("step", b.shape.Step)
	for _, v := range b.grammar.Verbs {
		if !v.NodeOnly {
			t.addVerb(v)
		}
	}
	return t
}

func (b *builder) node(steps *Type) *Type {
	t := b.documented("node", b.shape.NodeSteps)
	set(t, map[string]*Type{"from": refs(), "steps": steps})
	if from, ok := t.Field("from"); ok {
		from.Required = true
	}
	t.OneOf = []string{"steps"}
	for _, v := range b.grammar.Verbs {
		t.addVerb(v)
	}
	return t
}

// addVerb adds the fields of a verb. Of options that several verbs have, the first is shown.
func (t *Type) addVerb(v Verb) {
	for _, f := range v.Fields {
		f.Required = false
		if f.Name == v.Name {
			f.Doc = v.Doc + " " + f.Doc
		}
		if _, twice := t.Field(f.Name); !twice {
			t.Fields = append(t.Fields, f)
		}
	}
	t.OneOf = append(t.OneOf, v.Name)
}

func (b *builder) test() *Type {
	t := b.documented("test", b.shape.Test)
	message := b.documented("expect", b.shape.Expect)
	failure := b.documented("expect_error", b.shape.ExpectError)
	set(t, map[string]*Type{
		"send":   {Kind: List, Elem: b.documented("send", b.shape.Send)},
		"stub":   {Kind: Map, Elem: &Type{Kind: List, Elem: b.documented("stub", b.shape.Stub)}},
		"expect": {Kind: Map, Name: "expectations", Elem: &Type{Kind: Either, Types: []*Type{{Kind: List, Elem: message}, failure}}},
	})
	return t
}
