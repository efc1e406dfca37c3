package encode_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/nodes/encode"
	"github.com/millstream/millstream/nodes/nodetest"
)

func build(t *testing.T, format document.Format, text string) *nodetest.Node {
	t.Helper()
	n, findings := nodetest.BuildFor(t, encode.Type(), format, text)
	if findings != nil {
		t.Fatalf("%s: %q", text, findings)
	}
	return n
}

func TestTheBodyBecomesWhatTheCodecsWrite(t *testing.T) {
	for _, test := range []struct {
		format           document.Format
		encode, in, want string
		kind             document.Format
	}{
		{document.JSON, "encode: json", `{ "a": 1.0 }`, `{ "a": 1.0 }`, document.Text}, // nobody wrote it
		{document.JSON, "encode: base64", `{"a":1}`, "eyJhIjoxfQ==", document.Text},
		{document.JSON, "encode: [msgpack, base64]", `{"a":1}`, "gaFhAQ==", document.Text},
		{document.JSON, "encode: msgpack", `{"a":1}`, "\x81\xa1a\x01", document.Bytes},
		{document.JSON, "encode: csv", `[{"b":1,"a":"x,y"}]`, "a,b\n\"x,y\",1\n", document.Text},
		{document.JSON, "encode: { csv: { columns: [b, a] } }", `{"b":1,"a":"x"}`, "b,a\n1,x\n", document.Text},
		{document.JSON, "encode: xml", `{"a":{"@x":1,"b":[true,null],"#text":"<"}}`, `<a x="1">&lt;<b>true</b><b></b></a>`, document.Text},
		{document.JSON, "encode: yaml", `{"a":["no",1]}`, "a:\n  - \"no\"\n  - 1\n", document.Text},
		{document.JSON, "encode: ndjson", `[1,{"a":2}]`, "1\n{\"a\":2}", document.Text},
		{document.JSON, "encode: text", `"x"`, "x", document.Text},
		{document.Bytes, "encode: base64", "\xff", "/w==", document.Text},
	} {
		n := build(t, test.format, test.encode)
		r := n.Process(t, n.Message(test.in))
		if r.Err != nil || len(r.Out) != 1 || r.Out[0] != test.want {
			t.Errorf("%s of %s: %v, %q, want %q", test.encode, test.in, r.Err, r.Out, test.want)
			continue
		}
		v, err := r.Messages[0].Body.Get(document.Root)
		if got, _ := r.Messages[0].Format(); got != test.kind || err != nil || v.Kind() != map[document.Format]value.Kind{document.Text: value.KindString, document.Bytes: value.KindBytes}[test.kind] {
			t.Errorf("%s: the body is %s, %v", test.encode, v.Kind(), err)
		}
	}
}

func TestWhatAFormatCannotSayFailsAndNamesThePath(t *testing.T) {
	for _, test := range []struct{ encode, in, want string }{
		{"encode: csv", `[{"a":{"b":1}}]`, `row 1: column "a": map cannot be written as CSV`},
		{"encode: { csv: { header: [a] } }", `{"a":1,"b":2}`, `there is no column for "b"`},
		{"encode: xml", `{"a":1,"b":2}`, `the body must be a map of its name to its content, and is a map of 2`},
		{"encode: xml", `{"a":{"1b":2}}`, `"1b" cannot be the name of an element`},
		{"encode: text", `{"a":1}`, `the body is map, and text takes a string or bytes`},
	} {
		n := build(t, document.JSON, test.encode)
		r := n.Process(t, n.Message(test.in))
		var e *flow.Error
		if !errors.As(r.Err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeEncode || !strings.Contains(e.Message, test.want) {
			t.Errorf("%s of %s: %v, want %s", test.encode, test.in, r.Err, test.want)
		}
	}
	n := build(t, document.JSON, "encode: ndjson")
	m := n.Message("{}")
	if err := m.SetBody(document.Root, value.List([]any{map[string]any{"a": []any{1, []byte("x")}}})); err != nil {
		t.Fatal(err)
	}
	if r := n.Process(t, m); r.Err == nil || !strings.Contains(r.Err.Error(), `body[0]["a"][1]: bytes cannot be written`) {
		t.Error(r.Err)
	}
}
