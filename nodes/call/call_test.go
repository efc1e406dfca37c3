package call_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/nodes/call"
	"github.com/millstream/millstream/nodes/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// build makes a call of an address, with more options of http and an into.
func build(t *testing.T, url, options, into string) *nodetest.Node {
	t.Helper()
	return nodetest.Must(t, call.Type(), fmt.Sprintf("call:\n  http:\n    url: %q\n%s  into: %s\n", url, options, into))
}

func TestTheAnswerIsWrittenIntoTheMessage(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "1")
		w.Header().Add("X-A", "2")
		w.Header()["Date"] = nil
		switch r.URL.Path {
		case "/json":
			w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"n":9007199254740993,"f":1.5,"l":[true,null]}`)
		case "/text":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, `{"n":1}`)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		}
	})
	for path, want := range map[string]string{
		"/json": `{"a":1,"r":{"x":{"body":{"f":1.5,"l":[true,null],"n":9007199254740993},"headers":{"content-length":"46","content-type":"application/problem+json; charset=utf-8","x-a":"1, 2"},"status":201}}}`,
		"/text": `{"a":1,"r":{"x":{"body":"{\"n\":1}","headers":{"content-length":"7","content-type":"text/plain","x-a":"1, 2"},"status":200}}}`,
		"/none": `{"a":1,"r":{"x":{"body":null,"headers":{"x-a":"1, 2"},"status":204}}}`,
	} {
		n := build(t, url+path, "", "body.r.x")
		res := n.Process(t, n.Message(`{"a":1}`))
		if res.Err != nil || len(res.Out) != 1 {
			t.Fatalf("%s: %+v", path, res)
		}
		if diff := cmp.Diff(want, res.Out[0]); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		tmp := build(t, url+path, "", "tmp.answer")
		res = tmp.Process(t, tmp.Message(`{"a":1.0}`))
		if res.Err != nil || res.Out[0] != `{"a":1.0}` || len(res.Messages[0].Tmp()["answer"].(map[string]any)) != 3 {
			t.Errorf("%s into tmp: %+v", path, res)
		}
	}
}

func TestTheRequestIsMadeOfTheMessage(t *testing.T) {
	var got string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = strings.Join([]string{r.Method, r.RequestURI, r.Header.Get("X-Tenant"), r.Header.Get("Content-Type"), string(body)}, " | ")
	})
	for name, c := range map[string]struct{ path, options, want string }{
		"a get":                      {"/d/{{ body.id }}", "", "GET | /d/a%2F..%2Fb%3Fc%20%23 |  |  | "},
		"values of the query":        {"/d?id={{ body.id }}&n={{ body.n }}", "", "GET | /d?id=a%2F..%2Fb%3Fc%20%23&n=5 |  |  | "},
		"headers":                    {"/", "    headers: { X-Tenant: \"t-{{ key }}\" }\n", "GET | / | t-k |  | "},
		"a body is posted as JSON":   {"/", "    body: '{n: body.n, l: [1, nil]}'\n", `POST | / |  | application/json | {"l":[1,null],"n":5}`},
		"text is sent as it is":      {"/", "    body: body.id\n    method: PUT\n", "PUT | / |  | text/plain; charset=utf-8 | a/../b?c #"},
		"nil is no body":             {"/", "    body: body.none\n    method: DELETE\n", "DELETE | / |  |  | "},
		"a content type of the file": {"/", "    body: body.id\n    headers: { content-type: text/csv }\n", "POST | / |  | text/csv | a/../b?c #"},
	} {
		n := build(t, url+c.path, c.options, "tmp.r")
		m := n.Open(flow.Record{Body: []byte(`{"id":"a/../b?c #","n":5}`), Key: []byte("k"), Headers: []flow.Header{flow.TextHeader("x-tenant", "not this")}})
		if res := n.Process(t, m); res.Err != nil {
			t.Errorf("%s: %v", name, res.Err)
		} else if got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	bytesNode, findings := nodetest.BuildFor(t, call.Type(), document.Bytes, fmt.Sprintf("call: { http: { url: %q, body: body }, into: tmp.r }\n", url))
	if findings != nil {
		t.Fatal(findings)
	}
	if res := bytesNode.Process(t, bytesNode.Message("\xff")); res.Err != nil || got != "POST | / |  | application/octet-stream | \xff" {
		t.Errorf("bytes: %q, %v", got, res.Err)
	}
}

func TestWhatAnAnswerMeansForTheMessage(t *testing.T) {
	type answer struct {
		status     int
		kind, body string
	}
	var next atomic.Pointer[answer]
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		a := next.Load()
		if a.status == 0 {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", a.kind)
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	})
	n := build(t, url, "    timeout: 200ms\n    max_body: 10\n", "body.r")
	for _, c := range []struct {
		status     int
		kind, body string
		class      flow.Class
		code       flow.Code
		after      time.Duration
	}{
		{500, "", "", flow.Transient, flow.CodeUnavailable, 7 * time.Second}, {503, "", "", flow.Transient, flow.CodeUnavailable, 7 * time.Second},
		{429, "", "", flow.Transient, flow.CodeThrottled, 7 * time.Second}, {408, "", "", flow.Transient, flow.CodeUnavailable, 7 * time.Second},
		{0, "", "", flow.Transient, flow.CodeUnavailable, 0},
		{400, "", "", flow.Permanent, flow.CodeRefused, 0}, {401, "", "", flow.Permanent, flow.CodeRefused, 0}, {404, "", "", flow.Permanent, flow.CodeRefused, 0},
		{302, "", "", flow.Permanent, flow.CodeRefused, 0}, {304, "", "", flow.Permanent, flow.CodeRefused, 0},
		{200, "application/json", "{", flow.Permanent, flow.CodeDecode, 0}, {200, "text/plain", "\xff", flow.Permanent, flow.CodeDecode, 0},
		{200, "text/plain", "12345678901", flow.Permanent, flow.CodeTooLarge, 0},
	} {
		next.Store(&answer{c.status, c.kind, c.body})
		m := n.Message(`{"a":1}`)
		res := n.Process(t, m)
		var e *flow.Error
		if !errors.As(res.Err, &e) || e.Class != c.class || e.Code != c.code || e.After != c.after || len(res.Out) != 0 {
			t.Errorf("%d %s: %+v, %+v", c.status, c.body, res, e)
		} else if !strings.Contains(e.Message, strings.TrimPrefix(url, "http://")) {
			t.Errorf("%d: %q does not say who answered", c.status, e.Message)
		}
		if got := nodetest.Payload(t, m); got != `{"a":1}` {
			t.Errorf("%d: the message is %s now", c.status, got)
		}
	}
	gone := build(t, "http://127.0.0.1:1/", "", "body.r")
	var e *flow.Error
	if res := gone.Process(t, gone.Message("{}")); !errors.As(res.Err, &e) || e.Class != flow.Transient {
		t.Errorf("nobody listens: %+v", res)
	}
}

func TestAHostThatTheMessageNamesMustBeAllowedAndPublic(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	host, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	n := build(t, "http://{{ body.h }}:"+port+"/", "    allow: [\"*.example.com\", \"127.*\", localhost, \"[[]*\"]\n", "body.r")
	for h, code := range map[string]flow.Code{
		host: flow.CodeRefused, "localhost": flow.CodeRefused, "evil.com": flow.CodeInvalidName, "evil.com/a.example.com": flow.CodeInvalidName,
		"evil.com#.example.com": flow.CodeInvalidName, "u:p@a.example.com": flow.CodeInvalidName, "": flow.CodeInvalidName,
	} {
		var e *flow.Error
		if res := n.Process(t, n.Message(fmt.Sprintf(`{"h":%q}`, h))); !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != code {
			t.Errorf("%q: %+v", h, res)
		}
	}
	if asked.Load() != 0 {
		t.Error("this machine was asked")
	}
}

func TestARequestThatIsNotToBeMadeIsAnError(t *testing.T) {
	n := build(t, "http://127.0.0.1:1/d/{{ body.id }}", "    headers: { a: \"{{ body.h ?? 1 }}\" }\n", "body.r")
	for body, code := range map[string]flow.Code{
		`{"id":".."}`: flow.CodeInvalidName, `{"id":"."}`: flow.CodeInvalidName, `{}`: flow.CodeExpression,
		`{"id":"a","h":"x\r\ny: z"}`: flow.CodeEncode, `{"id":`: flow.CodeDecode,
	} {
		var e *flow.Error
		if res := n.Process(t, n.Message(body)); !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != code {
			t.Errorf("%s: %+v", body, res)
		}
	}
}

func TestConcurrencyBoundsTheRequests(t *testing.T) {
	var now, most atomic.Int32
	url := serve(t, func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
	})
	n := build(t, url, "    concurrency: 3\n", "tmp.r")
	done := make(chan nodetest.Result)
	for range 20 {
		go func() { done <- n.Process(t, n.Message("{}")) }()
	}
	for range 20 {
		if res := <-done; res.Err != nil {
			t.Error(res.Err)
		}
	}
	if w, ok := n.Processor.(flow.Waiter); most.Load() > 3 || !ok || w.Concurrency() != 3 {
		t.Errorf("%d at a time", most.Load())
	}
}

func TestAStopEndsARequest(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	n := build(t, url, "    timeout: 1h\n", "tmp.r")
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, stop)
	m, e := n.Message("{}"), &flow.Emitter{}
	e.Bind(ctx, nil)
	e.Reset(m)
	if err := flow.AsError(n.Processor.Process(m, e), flow.Poison, flow.CodePanic); err == nil || err.Class != flow.Transient {
		t.Errorf("%v", err)
	}
}

func TestAnotherMayAnswer(t *testing.T) {
	n := build(t, "https://api.example.com/{{ body.id }}", "    method: DELETE\n", "body.r")
	c, ok := n.Processor.(flow.Caller)
	if !ok {
		t.Fatal("a call is no flow.Caller")
	}
	n.Processor = c.Answering(func(_ context.Context, q flow.Question) (*flow.Answer, error) {
		if q != (flow.Question{Method: "DELETE", URL: "https://api.example.com/a%20b"}) {
			t.Errorf("asked %+v", q)
		}
		return &flow.Answer{Status: 202, Headers: map[string]string{"X-A": "1"}, Body: []byte(`[1]`)}, nil
	})
	res := n.Process(t, n.Message(`{"id":"a b"}`))
	if want := `{"id":"a b","r":{"body":[1],"headers":{"content-type":"application/json","x-a":"1"},"status":202}}`; res.Err != nil || res.Out[0] != want {
		t.Errorf("%+v", res)
	}
}

func TestMistakesInACallAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"call: { http: { url: \"http://a/\" } }\n":                                              "missing-key",
		"call: { into: body.x }\n":                                                              "missing-key",
		"call: { http: { url: \"ftp://a/\" }, into: body.x }\n":                                 "bad-value: the URL's scheme",
		"call: { http: { url: /devices }, into: body.x }\n":                                     "bad-value",
		"call: { http: { url: \"http://u:p@a/\" }, into: body.x }\n":                            "bad-value: the URL carries a user name",
		"call: { http: { url: \"{{ body.url }}\" }, into: body.x }\n":                           "1:22 open-destination",
		"call: { http: { url: \"http://a{{ body.url }}\" }, into: body.x }\n":                   "open-destination",
		"call: { http: { url: body.url }, into: body.x }\n":                                     "expression-in-literal",
		"call: { http: { url: \"http://a/\", method: FETCH }, into: body.x }\n":                 "bad-value",
		"call: { http: { url: \"http://a/\", concurrency: 0 }, into: body.x }\n":                "bad-value",
		"call: { http: { url: \"http://a/\", timeout: 0s }, into: body.x }\n":                   "bad-value",
		"call: { http: { url: \"http://a/\", max_body: 0 }, into: body.x }\n":                   "bad-value",
		"call: { http: { url: \"http://a/\", headers: { Host: b } }, into: body.x }\n":          "bad-value: Host is set by HTTP itself",
		"call: { http: { url: \"http://a/\", headers: { \"a b\": c } }, into: body.x }\n":       "bad-value",
		"call: { http: { url: \"http://a/\", headers: { a: \"b\\n\" } }, into: body.x }\n":      "bad-value",
		"call: { http: { url: \"http://a/\", headers: { Authorization: b } }, into: body.x }\n": "bad-value: the header Authorization sends a secret in clear text",
		"call: { http: { url: \"http://a/\" }, into: meta.x }\n":                                "type-mismatch",
		"call: { http: { url: \"http://a/\" }, into: key }\n":                                   "type-mismatch",
		"call: { http: { url: \"http://a/\" }, into: \"body.l[*].x\" }\n":                       "bad-value",
		"call: { http: { url: \"http://a/\" }, into: topic }\n":                                 "not-writable",
		"call: { http: { url: \"http://{{ body.h }}/\", allow: [\"[\"] }, into: body.x }\n":     "bad-value: the pattern",
		"call: { http: { url: \"http://a/{{ bdy }}\" }, into: body.x }\n":                       "unknown-name",
	} {
		_, findings := nodetest.Build(t, call.Type(), text)
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}

// FuzzURL gives a call any text for the parts of its URL: host, path and query stay what the file says.
func FuzzURL(f *testing.F) {
	f.Add("a", "b")
	f.Add("../x?y#z", "&k=v")
	f.Add("%2e%2e", "\x00")
	n := func() *nodetest.Node {
		node, _ := nodetest.Build(f, call.Type(), "call: { http: { url: \"https://api.example.com/a/{{ meta.p }}/b?q={{ meta.q }}\" }, into: tmp.r }\n")
		return node
	}()
	var asked string
	n.Processor = n.Processor.(flow.Caller).Answering(func(_ context.Context, q flow.Question) (*flow.Answer, error) {
		asked = q.URL
		return &flow.Answer{Status: 200}, nil
	})
	f.Fuzz(func(t *testing.T, path, query string) {
		res := n.Process(t, n.Open(flow.Record{Body: []byte("{}"), Headers: []flow.Header{flow.TextHeader("p", path), flow.TextHeader("q", query)}}))
		if res.Err != nil {
			if path != "." && path != ".." && utf8.ValidString(path) && utf8.ValidString(query) {
				t.Fatal(res.Err)
			}
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, asked, http.NoBody)
		if err != nil {
			t.Fatalf("%q: %v", asked, err)
		}
		if r.URL.Host != "api.example.com" || r.URL.Path != "/a/"+path+"/b" || r.URL.Query().Get("q") != query || strings.Count(r.URL.EscapedPath(), "/") != 3 || len(r.URL.Query()) != 1 {
			t.Errorf("%q", asked)
		}
	})
}

// FuzzAnswer reads any answer: it becomes a value that can be written as JSON, or the message fails.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", []byte(`{"a":1}`))
	f.Add(200, "text/plain", []byte("\xff"))
	f.Add(302, "a/b+json", []byte("{"))
	node, _ := nodetest.Build(f, call.Type(), "call: { http: { url: \"https://api.example.com/\" }, into: body.r }\n")
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		n := *node
		n.Processor = node.Processor.(flow.Caller).Answering(func(context.Context, flow.Question) (*flow.Answer, error) {
			return &flow.Answer{Status: status, Headers: map[string]string{"Content-Type": kind}, Body: bytes.Clone(body)}, nil
		})
		res := n.Process(t, n.Message("{}"))
		var e *flow.Error
		switch {
		case res.Err != nil && !errors.As(res.Err, &e):
			t.Fatal(res.Err)
		case res.Err == nil && !json.Valid([]byte(res.Out[0])):
			t.Fatalf("%s is no JSON", res.Out[0])
		}
	})
}
