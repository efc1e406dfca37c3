package schema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/schema"
)

func parsed(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func compiled(t testing.TB, text string) *schema.Schema {
	t.Helper()
	s, p := schema.Compile(parsed(t, text).Box())
	if p != nil {
		t.Fatalf("%s: %+v", text, p)
	}
	return s
}

func TestCheckNamesThePathAndTheRuleAndShowsNoValue(t *testing.T) {
	const reading = `{"type":"object","required":["device","temp"],"additionalProperties":false,"properties":{
		"device":{"type":"string","minLength":2,"pattern":"^d"},"temp":{"type":["number","null"],"minimum":-50},
		"n":{"type":"integer"},"kind":{"enum":["a","b"]},"tags":{"type":"array","maxItems":1,"items":{"type":"string"}},
		"odd name":{"const":1},"either":{"anyOf":[{"type":"string"},{"type":"object","required":["x"]}]}}}`
	tests := []struct{ schema, body, want string }{
		{reading, `{"device":"d1","temp":1.5,"n":9007199254740993,"kind":"a","tags":["x"],"either":"SECRET"}`, ""},
		{reading, `{"device":"d1","temp":null,"n":2.0}`, ""},
		{reading, `[]`, "body is array, and must be object"},
		{reading, `null`, "body is null, and must be object"},
		{reading, `{}`, "body lacks device, temp"},
		{reading, `{"device":5,"temp":1}`, "body.device is number, and must be string"},
		{reading, `{"device":"SECRET","temp":1}`, `body.device does not match the pattern "^d"`},
		{reading, `{"device":"d1","temp":-51}`, "body.temp must be at least -50"},
		{reading, `{"device":"d1","temp":1,"n":1.5}`, "body.n is number, and must be integer"},
		{reading, `{"device":"d1","temp":1,"kind":"SECRET"}`, "body.kind is none of the values that are allowed: a, b"},
		{reading, `{"device":"d1","temp":1,"tags":[5]}`, "body.tags[0] is number, and must be string"},
		{reading, `{"device":"d1","temp":1,"tags":["SECRET","b"]}`, "body.tags has 2 elements, and must have at most 1"},
		{reading, `{"device":"d1","temp":1,"odd name":"SECRET"}`, `body["odd name"] is not what it must be: 1`},
		{reading, `{"device":"d1","temp":1,"more":1,"b":2}`, "body has b, more, which the schema does not know"},
		{reading, `{"device":"d1","temp":1,"either":{"y":1}}`, "body.either breaks the rule anyOf"},
		{reading, `{"device":1,"temp":"SECRET"}`, "body.device is number"},
		{`{"$ref":"#/$defs/a","$defs":{"a":{"properties":{"b":false}}}}`, `{"b":"SECRET"}`, "body.b must not be there"},
		{`false`, `1`, "body must not be there"},
	}
	for _, test := range tests {
		err := compiled(t, test.schema).Check(parsed(t, test.body))
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.body, err)
			}
			continue
		}
		var e *flow.Error
		if !errors.As(err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeSchema || !strings.HasPrefix(e.Message, test.want) {
			t.Errorf("%s: got %v, want %s", test.body, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the error shows a value: %v", err)
		}
	}
}

func TestNothingOutsideOfASchemaIsRead(t *testing.T) {
	for _, ref := range []string{"https://example.com/a.json", "file:///etc/passwd", "other.json", "http://169.254.169.254/"} {
		_, p := schema.Compile(map[string]any{"$ref": ref})
		if p == nil || !strings.Contains(p.Message, "outside") && !strings.Contains(p.Message, "not read from there") {
			t.Errorf("%s: %+v", ref, p)
		}
	}
	if _, p := schema.Compile(map[string]any{"$schema": "https://example.com/meta.json"}); p == nil {
		t.Error("a foreign meta-schema was taken")
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`{"type":"object","properties":{"a":{"$ref":"#"}}}`, `{"$ref":"#/a"}`, `{"allOf":[{"$ref":"#"}]}`, `true`, `{"pattern":"("}`,
		`{"items":[{"type":"string"}],"additionalItems":false,"$schema":"http://json-schema.org/draft-07/schema#"}`,
		`{"oneOf":[{"type":"integer"},{"enum":[1,null]}],"$id":"x"}`, `{"$dynamicRef":"#a","$defs":{"a":{"$dynamicAnchor":"a"}}}`} {
		f.Add(seed, `{"a":[1,"x",null]}`)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		doc, err := value.ParseJSON([]byte(text))
		if err != nil {
			return
		}
		s, p := schema.Compile(doc.Box())
		if (s == nil) != (p != nil) || p != nil && p.Message == "" {
			t.Fatalf("schema %v, problem %+v", s != nil, p)
		}
		if s != nil {
			typed := &expression.Scope{Paths: document.NewPaths(), Body: s.Shape()}
			for _, text := range []string{`body.a > 1`, `body.a[0].b ?? body`, `any(body.list, it.x == "y")`, `{x: body.a, y: [body]}`} {
				if p, problems := expression.Compile(text, typed, expression.WantAny); (p == nil) != (len(problems) > 0) {
					t.Fatalf("%s: %+v", text, problems)
				}
			}
		}
		v, err := value.ParseJSON([]byte(body))
		if s == nil || err != nil {
			return
		}
		if err := s.Check(v); err != nil && !strings.HasPrefix(err.Error(), "body") {
			t.Fatalf("%q", err)
		}
	})
}
