package reference

// Kind is what sort of value a field takes.
type Kind string

// The kinds. The words are those of the reference.
const (
	Text     Kind = "text"
	Bool     Kind = "true or false"
	Int      Kind = "whole number"
	Float    Kind = "number"
	Duration Kind = "duration"
	Span     Kind = "durations" // 200ms..30s
	Size     Kind = "size"
	Rate     Kind = "rate"
	Secret   Kind = "secret"
	// Expression is evaluated per message, Template is a text with {{ expressions }} in it.
	Expression Kind = "expression"
	Template   Kind = "template"
	// Literal is any JSON value.
	Literal Kind = "any value"
	// Struct has named fields, Map the same sort of value under names of the user's choice, List elements.
	Struct Kind = "mapping"
	Map    Kind = "mapping of names"
	List   Kind = "list"
	// Assignments are the lines of transform: targets to expressions, or to mappings and lists of them.
	Assignments Kind = "mapping of targets to expressions"
	// Cases are the cases of route.
	Cases Kind = "mapping of cases to expressions"
	// Either is one of several types.
	Either Kind = "either"
)

// Type describes a value. Types refer to each other and may be shared, never changed.
type Type struct {
	Kind Kind
	// Name is set for types that a schema gives a definition of their own.
	Name string
	// Fields of a Struct, in the order of the reference.
	Fields []Field
	// OneOf are the fields of a Struct of which exactly one must stand: the connector of a source, the verb of a step.
	OneOf []string
	// common is how many of Fields stand beside every connector or verb.
	common int
	// Extensions lets keys that begin with x- stand in a Struct.
	Extensions bool
	// Elem is what a List or Map holds.
	Elem *Type
	// Words are the only texts allowed, when there are any.
	Words []string
	// Raw texts take no ${…}.
	Raw bool
	// Called says what it takes in words of its own; "" where its parts say it.
	Called string
	// Types are those of an Either.
	Types []*Type
}

// Field is a key of a Struct.
type Field struct {
	Name string
	Type *Type
	// Doc is what the field is for: sentences.
	Doc string
	// Default is what holds when the key is left out, as it would be written; "" when there is none.
	Default  string
	Required bool
}

// Field finds a key.
func (t *Type) Field(name string) (*Field, bool) {
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return &t.Fields[i], true
		}
	}
	return nil, false
}
