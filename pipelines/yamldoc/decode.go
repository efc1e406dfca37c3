package yamldoc

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/millstream/millstream/pipelines/diag"
)

// Unmarshaler is implemented (on pointers) by types that read themselves from a value. They add what is wrong to
// c.Findings, and are called for every kind of value, null included, but not for values that have a finding already.
type Unmarshaler interface {
	UnmarshalYAMLDoc(v *Value, c *Context)
}

// KeyKnower is implemented by Unmarshalers that read a mapping, to say which keys they know; a key that stands one level too
// far out is then recognised.
type KeyKnower interface {
	KnownKeys() []string
}

// Decode fills the variable into points at from v and returns whether it did so without adding an error.
//
// Structs take mappings, by the tags of their fields:
//
//	yaml:"name"          the key; yaml:"-" leaves a field out, yaml:",inline" takes an embedded struct's keys in here
//	yaml:"name,raw"      the text of the file: ${…} in it is a finding
//	default:"text"       read as if it was written when the key is missing
//	required:"true"      a missing key is a finding
//	oneof:"a b c"        the words a string may be
//	secrets:"allowed"    takes secret variables, which are a finding elsewhere but for fields of a SecretField: what is in the field is
//	                     not shown
//
// At the top of a document keys that start with x- are ignored: a place for anchors.
//
// Fields are string, bool, ints, floats, time.Duration, slices, map[string]T, structs, pointers (nil when the key is
// missing), Unmarshalers, encoding.TextUnmarshalers (given the text after interpolation), *Value (kept for later), Scalar (the text
// of the file), Text (interpolated) and any (a JSON literal). Every unknown key is a finding.
func Decode(v *Value, into any, c *Context) bool {
	before := c.Findings.ErrorCount()
	c.decode(v, reflect.ValueOf(into).Elem(), field{})
	return c.Findings.ErrorCount() == before
}

var (
	valueType    = reflect.TypeFor[*Value]()
	scalarType   = reflect.TypeFor[Scalar]()
	textType     = reflect.TypeFor[Text]()
	durationType = reflect.TypeFor[time.Duration]()

	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// decode fills rv, which is addressable.
func (c *Context) decode(v *Value, rv reflect.Value, f field) {
	if v.Broken() {
		return
	}
	if f.secrets && !c.secretsAllowed {
		defer c.allowSecrets()()
	}
	switch unmarshaler := rv.Addr().Interface().(type) {
	case Unmarshaler:
		unmarshaler.UnmarshalYAMLDoc(v, c)
		return
	case encoding.TextUnmarshaler:
		c.decodeText(v, unmarshaler, f)
		return
	}
	switch rv.Type() {
	case valueType:
		rv.Set(reflect.ValueOf(v))
		return
	case scalarType, textType:
		c.decodeScalarType(v, rv, f)
		return
	}
	switch rv.Kind() {
	case reflect.Pointer:
		rv.Set(reflect.New(rv.Type().Elem()))
		c.decode(v, rv.Elem(), f)
	case reflect.Struct:
		c.decodeStruct(v, rv)
	case reflect.Slice:
		c.decodeSlice(v, rv, f)
	case reflect.Map:
		c.decodeMap(v, rv, f)
	case reflect.Interface:
		if literal, ok := c.JSONLiteral(v); ok && literal != nil {
			rv.Set(reflect.ValueOf(literal))
		}
	default:
		c.decodeScalar(v, rv, f)
	}
}

func (c *Context) decodeSlice(v *Value, rv reflect.Value, f field) {
	if v.Kind() != KindSequence {
		c.wrongType(v, "a list", listHint(v))
		return
	}
	element := rv.Type().Elem()
	rv.Set(reflect.MakeSlice(rv.Type(), 0, len(v.Items())))
	for _, item := range v.Items() {
		if takesText(element) && !f.raw && item.Kind() == KindScalar && onlyVariable(item.Scalar().Text) {
			c.splitVariable(item, rv, f.element())
			continue
		}
		target := reflect.New(element).Elem()
		c.decode(item, target, f.element())
		rv.Set(reflect.Append(rv, target))
	}
}

// takesText tells whether the elements of a list are read from text alone.
func takesText(element reflect.Type) bool {
	return element.Kind() == reflect.String || reflect.PointerTo(element).Implements(textUnmarshaler)
}

// splitVariable appends the parts of a variable that stands for several list elements.
func (c *Context) splitVariable(item *Value, rv reflect.Value, f field) {
	element := rv.Type().Elem()
	if _, secret := reflect.New(element).Interface().(SecretField); secret {
		c.warnLiteral(item)
		defer c.allowSecrets()()
	}
	text, ok := c.Interpolate(item)
	if !ok || text.Undefined {
		return
	}
	for part := range strings.SplitSeq(text.Text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		target := reflect.New(element)
		if err := c.setText(target, part, f); err != nil {
			c.badValue(item, &text, err)
			return
		}
		rv.Set(reflect.Append(rv, target.Elem()))
	}
}

// setText reads a part of a text as an element of a list, to which target points.
func (c *Context) setText(target reflect.Value, part string, f field) error {
	into, ok := target.Interface().(encoding.TextUnmarshaler)
	if !ok {
		return setScalar(target.Elem(), part, f)
	}
	if _, secret := into.(SecretField); secret {
		c.keepField(part)
	}
	return into.UnmarshalText([]byte(part))
}

// allowSecrets lets texts hold secrets until it is called back.
func (c *Context) allowSecrets() (restore func()) {
	before := c.secretsAllowed
	c.secretsAllowed = true
	return func() { c.secretsAllowed = before }
}

func (c *Context) decodeMap(v *Value, rv reflect.Value, f field) {
	if v.Kind() != KindMapping {
		c.WrongType(v, "a mapping")
		return
	}
	rv.Set(reflect.MakeMap(rv.Type()))
	for _, e := range v.Entries() {
		target := reflect.New(rv.Type().Elem()).Elem()
		c.decode(e.Value, target, f.element())
		rv.SetMapIndex(reflect.ValueOf(e.Key.Text).Convert(rv.Type().Key()), target)
	}
}

// WrongType adds the finding that something else stands where want ("a text", "a list") is wanted.
func (c *Context) WrongType(v *Value, want string) { c.wrongType(v, want, "") }

func (c *Context) wrongType(v *Value, want, hint string) {
	if v.Broken() {
		return
	}
	if hint == "" {
		hint = "write " + want
	}
	message := fmt.Sprintf("%s must be %s, found %s", v.subject(), want, v.describe())
	if v.Kind() == KindNull {
		message = v.subject() + " has no value"
	}
	v.Finding(c.Findings, diag.WrongType, message, hint)
}

// describe says what stands in the file, for messages.
func (v *Value) describe() string {
	switch v.Kind() {
	case KindMapping:
		return "a mapping"
	case KindSequence:
		return "a list"
	case KindNull:
		return "nothing"
	}
	return fmt.Sprintf("%q", shorten(v.Scalar().Text))
}

func shorten(text string) string {
	const most = 40
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}

func listHint(v *Value) string {
	if v.Kind() == KindScalar && !strings.ContainsAny(v.Scalar().Text, "\n") {
		return fmt.Sprintf("write a list: [%s]", flowText(v))
	}
	return "write a list: [a, b], or one element a line after a dash"
}

// flowText is the text as it can stand in a flow list.
func flowText(v *Value) string {
	text := v.Scalar().Text
	if v.Style() != StylePlain || strings.ContainsAny(text, ",[]{}#:$\"'") {
		return fmt.Sprintf("%q", text)
	}
	return text
}
