package yamldoc

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/pipelines/diag"
)

// literal returns the text of a scalar field: interpolated, or as written for raw fields. ok is false when there is nothing
// to read: a finding was added, or an undefined variable was let pass.
func (c *Context) literal(v *Value, f field, want string) (text Text, ok bool) {
	if v.Kind() != KindScalar {
		c.WrongType(v, want)
		return Text{}, false
	}
	s := v.Scalar()
	if f.raw {
		return Text{Scalar: s}, c.NoVariable(s)
	}
	text, ok = c.Interpolate(v)
	return text, ok && !text.Undefined
}

// NoVariable adds a finding when a text that is taken as it is written (a name, a test) holds ${…}.
func (c *Context) NoVariable(s Scalar) bool {
	at, width, found := FindVariable(s.Text)
	if found {
		c.Findings.Add(s.Finding(diag.VariableNotAllowed, at, width, "variables are not replaced here", "write the text out"))
	}
	return !found
}

func (c *Context) decodeScalarType(v *Value, rv reflect.Value, f field) {
	if rv.Type() == scalarType {
		f.raw = true
	}
	if v.Kind() != KindScalar {
		c.WrongType(v, "a text")
		return
	}
	if rv.Type() == scalarType {
		rv.Set(reflect.ValueOf(v.Scalar()))
		return
	}
	if text, ok := c.literal(v, f, "a text"); ok {
		rv.Set(reflect.ValueOf(text))
	}
}

func (c *Context) decodeText(v *Value, into encoding.TextUnmarshaler, f field) {
	_, secret := into.(SecretField)
	if secret && v.Kind() == KindScalar {
		c.warnLiteral(v)
		defer c.allowSecrets()()
	}
	text, ok := c.literal(v, f, "a text")
	if !ok {
		return
	}
	if secret {
		c.keepField(text.Text)
	}
	if err := into.UnmarshalText([]byte(text.Text)); err != nil {
		c.badValue(v, &text, err)
	}
}

func (c *Context) decodeScalar(v *Value, rv reflect.Value, f field) {
	text, ok := c.literal(v, f, wanted(rv.Type(), f))
	if !ok {
		return
	}
	if _, rest, found := strings.Cut(text.Text, "{{"); found && c.NoTemplate != "" && rv.Kind() == reflect.String && strings.Contains(rest, "}}") {
		v.Finding(c.Findings, diag.ExpressionInLiteral, "nothing evaluates {{ }} in "+v.label(), c.NoTemplate)
		return
	}
	if err := setScalar(rv, text.Text, f); err != nil {
		c.badValue(v, &text, err)
	}
}

// scalarError is what is wrong with a scalar's text: what the field wants, what to write, and whether it was another type
// altogether.
type scalarError struct {
	want, hint string
	code       diag.Code
}

func (e *scalarError) Error() string { return "must be " + e.want }

func (c *Context) badValue(v *Value, text *Text, err error) {
	found := text.Shown()
	if raw := v.Scalar().Text; text.Replaced {
		found = fmt.Sprintf("%s, which is %s", shorten(raw), found)
	}
	subject := v.subject()
	var e *scalarError
	if !errors.As(err, &e) {
		message := err.Error()
		if text.Tainted {
			message = "the secret value cannot be used"
		}
		v.Finding(c.Findings, diag.BadValue, subject+": "+message, "")
		return
	}
	v.Finding(c.Findings, e.code, fmt.Sprintf("%s must be %s, found %s", subject, e.want, found), e.hint)
}

// wanted names what a field takes.
func wanted(t reflect.Type, f field) string {
	switch {
	case len(f.oneof) > 0:
		return "one of " + strings.Join(f.oneof, ", ")
	case t == durationType:
		return "a duration like 5s"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a text"
}

// setScalar reads a text as a field's type.
func setScalar(rv reflect.Value, text string, f field) error {
	want := wanted(rv.Type(), f)
	if len(f.oneof) > 0 && !contains(f.oneof, text) {
		hint := "write " + want
		if near := diag.Suggest(text, f.oneof); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return &scalarError{want, hint, diag.BadValue}
	}
	if rv.Type() == durationType {
		return setDuration(rv, text)
	}
	switch rv.Kind() {
	case reflect.String:
		rv.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return &scalarError{want, "write true or false", diag.WrongType}
		}
		rv.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, rv.Type().Bits())
		if err != nil {
			bits := rv.Type().Bits() - 1
			return numberError(want, fmt.Sprintf(" from %d to %d", int64(-1)<<bits, int64(1)<<bits-1), err)
		}
		rv.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, rv.Type().Bits())
		if err != nil {
			return numberError(want, fmt.Sprintf(" from 0 to %d", uint64(math.MaxUint64)>>(64-rv.Type().Bits())), unsignedError(text, err))
		}
		rv.SetUint(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(text, rv.Type().Bits())
		if err == nil && (math.IsInf(n, 0) || math.IsNaN(n) || strings.ContainsAny(text, "xX_")) {
			err = strconv.ErrSyntax
		}
		if err != nil {
			return numberError(want, " that is not so large", err)
		}
		rv.SetFloat(n)
	default:
		return fmt.Errorf("fields of type %s cannot be read", rv.Type())
	}
	return nil
}

// numberError tells a number that does not fit from a text that is none; bounds are the numbers that fit.
func numberError(want, bounds string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return &scalarError{want + bounds, "write a number that fits", diag.BadValue}
	}
	return &scalarError{want, "write " + want + " in plain digits", diag.WrongType}
}

// unsignedError makes a negative number one that does not fit.
func unsignedError(text string, err error) error {
	if jsonInt.MatchString(text) {
		return strconv.ErrRange
	}
	return err
}

func setDuration(rv reflect.Value, text string) error {
	d, err := time.ParseDuration(text)
	if err == nil && d >= 0 && text != "0" {
		rv.SetInt(int64(d))
		return nil
	}
	hint := "write a number and a unit: 200ms, 5s, 1m30s"
	if _, err := strconv.ParseUint(text, 10, 32); err == nil {
		hint = fmt.Sprintf("write the unit too: %ss, %sms", text, text)
	}
	return &scalarError{"a duration like 5s", hint, diag.WrongType}
}

// setDefault reads the default tag of a field.
func setDefault(rv reflect.Value, f field) error {
	switch target := rv.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return target.UnmarshalText([]byte(f.fallback))
	case *Text:
		target.Scalar.Text = f.fallback
		return nil
	case *Scalar:
		target.Text = f.fallback
		return nil
	}
	if rv.Kind() == reflect.Pointer {
		rv.Set(reflect.New(rv.Type().Elem()))
		return setDefault(rv.Elem(), f)
	}
	if rv.Kind() == reflect.Slice && rv.Type().Elem().Kind() == reflect.String {
		for _, word := range strings.Fields(f.fallback) {
			rv.Set(reflect.Append(rv, reflect.ValueOf(word).Convert(rv.Type().Elem())))
		}
		return nil
	}
	return setScalar(rv, f.fallback, f)
}
