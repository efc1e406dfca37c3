package kafka

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

func typedHeaders() []flow.Header {
	return []flow.Header{
		{Name: "n", Value: value.Int(5)}, {Name: "n", Value: value.Int(6)}, {Name: "f", Value: value.Float(0.25)}, {Name: "b", Value: value.Bool(false)},
		{Name: "t", Value: value.Time(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))}, {Name: "l", Value: value.List([]any{1, "a", nil})},
		{Name: "none"}, {Name: "raw", Value: value.Bytes([]byte{0, 0xff})},
	}
}

func TestCloudEventsAreWrittenAsTheBindingSays(t *testing.T) {
	const event = `{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"application/json","seq":7,"ok":true,"gone":null,"data":{"a":1.0}}`
	const none = "no payload"
	tests := []struct {
		name, mode, body string
		headers          []flow.Header
		want             string // the payload
		contains         []string
		err              string
	}{
		{name: "binary", mode: "binary", body: event, want: `{"a":1.0}`, contains: []string{"ce_specversion=1.0", "ce_id=1", "ce_source=/s", "ce_type=t",
			"content-type=application/json", "ce_seq=7", "ce_ok=true"}},
		{name: "structured", mode: "structured", body: event, want: event, contains: []string{"content-type=application/cloudevents+json; charset=UTF-8"}},
		{name: "binary without data is a tombstone", mode: "binary", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, want: none,
			contains: []string{"ce_id=1", "ce_source=/s", "ce_specversion=1.0", "ce_type=t"}},
		{name: "structured without data is none", mode: "structured", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`,
			want: `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, contains: []string{"content-type=application/cloudevents+json; charset=UTF-8"}},
		{name: "bytes", mode: "binary", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AP8="}`, want: "\x00\xff"},
		{name: "text", mode: "binary", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"a\"b"}`, want: `a"b`},
		{name: "a JSON string", mode: "binary", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"a"}`, want: `"a"`},
		{name: "attributes of before go", mode: "binary", body: event, headers: []flow.Header{flow.TextHeader("x", "1"), flow.TextHeader("ce_old", "1"),
			flow.TextHeader("content-type", "old")}, want: `{"a":1.0}`, contains: []string{"x=1", "content-type=application/json", "ce_id=1", "ce_ok=true", "ce_seq=7",
			"ce_source=/s", "ce_specversion=1.0", "ce_type=t"}},
		{name: "a binary event goes on", mode: "binary", body: `whatever`, headers: []flow.Header{flow.TextHeader("ce_specversion", "1.0"), flow.TextHeader("ce_id", "2")},
			want: "whatever", contains: []string{"ce_specversion=1.0", "ce_id=2"}},
		{name: "a binary event becomes a structured one", mode: "structured", body: `{"a": "<1.0>"}`, headers: []flow.Header{flow.TextHeader("x", "1"),
			flow.TextHeader("ce_specversion", "1.0"), flow.TextHeader("ce_id", "2"), flow.TextHeader("ce_source", "/s"), flow.TextHeader("ce_type", "t"),
			flow.TextHeader("content-type", "application/json")},
			want:     `{"data":{"a":"<1.0>"},"datacontenttype":"application/json","id":"2","source":"/s","specversion":"1.0","type":"t"}`,
			contains: []string{"x=1", "content-type=application/cloudevents+json; charset=UTF-8"}},
		{name: "a binary event of text", mode: "structured", body: `a"b`, headers: []flow.Header{flow.TextHeader("ce_specversion", "1.0"), flow.TextHeader("ce_id", "2"),
			flow.TextHeader("ce_source", "/s"), flow.TextHeader("ce_type", "t"), flow.TextHeader("content-type", "text/plain")},
			want: `{"data":"a\"b","datacontenttype":"text/plain","id":"2","source":"/s","specversion":"1.0","type":"t"}`},
		{name: "a binary event of bytes", mode: "structured", body: "\x00\xff", headers: []flow.Header{flow.TextHeader("ce_specversion", "1.0"), flow.TextHeader("ce_id", "2"),
			flow.TextHeader("ce_source", "/s"), flow.TextHeader("ce_type", "t")},
			want: `{"data_base64":"AP8=","id":"2","source":"/s","specversion":"1.0","type":"t"}`},
		{name: "a binary event without a type", mode: "structured", body: `1`, headers: []flow.Header{flow.TextHeader("ce_specversion", "1.0"), flow.TextHeader("ce_id", "2"),
			flow.TextHeader("ce_source", "/s")}, err: "the headers make no CloudEvent: type is missing"},
		{name: "no id", mode: "binary", body: `{"specversion":"1.0","source":"/s","type":"t"}`, err: "the body is no CloudEvent: id is missing"},
		{name: "empty type", mode: "structured", body: `{"specversion":"1.0","id":"1","source":"/s","type":""}`, err: "the body is no CloudEvent: type is missing"},
		{name: "no object", mode: "structured", body: `[1]`, err: "the body is no CloudEvent: it is no JSON object"},
		{name: "nested", mode: "binary", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","x":{}}`, err: "the body is no CloudEvent: attribute x is no text, number or bool"},
		{name: "a bad name", mode: "binary", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","X-y":"1"}`,
			err: `the body is no CloudEvent: "X-y" is no name of an attribute: it has small letters and digits`},
		{name: "both kinds of data", mode: "binary", body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data_base64":""}`,
			err: "the body is no CloudEvent: it has both data and data_base64"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, err := prepare(&preparer{constant: "x", events: test.mode}, "kafka", flow.Record{Body: []byte(test.body), Headers: test.headers})
			if test.err != "" {
				wantError(t, err, flow.Permanent, flow.CodeEncode)
				if err.Error() != test.err {
					t.Errorf("the error is %q", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := none
			if o.Body != nil {
				got = string(o.Body)
			}
			if got != test.want {
				t.Errorf("the payload is %s, want %s", got, test.want)
			}
			extra, ok := o.Native.(*prepared)
			if !ok {
				t.Fatal("no headers")
			}
			headers := headerTexts(extra.headers)
			for _, h := range test.contains {
				if !slices.Contains(headers, h) {
					t.Errorf("%s is not among %v", h, headers)
				}
			}
			if test.contains != nil && len(headers) != len(test.contains) {
				t.Errorf("the headers are %v", headers)
			}
			m := &flow.Message{}
			if o.Restore(m); string(m.Payload()) != test.body {
				t.Errorf("a dead letter would have the payload %s", m.Payload())
			}
		})
	}
}

func headerTexts(hs []kgo.RecordHeader) (all []string) {
	for _, h := range hs {
		all = append(all, h.Key+"="+string(h.Value))
	}
	return all
}

func TestTopicsAndPatterns(t *testing.T) {
	for text, want := range map[string]string{
		"[a, /b.*/]": "", "[/a|b/]": "", "[/(/]": "bad-value: the pattern /(/ cannot be read: missing closing ): `^(?:()$`",
		"['//']": "bad-value: the pattern // cannot be read: it is empty", "[a/b]": `bad-name: the topic's name "a/b" holds "/"`,
	} {
		_, got := selectionOf(t, text)
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %s", text, got)
		}
	}
	s, _ := selectionOf(t, "[a, /b.*/, '/c|d/']")
	var reads []string
	for _, topic := range []string{"a", "aa", "b", "bb", "ab", "c", "d", "cd"} {
		if s.reads(topic) {
			reads = append(reads, topic)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "bb", "c", "d"}, reads); diff != "" {
		t.Error(diff)
	}
}
