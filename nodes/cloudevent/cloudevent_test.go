package cloudevent_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/nodes/cloudevent"
	"github.com/millstream/millstream/nodes/nodetest"
)

const plain = "cloudevent: { type: t, source: /s }\n"

func TestTheBodyBecomesTheDataOfAnEvent(t *testing.T) {
	const head = `{"specversion":"1.0","id":"test:topic@7","source":"/s","type":"t","time":"2026-01-02T03:04:05Z"`
	for name, c := range map[string]struct {
		format     document.Format
		body, want string
	}{
		"JSON as it came":    {document.JSON, "{\"b\":1.50,  \"a\":12345678901234567890}\n", `,"datacontenttype":"application/json","data":{"b":1.50,  "a":12345678901234567890}}`},
		"a JSON text":        {document.JSON, `"x"`, `,"datacontenttype":"application/json","data":"x"}`},
		"null":               {document.JSON, `null`, `,"datacontenttype":"application/json","data":null}`},
		"an empty payload":   {document.JSON, ``, `}`},
		"text":               {document.Text, "a \"b\"\n", `,"datacontenttype":"text/plain","data":"a \"b\"\n"}`},
		"bytes":              {document.Bytes, "\x00\xff", `,"datacontenttype":"application/octet-stream","data_base64":"AP8="}`},
		"no bytes are bytes": {document.Bytes, "", `,"datacontenttype":"application/octet-stream","data_base64":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			n, findings := nodetest.BuildFor(t, cloudevent.Type(), c.format, plain)
			if findings != nil {
				t.Fatal(findings)
			}
			res := n.Process(t, n.Message(c.body))
			if res.Err != nil || len(res.Out) != 1 {
				t.Fatalf("%+v", res)
			}
			if diff := cmp.Diff(head+c.want, res.Out[0]); diff != "" {
				t.Error(diff)
			}
			if !json.Valid([]byte(res.Out[0])) {
				t.Error("it is no JSON")
			}
		})
	}
}

func TestAttributesAreTemplates(t *testing.T) {
	n := nodetest.Must(t, cloudevent.Type(), `cloudevent:
  type: "com.example.{{ body.kind }}"
  source: "/shops/{{ encodeURL(body.shop) }}"
  subject: "{{ body.n }}"
  id: "{{ body.id }}-1"
  extensions: { tenant: "{{ meta.tenant }}", a1: x }
`)
	m := n.Open(flow.Record{Body: []byte(`{"kind":"paid","shop":"Köln Süd","n":5,"id":"o1"}`), Headers: []flow.Header{flow.TextHeader("tenant", "ä")},
		Key: []byte("k"), Time: time.Date(2025, 5, 6, 7, 8, 9, 120_000_000, time.UTC).UnixNano(), Attempt: 1})
	res := n.Process(t, m)
	if res.Err != nil || len(res.Out) != 1 {
		t.Fatalf("%+v", res)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(res.Out[0]), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"specversion": "1.0", "type": "com.example.paid", "source": "/shops/K%C3%B6ln%20S%C3%BCd", "subject": "5", "id": "o1-1", "time": "2025-05-06T07:08:09.12Z",
		"tenant": "ä", "a1": "x", "datacontenttype": "application/json", "data": map[string]any{"kind": "paid", "shop": "Köln Süd", "n": 5.0, "id": "o1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out := res.Messages[0]
	if tenant, _ := out.Meta("tenant"); string(out.Key()) != "k" || tenant != "ä" {
		t.Error("key and meta do not go along")
	}
	var o flow.Outgoing
	o.Fill(out, []byte(res.Out[0]))
	if p := o.Props(); p == nil || p.ContentType != "application/cloudevents+json" {
		t.Errorf("the properties are %+v", p)
	}
}

func TestAMediaTypeOfTheSourceIsKept(t *testing.T) {
	for given, want := range map[string]string{"image/png": "image/png", "text/csv; charset=utf-8": "text/csv; charset=utf-8", "": "application/octet-stream", "no type": "application/octet-stream", "a/b\n": "application/octet-stream"} {
		n, _ := nodetest.BuildFor(t, cloudevent.Type(), document.Bytes, plain)
		res := n.Process(t, n.Open(flow.Record{Body: []byte{1}, Props: &flow.Properties{ContentType: given}}))
		var got struct{ DataContentType string }
		if res.Err != nil || json.Unmarshal([]byte(res.Out[0]), &got) != nil || got.DataContentType != want {
			t.Errorf("%q: %+v", given, res)
		}
	}
}

func TestWhatANodeWroteIsTheData(t *testing.T) {
	n := nodetest.Must(t, cloudevent.Type(), plain)
	m := n.Message(`{"a":1}`)
	if err := m.Body.Copy(n.Env.Paths.Read(), n.Env.Paths.Read()); err != nil {
		t.Fatal(err)
	}
	if res := n.Process(t, m); res.Err != nil || !strings.HasSuffix(res.Out[0], `"data":{"a":1}}`) {
		t.Errorf("%+v", res)
	}
}

func TestWhatCloudEventsDoesNotAllowFailsTheMessage(t *testing.T) {
	n := nodetest.Must(t, cloudevent.Type(), "cloudevent: { type: \"{{ body.t }}\", source: \"{{ body.s }}\" }\n")
	for body, code := range map[string]flow.Code{
		`{"t":"","s":"/"}`: flow.CodeEncode, `{"t":"a\u0007","s":"/"}`: flow.CodeEncode, `{"t":"\ufdd0","s":"/"}`: flow.CodeEncode, `{"t":"\uffff","s":"/"}`: flow.CodeEncode,
		`{"t":"a","s":""}`: flow.CodeEncode, `{"t":"a","s":"a b"}`: flow.CodeEncode, `{"t":"a","s":"ä"}`: flow.CodeEncode, `{"t":"a","s":"%zz"}`: flow.CodeEncode,
		`{"t":"a","s":"%4"}`: flow.CodeEncode, `{"t":"a","s":"a#b#c"}`: flow.CodeEncode, `{"t":"a","s":":a"}`: flow.CodeEncode, `{"s":"/"}`: flow.CodeExpression,
		`{"t":"a","s":"/","x":}`: flow.CodeDecode,
	} {
		res := n.Process(t, n.Message(body))
		var e *flow.Error
		if !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != code || len(res.Out) != 0 {
			t.Errorf("%s: %+v", body, res)
		}
	}
	broken := nodetest.Must(t, cloudevent.Type(), plain)
	for _, body := range []string{`{"a":1`, `{"a":1}}`, "x", "{\"a\":\"\xff\"}"} {
		var e *flow.Error
		if res := broken.Process(t, broken.Message(body)); !errors.As(res.Err, &e) || e.Code != flow.CodeDecode {
			t.Errorf("%s: %+v", body, res)
		}
	}
}

func TestMistakesInACloudeventAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"cloudevent: {}\n": "missing-key", "cloudevent: { type: t, source: \"\" }\n": "bad-value", "cloudevent: { type: t, source: a b }\n": "bad-value: source is no URI reference",
		"cloudevent: { type: t, source: /, subject: \"\" }\n": "bad-value", "cloudevent: { type: t, source: /, id: \"{{ idd }}\" }\n": "unknown-name",
		"cloudevent: { type: t, source: /, extensions: { traceParent: x } }\n": "1:49 bad-value", "cloudevent: { type: t, source: /, extensions: { data: x } }\n": "data is no extension",
		"cloudevent: { type: t, source: /, extensions: { abcdefghijklmnopqrstu: x } }\n": "1 to 20", "cloudevent: { type: t, source: /, extensions: { x: \"\" } }\n": "x is empty",
		"cloudevent: { type: t, source: /, exts: { a: x } }\n": "unknown-key",
	} {
		_, findings := nodetest.Build(t, cloudevent.Type(), text)
		if len(findings) == 0 || !strings.Contains(strings.Join(findings, "\n"), want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}

var attributeName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// FuzzEvent gives the verb any attributes and bodies: what it makes of them is an event, or the message fails.
func FuzzEvent(f *testing.F) {
	f.Add("t", "/s", "sub", `{"a":1}`, uint8(0))
	f.Add("ä", "urn:x", "\x00", "\xff", uint8(1))
	f.Add("t", "%", "s", "", uint8(2))
	nodes := map[document.Format]*nodetest.Node{}
	for _, format := range []document.Format{document.JSON, document.Text, document.Bytes} {
		nodes[format], _ = nodetest.BuildFor(f, cloudevent.Type(), format,
			"cloudevent: { type: \"{{ meta.t }}\", source: \"{{ meta.s }}\", subject: \"{{ meta.u }}\", extensions: { ext: \"{{ meta.u }}\" } }\n")
	}
	f.Fuzz(func(t *testing.T, kind, source, subject, body string, pick uint8) {
		format := document.Format(pick % 3)
		n := nodes[format]
		res := n.Process(t, n.Open(flow.Record{Body: []byte(body), Headers: []flow.Header{
			flow.TextHeader("t", kind), flow.TextHeader("s", source), flow.TextHeader("u", subject),
		}}))
		if res.Err != nil {
			var e *flow.Error
			if !errors.As(res.Err, &e) || e.Class != flow.Permanent {
				t.Fatalf("failed with %v", res.Err)
			}
			return
		}
		var event map[string]any
		if err := json.Unmarshal([]byte(res.Out[0]), &event); err != nil {
			t.Fatalf("%s: %v", res.Out[0], err)
		}
		for name, x := range event {
			if name == "data" || name == "data_base64" {
				continue
			}
			if text, ok := x.(string); !attributeName.MatchString(name) || !ok || text == "" {
				t.Errorf("attribute %q is %v", name, x)
			}
		}
		if _, err := url.Parse(source); err != nil || event["type"] != kind || event["source"] != source || event["subject"] != subject {
			t.Errorf("%s", res.Out[0])
		}
		if format == document.Bytes {
			if back, err := base64.StdEncoding.DecodeString(event["data_base64"].(string)); err != nil || string(back) != body {
				t.Errorf("the data are %q, %v", back, err)
			}
		}
	})
}
