package yamldoc

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/millstream/millstream/pipelines/diag"
)

// field is what the tags of a struct field say.
type field struct {
	name       string
	index      []int
	raw        bool
	secrets    bool
	required   bool
	hasDefault bool
	fallback   string
	oneof      []string
}

// element is what holds for the elements of a list or mapping in the field.
func (f field) element() field { return field{raw: f.raw, oneof: f.oneof} }

// knownFields keeps what fieldsOf has found: types do not change, and each file is read with the same ones.
var knownFields sync.Map

// fieldsOf lists the fields of a struct type in order, those of inlined structs in their place. The list is shared.
func fieldsOf(t reflect.Type) []field {
	if known, ok := knownFields.Load(t); ok {
		return known.([]field) //nolint:forcetypeassert // nothing else is stored
	}
	fields := readFields(t)
	knownFields.Store(t, fields)
	return fields
}

func readFields(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, option, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			for _, inner := range fieldsOf(sf.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
			continue
		case name == "-" || name == "" || !sf.IsExported():
			continue
		}
		fallback, hasDefault := sf.Tag.Lookup("default")
		fields = append(fields, field{
			name: name, index: []int{i}, raw: option == "raw", secrets: sf.Tag.Get("secrets") == "allowed", required: sf.Tag.Get("required") == "true",
			hasDefault: hasDefault, fallback: fallback, oneof: strings.Fields(sf.Tag.Get("oneof")),
		})
	}
	return fields
}

// KnownKeys lists the keys a struct takes, in the order of its fields; into is the struct or a pointer to it.
func KnownKeys(into any) []string {
	t := reflect.TypeOf(into)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return names(fieldsOf(t))
}

func names(fields []field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return all
}

func (c *Context) decodeStruct(v *Value, rv reflect.Value) {
	if kind := v.Kind(); kind != KindMapping && kind != KindNull {
		c.WrongType(v, "a mapping")
		return
	}
	fields := fieldsOf(rv.Type())
	known := names(fields)
	defer c.Enter(v, known...)()
	excused := map[string]bool{}
	byName := map[string]field{}
	for _, f := range fields {
		byName[f.name] = f
	}
	entries := v.Entries()
	written := map[string]*Value{}
	for _, e := range entries {
		written[e.Key.Text] = e.Value
	}
	for _, e := range entries {
		f, ok := byName[e.Key.Text]
		if !ok && v.parent == nil && strings.HasPrefix(e.Key.Text, "x-") {
			continue
		}
		if !ok {
			if !c.innerPlace(e, written, fields, rv.Type()) && !c.missingPlace(e, written, fields, rv.Type()) {
				excused[c.UnknownKey(e, known)] = true
			}
			continue
		}
		excused[f.name] = true
		c.decode(e.Value, rv.FieldByIndex(f.index), f)
	}
	for _, f := range fields {
		if !excused[f.name] {
			c.fillMissing(v, rv.FieldByIndex(f.index), f)
		}
	}
}

// innerPlace reports a key that stands beside the mapping it belongs into.
func (c *Context) innerPlace(e Entry, written map[string]*Value, fields []field, t reflect.Type) bool {
	for _, f := range fields {
		sibling, ok := written[f.name]
		if !ok || sibling.Kind() == KindScalar || !contains(innerKeys(t.FieldByIndex(f.index).Type), e.Key.Text) {
			continue
		}
		c.Inside(e, f.name)
		return true
	}
	return false
}

// missingPlace reports a key that belongs into a mapping which is not written, where only one takes it.
func (c *Context) missingPlace(e Entry, written map[string]*Value, fields []field, t reflect.Type) bool {
	if _, outer := c.outerPlace(e); outer {
		return false
	}
	into := ""
	for _, f := range fields {
		if _, there := written[f.name]; there || !contains(innerKeys(t.FieldByIndex(f.index).Type), e.Key.Text) {
			continue
		}
		if into != "" {
			return false
		}
		into = f.name
	}
	if into == "" {
		return false
	}
	c.misplaced(e, fmt.Sprintf("write %s: { %s: … }", into, e.Key.Text))
	return true
}

// Inside reports a key that stands beside the mapping it belongs into.
func (c *Context) Inside(e Entry, into string) {
	c.misplaced(e, fmt.Sprintf("it belongs one level down, into %q", into))
}

func (c *Context) misplaced(e Entry, hint string) {
	c.Findings.Add(e.Key.Whole(diag.MisplacedKey, fmt.Sprintf("%q does not belong %s", e.Key.Text, inside(e.Value.parent)), hint))
}

// innerKeys are the keys a type knows when it is read from a mapping.
func innerKeys(t reflect.Type) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	zero := reflect.New(t).Interface()
	if knower, ok := zero.(KeyKnower); ok {
		return knower.KnownKeys()
	}
	if _, custom := zero.(Unmarshaler); custom || t.Kind() != reflect.Struct || t == scalarType || t == textType {
		return nil
	}
	return names(fieldsOf(t))
}

// fillMissing sets the default of a field whose key is not written, or says that the key must be.
func (c *Context) fillMissing(v *Value, rv reflect.Value, f field) {
	switch {
	case f.hasDefault:
		if err := setDefault(rv, f); err != nil {
			c.Findings.Add(v.place().Whole(diag.BadValue, fmt.Sprintf("the default %q of %s cannot be read: %v", f.fallback, f.name, err), ""))
		}
	case f.required:
		c.Findings.Add(v.place().Whole(diag.MissingKey, fmt.Sprintf("%q is missing%s", f.name, in(v)),
			fmt.Sprintf("write %s: %s", f.name, placeholder(rv.Type(), f))))
	case hasDefaults(rv):
		c.fillDefaults(v, rv)
	}
}

// hasDefaults tells whether a plain nested struct was left out: its own defaults hold all the same.
func hasDefaults(rv reflect.Value) bool {
	if rv.Kind() != reflect.Struct || rv.Type() == scalarType || rv.Type() == textType {
		return false
	}
	_, custom := rv.Addr().Interface().(Unmarshaler)
	return !custom
}

func (c *Context) fillDefaults(v *Value, rv reflect.Value) {
	for _, f := range fieldsOf(rv.Type()) {
		f.required = false
		c.fillMissing(v, rv.FieldByIndex(f.index), f)
	}
}

// place is where a finding about a mapping as a whole points: its key, or its start.
func (v *Value) place() *Scalar {
	if v.key != nil {
		return v.key
	}
	s := v.Scalar()
	return &s
}

// placeholder shows what sort of value a missing key wants.
func placeholder(t reflect.Type, f field) string {
	if len(f.oneof) > 0 {
		return strings.Join(f.oneof, " | ")
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == durationType:
		return "5s"
	case t.Kind() == reflect.Bool:
		return "true | false"
	case t.Kind() == reflect.Slice:
		return "[…]"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct && len(innerKeys(t)) > 0:
		return "{…}"
	}
	return "…"
}
