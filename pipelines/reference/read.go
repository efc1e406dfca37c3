package reference

import (
	"encoding"
	"reflect"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Described is implemented, on pointers, by configuration types that read themselves from YAML: it names the Kind of what they take.
type Described interface{ FieldKind() string }

// special are the types whose kind no reflection can tell, by package and name.
var special = map[string]Kind{
	"config.Expression": Expression, "config.Template": Template, "config.Secret": Secret, "config.Size": Size, "config.Rate": Rate,
	"time.Duration": Duration, "yamldoc.Text": Text, "yamldoc.Scalar": Text, "yamldoc.Value": Literal,
	"config.Schema":  Literal,
	"pipelines.some": Int, "pipelines.someBytes": Size, "pipelines.backoff": Span,
	"transform.Lines": Assignments, "route.Cases": Cases,
}

// reader makes Types of Go types. Structs met twice give one Type.
type reader struct {
	comments Comments
	// own are the types that are read in a way of their own: the codec, the file's deferred values.
	own   map[string]*Type
	known map[reflect.Type]*Type
	// unknown are types that read themselves and do not say what they take.
	unknown []string
}

func newReader(comments Comments) *reader {
	return &reader{comments: comments, own: map[string]*Type{}, known: map[reflect.Type]*Type{}}
}

var (
	unmarshaler     = reflect.TypeFor[yamldoc.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	described       = reflect.TypeFor[Described]()
)

func (r *reader) typeOf(t reflect.Type) *Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if own, ok := r.own[t.String()]; ok {
		return own
	}
	if kind, ok := special[t.String()]; ok {
		return &Type{Kind: kind}
	}
	p := reflect.PointerTo(t)
	if p.Implements(described) {
		if d, ok := reflect.New(t).Interface().(Described); ok {
			return &Type{Kind: Kind(d.FieldKind())}
		}
	}
	if t.Kind() != reflect.Struct && p.Implements(textUnmarshaler) {
		return &Type{Kind: Text}
	}
	if p.Implements(unmarshaler) || p.Implements(textUnmarshaler) {
		r.unknown = append(r.unknown, t.String())
		return &Type{Kind: Literal}
	}
	return r.plain(t)
}

func (r *reader) plain(t reflect.Type) *Type {
	switch t.Kind() {
	case reflect.String:
		return &Type{Kind: Text}
	case reflect.Bool:
		return &Type{Kind: Bool}
	case reflect.Float32, reflect.Float64:
		return &Type{Kind: Float}
	case reflect.Slice:
		return &Type{Kind: List, Elem: r.typeOf(t.Elem())}
	case reflect.Map:
		return &Type{Kind: Map, Elem: r.typeOf(t.Elem())}
	case reflect.Struct:
		return r.structOf(t)
	case reflect.Interface:
		return &Type{Kind: Literal}
	}
	if t.ConvertibleTo(reflect.TypeFor[int64]()) {
		return &Type{Kind: Int}
	}
	r.unknown = append(r.unknown, t.String())
	return &Type{Kind: Literal}
}

func (r *reader) structOf(t reflect.Type) *Type {
	if known, ok := r.known[t]; ok {
		return known
	}
	s := &Type{Kind: Struct}
	if t.Name() != "" {
		s.Name = t.String()
	}
	r.known[t] = s
	s.Fields = r.fieldsOf(t)
	return s
}

// fieldsOf reads the tags that yamldoc.Decode documents.
func (r *reader) fieldsOf(t reflect.Type) []Field {
	var fields []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			fields = append(fields, r.fieldsOf(sf.Type)...)
			continue
		case name == "-" || name == "" || !sf.IsExported():
			continue
		}
		f := Field{
			Name: name, Type: r.typeOf(sf.Type), Default: sf.Tag.Get("default"), Required: sf.Tag.Get("required") == "true",
			Doc: r.comments.field(t, sf.Name),
		}
		words, raw := strings.Fields(sf.Tag.Get("oneof")), option == "raw"
		if len(words) > 0 || raw {
			f.Type = restricted(f.Type, words, raw)
		}
		fields = append(fields, f)
	}
	return fields
}

func restricted(t *Type, words []string, raw bool) *Type {
	c := *t
	if (t.Kind == List || t.Kind == Map) && t.Elem != nil {
		c.Elem = restricted(t.Elem, words, raw)
		return &c
	}
	c.Words, c.Raw = words, raw
	return &c
}

// verb reads the configuration of a verb: the field of its name, and the options beside it.
func (r *reader) verb(t config.NodeType) []Field { return r.fieldsOf(reflect.TypeOf(t.New()).Elem()) }

// connector reads one side of a connector as the value of its key. Its options may also come from a connection.
func (r *reader) connector(name, side, doc string, config any) *Type {
	t := reflect.TypeOf(config).Elem()
	s := &Type{Kind: Struct, Name: name + "." + side, Fields: r.fieldsOf(t)}
	s.Fields = append(s.Fields, Field{Name: useKey, Type: &Type{Kind: Text}, Doc: useDoc})
	return s
}

const (
	useKey = "use"
	useDoc = "The connection whose options hold here too. An option stands here or there, not in both."
)
