// Package schema holds a JSON Schema that the messages of a source must follow: it compiles one, checks bodies against it, and says
// what it tells about their types. It reads no file and no network: a schema is one text, and a $ref that leads out of it is a problem.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millstream/millstream/flow/value"
)

// Schema is a compiled JSON Schema. It is immutable and safe for concurrent use.
type Schema struct{ compiled *jsonschema.Schema }

// Problem is why a text is no schema that can be used.
type Problem struct {
	// Path leads to the place in the schema: names of members and indexes of elements.
	Path []string
	// Message says what is wrong, Hint what to write instead; Hint may be empty.
	Message, Hint string
}

// base is the address that a schema has for its own references.
const base = "schema:///"

// errOutside answers every attempt to load something.
var errOutside = errors.New("outside")

type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(string) (any, error) { return nil, errOutside }

// Compile makes a schema of a JSON value of the kinds that value.Value.Box gives.
func Compile(doc any) (*Schema, *Problem) {
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return nil, &Problem{Message: "a JSON Schema is an object", Hint: "write { type: object, properties: {…} }"}
	}
	v, err := value.FromAny(doc)
	if err != nil {
		return nil, &Problem{Message: err.Error()}
	}
	text, err := value.AppendJSON(nil, v)
	if err != nil {
		return nil, &Problem{Message: err.Error()}
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, &Problem{Message: err.Error()}
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource(base, plain); err != nil {
		return nil, problem(err)
	}
	compiled, err := c.Compile(base)
	if err != nil {
		return nil, problem(err)
	}
	return &Schema{compiled}, nil
}

// problem puts an error of the compiler into our words.
func problem(err error) *Problem {
	var (
		load    *jsonschema.LoadURLError
		pattern *jsonschema.InvalidRegexError
		pointer *jsonschema.JSONPointerNotFoundError
		anchor  *jsonschema.AnchorNotFoundError
		invalid *jsonschema.SchemaValidationError
		inner   *jsonschema.ValidationError
	)
	switch {
	case errors.As(err, &load):
		return &Problem{Message: fmt.Sprintf("%s is outside of the schema, and nothing outside is read", strings.TrimPrefix(load.URL, base)),
			Hint: "put what it refers to under $defs and write $ref: \"#/$defs/name\""}
	case errors.As(err, &pattern):
		return &Problem{Path: pointed(pattern.URL), Message: fmt.Sprintf("the pattern %q cannot be read", pattern.Regex),
			Hint: "RE2 syntax, without look-around and back references"}
	case errors.As(err, &pointer):
		return &Problem{Message: fmt.Sprintf("the reference %s leads to nothing", strings.TrimPrefix(pointer.URL, base))}
	case errors.As(err, &anchor):
		return &Problem{Message: fmt.Sprintf("the reference %s leads to nothing", strings.TrimPrefix(anchor.Reference, base))}
	case errors.As(err, &invalid) && errors.As(invalid.Err, &inner):
		f := worst(inner)
		if n := len(f.path); n > 0 && f.path[n-1] == "type" {
			return &Problem{Path: f.path, Message: "there is no such type", Hint: "types: object, array, string, number, integer, boolean, null"}
		}
		return &Problem{Path: f.path, Message: f.in("the schema")}
	}
	return &Problem{Message: strings.ReplaceAll(err.Error(), base, "")}
}

// pointed are the parts of a JSON pointer behind the # of an address.
func pointed(url string) []string {
	_, pointer, _ := strings.Cut(url, "#/")
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer, "/")
	for i := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
	}
	return parts
}
