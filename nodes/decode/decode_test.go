package decode_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/nodes/decode"
	"github.com/millstream/millstream/nodes/nodetest"
)

func build(t *testing.T, format document.Format, text string) *nodetest.Node {
	t.Helper()
	n, findings := nodetest.BuildFor(t, decode.Type(), format, text)
	if findings != nil {
		t.Fatalf("%s: %q", text, findings)
	}
	return n
}

func TestTheBodyReadsAsTheCodecsSay(t *testing.T) {
	tests := []struct {
		format           document.Format
		decode, in, want string // want: what reads, as JSON
	}{
		{document.Text, "decode: json", `{"a":1}`, `{"a":1}`},
		{document.JSON, "decode: json", `"{\"a\":1}"`, `{"a":1}`},
		{document.JSON, "decode: base64", `"eyJhIjoxfQ=="`, `{"a":1}`},
		{document.Bytes, "decode: [base64, msgpack]", "gaFhAQ==", `{"a":1}`},
		{document.Bytes, "decode: csv", "a,b\n1,2\n", `[{"a":"1","b":"2"}]`},
		{document.Bytes, "decode: { csv: { header: [a, b] } }", "1,2\n", `[{"a":"1","b":"2"}]`},
		{document.Bytes, "decode: { csv: { header: false } }", "1,2\n", `[["1","2"]]`},
		{document.Text, "decode: text", "x", `"x"`},
		{document.Bytes, "decode: text", "x", `"x"`},
		{document.Bytes, "decode: { xml: { lists: [b] } }", `<a x="1"><b>t</b></a>`, `{"a":{"@x":"1","b":["t"]}}`},
		{document.Bytes, "decode: yaml", "a: [1, yes]\n", `{"a":[1,"yes"]}`},
	}
	for _, test := range tests {
		n := build(t, test.format, test.decode)
		m := n.Message(test.in)
		r := n.Process(t, m)
		if r.Err != nil || len(r.Messages) != 1 {
			t.Errorf("%s of %q: %v, %d messages", test.decode, test.in, r.Err, len(r.Messages))
			continue
		}
		v, err := r.Messages[0].Body.Get(document.Root)
		if err != nil {
			t.Errorf("%s: %v", test.decode, err)
			continue
		}
		if got, err := value.AppendJSON(nil, v); err != nil || string(got) != test.want {
			t.Errorf("%s of %q: %s, %v, want %s", test.decode, test.in, got, err, test.want)
		}
		if string(r.Messages[0].Raw()) != test.in {
			t.Errorf("raw became %q", r.Messages[0].Raw())
		}
	}
}

func TestWhatCannotBeDecodedFailsHereAndLeavesTheMessageAsItWas(t *testing.T) {
	for _, test := range []struct {
		format           document.Format
		decode, in, want string
	}{
		{document.Text, "decode: json", `{"a":`, "at byte 5"},
		{document.Bytes, "decode: gzip", "no gzip", "gzip: "},
		{document.Bytes, "decode: msgpack", "\xc1", "0xc1 begins no value"},
		{document.Bytes, "decode: text", "\xff", "not UTF-8"},
		{document.JSON, "decode: msgpack", `{"a":1}`, "the body is map, and decode takes text or bytes"},
		{document.JSON, "decode: msgpack", "\x81", "the source says decode: bytes where payloads are no JSON"},
	} {
		n := build(t, test.format, test.decode)
		m := n.Message(test.in)
		r := n.Process(t, m)
		var e *flow.Error
		if !errors.As(r.Err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeDecode || !strings.Contains(e.Message, test.want) {
			t.Errorf("%s of %q: %v, want %s", test.decode, test.in, r.Err, test.want)
		}
		if got := nodetest.Payload(t, m); got != test.in {
			t.Errorf("the message became %q", got)
		}
	}
}

func TestNoPayloadStaysNone(t *testing.T) {
	n := build(t, document.Bytes, "decode: [gzip, json]")
	r := n.Process(t, n.Open(flow.Record{}))
	if r.Err != nil || len(r.Out) != 1 || r.Out[0] != "(none)" {
		t.Errorf("%v, %q", r.Err, r.Out)
	}
}

func TestWhatIsDecodedIsWrittenInItsNewFormat(t *testing.T) {
	n := build(t, document.Bytes, "decode: [base64, ndjson]")
	r := n.Process(t, n.Message("MQoyCg=="))
	if r.Err != nil || r.Out[0] != "1\n2\n" {
		t.Fatalf("untouched: %v, %q", r.Err, r.Out)
	}
	m := r.Messages[0]
	if err := m.SetBody(document.Root, value.List([]any{3, map[string]any{"a": nil}})); err != nil {
		t.Fatal(err)
	}
	if got := nodetest.Payload(t, m); got != "3\n{\"a\":null}" {
		t.Errorf("written: %q", got)
	}
}
