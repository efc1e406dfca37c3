package value_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5,-0,1e3,true,false,null,"x"]}`, `"\ud83d\ude00"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00\ud800"`, `{"a":1,"\u0061":2}`,
		`9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `1e999`, `-1E+400`, `01`, `1.`, `.5`, `+1`, `-`, `[1,]`, `{"a":1,}`, ` `,
		"", "\"\xff\"", "\ufeff1", "\"\x01\"", `"\x"`, `"\u12g4"`, `tru`, `nul`, `1 2`, `{"a" 1}`, `{1:2}`, `[[[[[]]]]]`, `0.1234567890123456789`,
		strings.Repeat("[", 513) + strings.Repeat("]", 513), strings.Repeat("[", 512) + strings.Repeat("]", 512), `1e-400`, `123456789012345678`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := value.ParseJSON(b)
		want, ok := reference(b)
		if (err == nil) != ok {
			t.Fatalf("%q: got error %v, want one: %v", b, err, !ok)
		}
		if err != nil {
			if e := err.(*syntax.Error); e.Offset < 0 || e.Offset > len(b) {
				t.Fatalf("%q: offset %d is outside", b, e.Offset)
			}
			return
		}
		if w, err := value.FromAny(want); err != nil || !value.Equal(got, w) || got.Kind() != w.Kind() {
			t.Fatalf("%q: got %v, want %v (%v)", b, got.Box(), want, err)
		}
		text, err := value.AppendJSON(nil, got)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		again, err := value.ParseJSON(text)
		if err != nil || !value.Equal(again, got) {
			t.Fatalf("%q was written as %q, which reads as %v (%v)", b, text, again.Box(), err)
		}
		var canonical any
		if !json.Valid(text) || json.Unmarshal(text, &canonical) != nil {
			t.Fatalf("%q was written as %q, which encoding/json refuses", b, text)
		}
	})
}

// reference decodes with encoding/json, and refuses what the language refuses beyond it.
func reference(b []byte) (any, bool) {
	if !utf8.Valid(b) || !json.Valid(b) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var x any
	if dec.Decode(&x) != nil || tooDeep(b) {
		return nil, false
	}
	if !numbersFit(b) {
		return nil, false
	}
	return withNumbers(x), true
}

func tooDeep(b []byte) bool {
	dec, depth := json.NewDecoder(bytes.NewReader(b)), 0
	for {
		switch token, err := dec.Token(); {
		case err != nil:
			return false
		case token == json.Delim('[') || token == json.Delim('{'):
			if depth++; depth > syntax.MaxDepth {
				return true
			}
		case token == json.Delim(']') || token == json.Delim('}'):
			depth--
		}
	}
}

// numbersFit looks at all numbers, also at those under keys that a later one supersedes.
func numbersFit(b []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return true
		}
		if n, ok := token.(json.Number); ok {
			if _, err := n.Float64(); err != nil {
				return false
			}
		}
	}
}

func withNumbers(x any) any {
	switch y := x.(type) {
	case map[string]any:
		for k := range y {
			y[k] = withNumbers(y[k])
		}
	case []any:
		for i := range y {
			y[i] = withNumbers(y[i])
		}
	case json.Number:
		if !strings.ContainsAny(string(y), ".eE") {
			if i, err := strconv.ParseInt(string(y), 10, 64); err == nil {
				return int(i)
			}
		}
		f, _ := y.Float64()
		return f
	}
	return x
}
