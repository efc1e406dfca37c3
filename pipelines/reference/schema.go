package reference

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Schema is the grammar as a JSON Schema, draft-07, for editors. It is as strict as a schema can be about a language whose fields take
// ${NAME}: a number may be a text with a variable in it.
func (g *Grammar) Schema() ([]byte, error) {
	s := schemer{definitions: map[string]any{}}
	top := s.structure(g.File)
	top["$schema"] = "http://json-schema.org/draft-07/schema#"
	top["title"] = "Millstream pipeline"
	top["allOf"] = []any{shapes()}
	top["definitions"] = s.definitions
	out, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// shapes are the two shapes of a file.
func shapes() map[string]any {
	not := func(keys ...string) map[string]any {
		var keyed []any
		for _, k := range keys {
			keyed = append(keyed, map[string]any{"required": []string{k}})
		}
		return map[string]any{"anyOf": keyed}
	}
	return map[string]any{"oneOf": []any{
		map[string]any{"required": []string{"from", "to"}, "not": not("sources", "nodes")},
		map[string]any{"required": []string{"sources", "sinks"}, "not": not("from", "steps", "to")},
	}}
}

type schemer struct{ definitions map[string]any }

type object = map[string]any

// variable is a text that ${…} is replaced in before it is read.
const variable = `\$\{.*\}`

func (s *schemer) of(t *Type) object {
	if t.Kind == Struct && t.Name != "" {
		if _, ok := s.definitions[t.Name]; !ok {
			s.definitions[t.Name] = object{} // a type may hold itself
			s.definitions[t.Name] = s.structure(t)
		}
		return object{"$ref": "#/definitions/" + t.Name}
	}
	switch t.Kind {
	case Struct:
		return s.structure(t)
	case List:
		return object{"type": "array", "items": s.of(t.Elem)}
	case Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem)}
	case Either:
		var types []any
		for _, one := range t.Types {
			types = append(types, s.of(one))
		}
		return object{"anyOf": types}
	case Literal:
		return object{}
	case Assignments:
		right := object{"anyOf": []any{scalar(), object{"type": "object"}, object{"type": "array"}}}
		return object{"type": "object", "minProperties": 1, "additionalProperties": right}
	case Cases:
		return object{"type": "object", "minProperties": 1, "additionalProperties": scalar(), "propertyNames": object{"pattern": namePattern}}
	default:
		return s.text(t)
	}
}

const namePattern = `^[a-z][a-z0-9_-]{0,62}$`

// scalar is any single value: fields take its text, whatever type YAML gives it.
func scalar() object { return object{"type": []string{"string", "number", "boolean"}} }

func (s *schemer) text(t *Type) object {
	if len(t.Words) > 0 {
		return words(t)
	}
	switch t.Kind {
	case Bool:
		return object{"anyOf": []any{object{"type": "boolean"}, object{"type": "string", "pattern": variable}}}
	case Int:
		return object{"anyOf": []any{object{"type": "integer"}, object{"type": "string", "pattern": `^[0-9]+$|` + variable}}}
	case Float:
		return object{"anyOf": []any{object{"type": "number"}, object{"type": "string", "pattern": variable}}}
	case Duration:
		return object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|` + variable}
	case Span:
		return object{"type": "string", "pattern": `^[0-9.a-zµ]+(\.\.[0-9.a-zµ]+)?$|` + variable}
	case Size:
		return object{"anyOf": []any{object{"type": "integer"}, object{"type": "string", "pattern": `^[0-9.]+ *([kKMGT]i?)?B?$|` + variable}}}
	case Rate:
		return object{"type": "string", "pattern": `^[0-9.]+ */ *[smh]$|` + variable}
	default:
		return scalar()
	}
}

func words(t *Type) object {
	var values []any
	for _, w := range t.Words {
		values = append(values, w)
		if n, err := strconv.Atoi(w); err == nil {
			values = append(values, n)
		}
	}
	if t.Raw {
		return object{"enum": values}
	}
	return object{"anyOf": []any{object{"enum": values}, object{"type": "string", "pattern": variable}}}
}

func (s *schemer) structure(t *Type) object {
	properties := object{}
	var required []string
	for i := range t.Fields {
		f := &t.Fields[i]
		properties[f.Name] = s.property(f)
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if t.Extensions {
		out["patternProperties"] = object{"^x-": object{}}
	}
	if _, connected := t.Field(useKey); connected {
		// What is required may come from the connection.
		if len(required) > 0 {
			out["anyOf"] = []any{object{"required": required}, object{"required": []string{useKey}}}
		}
		required = nil
		if out["anyOf"] == nil {
			out["type"] = []string{"object", "null"}
		}
	}
	if len(required) > 0 {
		out["required"] = required
	}
	if len(t.OneOf) > 0 {
		var one []any
		for _, key := range t.OneOf {
			one = append(one, object{"required": []string{key}})
		}
		out["oneOf"] = one
	}
	return out
}

func (s *schemer) property(f *Field) object {
	p := s.of(f.Type)
	if f.Doc == "" && f.Default == "" {
		return p
	}
	if _, isRef := p["$ref"]; isRef {
		p = object{"allOf": []any{p}} // draft-07 ignores what stands beside $ref
	}
	if f.Doc != "" {
		p["description"] = f.Doc
	}
	if f.Default != "" {
		p["default"] = f.Default
	}
	return p
}
