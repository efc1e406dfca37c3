// Package schema holds a JSON Schema that the messages of a source must follow: it compiles one, checks bodies against it, and says
// what it tells about their types. It reads no file and no network: what a $ref leads to comes from its caller, or is a problem.
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
	// Path leads to the place in the schema: names of members and indexes of elements. Address is the text that it is in, as CompileAt and
	// its load name them.
	Path    []string
	Address string
	// Message says what is wrong, Hint what to write instead; Hint may be empty. Both are empty when load has said it.
	Message, Hint string
}

// base is the address of a schema that stands alone.
const base = "schema:///"

// errOutside answers an attempt to load something, errSaid one whose finding has been made.
var (
	errOutside = errors.New("outside")
	errSaid    = errors.New("said")
)

// loader implements jsonschema.URLLoader.
type loader func(address string) (doc any, ok, said bool)

// Load implements jsonschema.URLLoader.
func (l loader) Load(address string) (any, error) {
	doc, ok, said := l(address)
	switch {
	case said:
		return nil, errSaid
	case !ok:
		return nil, errOutside
	}
	return plainDoc(doc)
}

// Compile makes a schema of a JSON value of the kinds that value.Value.Box gives. A $ref that leads out of it is a problem.
func Compile(doc any) (*Schema, *Problem) {
	return CompileAt(base, doc, func(string) (any, bool, bool) { return nil, false, false })
}

// CompileAt is Compile for a text that has an address, which is a URL, and may refer to others: load gives those. ok is false where
// there is nothing to read for this schema; said is true when load has told why it cannot be read.
func CompileAt(address string, doc any, load func(address string) (doc any, ok, said bool)) (*Schema, *Problem) {
	plain, err := plainDoc(doc)
	if err != nil {
		return nil, &Problem{Address: address, Message: err.Error(), Hint: "write { type: object, properties: {…} }"}
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(loader(load))
	if err := c.AddResource(address, plain); err != nil {
		return nil, problem(address, err)
	}
	compiled, err := c.Compile(address)
	if err != nil {
		return nil, problem(address, err)
	}
	return &Schema{compiled}, nil
}

// plainDoc makes of a JSON value what the compiler takes for one.
func plainDoc(doc any) (any, error) {
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return nil, errors.New("a JSON Schema is an object")
	}
	v, err := value.FromAny(doc)
	if err != nil {
		return nil, err
	}
	text, err := value.AppendJSON(nil, v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// problem puts an error of the compiler into our words.
func problem(address string, err error) *Problem {
	var (
		load    *jsonschema.LoadURLError
		pattern *jsonschema.InvalidRegexError
		pointer *jsonschema.JSONPointerNotFoundError
		anchor  *jsonschema.AnchorNotFoundError
		invalid *jsonschema.SchemaValidationError
		inner   *jsonschema.ValidationError
	)
	switch {
	case errors.As(err, &load) && errors.Is(load.Err, errSaid):
		return &Problem{}
	case errors.As(err, &load) && !errors.Is(load.Err, errOutside):
		return &Problem{Address: load.URL, Message: load.Err.Error()}
	case errors.As(err, &load):
		return outside(address, load.URL)
	case errors.As(err, &pattern):
		return &Problem{Address: withoutFragment(pattern.URL), Path: pointed(pattern.URL), Message: fmt.Sprintf("the pattern %q cannot be read", pattern.Regex),
			Hint: "RE2 syntax, without look-around and back references"}
	case errors.As(err, &pointer):
		return &Problem{Address: address, Message: fmt.Sprintf("the reference %s leads to nothing", relative(address, pointer.URL))}
	case errors.As(err, &anchor):
		return &Problem{Address: address, Message: fmt.Sprintf("the reference %s leads to nothing", relative(address, anchor.Reference))}
	case errors.As(err, &invalid) && errors.As(invalid.Err, &inner):
		f := worst(inner)
		if n := len(f.path); n > 0 && f.path[n-1] == "type" {
			return &Problem{Address: withoutFragment(invalid.URL), Path: f.path, Message: "there is no such type", Hint: "types: object, array, string, number, integer, boolean, null"}
		}
		return &Problem{Address: withoutFragment(invalid.URL), Path: f.path, Message: f.in("the schema")}
	}
	return &Problem{Address: address, Message: strings.ReplaceAll(err.Error(), base, "")}
}

// outside says why what a schema refers to is not read.
func outside(address, target string) *Problem {
	p := &Problem{Address: address, Message: relative(address, target) + " is outside of the schema, and nothing outside is read",
		Hint: "put what it refers to under $defs and write $ref: \"#/$defs/name\""}
	switch {
	case strings.HasPrefix(target, "http:"), strings.HasPrefix(target, "https:"):
		p.Message = target + " is on the network, and a schema is not read from there"
	case address != base && strings.HasPrefix(target, base):
		p.Message = relative(address, target) + " is outside of the schema's directory, and nothing outside is read"
	}
	if address != base {
		p.Hint = "put it beside the schema and write $ref: \"name.json\", or put what it refers to under $defs and write $ref: \"#/$defs/name\""
	}
	return p
}

// relative is a target as a text at an address may have written it.
func relative(address, target string) string {
	if rest, ok := strings.CutPrefix(target, address); ok {
		return rest
	}
	dir := address[:strings.LastIndexByte(address, '/')]
	if rest, ok := strings.CutPrefix(target, dir+"/"); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(target, dir[:strings.LastIndexByte(dir, '/')+1]); ok && len(dir) > len(base) {
		return "../" + rest
	}
	return strings.TrimPrefix(target, strings.TrimSuffix(base, "/"))
}

// withoutFragment is an address without its fragment.
func withoutFragment(url string) string {
	address, _, _ := strings.Cut(url, "#")
	return address
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
