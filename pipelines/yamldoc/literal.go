package yamldoc

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/millstream/millstream/pipelines/diag"
)

// JSONLiteral reads a value as JSON would: map[string]any, []any, string, bool, nil, int and float64. A number without point
// and exponent that fits is an int, exactly. Plain texts that some YAML dialect reads as a number, a bool or null but JSON does not are
// findings; dates are strings. Nothing is interpolated: ${…} stays as it is, and callers that forbid it use NoVariable.
func (c *Context) JSONLiteral(v *Value) (literal any, ok bool) {
	if v.Broken() {
		return nil, false
	}
	switch v.Kind() {
	case KindMapping:
		object := map[string]any{}
		good := true
		for _, e := range v.Entries() {
			value, ok := c.JSONLiteral(e.Value)
			good = good && ok
			object[e.Key.Text] = value
		}
		return object, good
	case KindSequence:
		list := []any{}
		good := true
		for _, item := range v.Items() {
			value, ok := c.JSONLiteral(item)
			good = good && ok
			list = append(list, value)
		}
		return list, good
	case KindNull:
		return nil, true
	}
	return c.jsonScalar(v)
}

var (
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	jsonInt    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	// lookalike is what YAML 1.1 or 1.2 takes for a number and JSON does not: signs, leading zeros, other bases, underscores,
	// missing digits around the point, infinities, and base 60 is left out since times of day are written that way.
	lookalike = regexp.MustCompile(`^[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?` +
		`|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))$|^\.(nan|NaN|NAN)$`)
)

func (c *Context) jsonScalar(v *Value) (any, bool) {
	text := v.node.Value
	if v.Style() != StylePlain {
		return text, true
	}
	switch {
	case text == "null":
		return nil, true
	case text == "true", text == "false":
		return text == "true", true
	case jsonInt.MatchString(text):
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && text != "-0" {
			return int(n), true
		}
		return c.jsonFloat(v, text)
	case jsonNumber.MatchString(text):
		return c.jsonFloat(v, text)
	case lookalike.MatchString(text):
		c.quoteIt(v, fmt.Sprintf("%s is not a number in JSON", text), "quote it if it is a text")
		return nil, false
	case text == "~", text == "Null", text == "NULL":
		c.quoteIt(v, fmt.Sprintf("%s is not null in JSON", text), "write null, or quote it if it is a text")
		return nil, false
	case text == "True", text == "TRUE", text == "False", text == "FALSE":
		c.quoteIt(v, fmt.Sprintf("%s is not a bool in JSON", text), "write true or false, or quote it if it is a text")
		return nil, false
	}
	return text, true
}

func (c *Context) jsonFloat(v *Value, text string) (any, bool) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		c.quoteIt(v, fmt.Sprintf("%s is too large for a number", text), "quote it if it is a text")
		return nil, false
	}
	return n, true
}

func (c *Context) quoteIt(v *Value, message, hint string) {
	v.Finding(c.Findings, diag.QuoteLiteral, message, fmt.Sprintf(`%s: %q`, hint, v.node.Value))
}
