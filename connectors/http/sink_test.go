package http_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/http"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

// target is an HTTP server that keeps what it has accepted.
type target struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	last   *nethttp.Request
	under  int
	most   int
}

// newTarget answers as reply says, by the number of the request from 1 and its body.
func newTarget(t testing.TB, answer func(n int, body string, w nethttp.ResponseWriter)) *target {
	g := &target{}
	n := 0
	g.Server = httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		n++
		mine := n
		g.under++
		g.most = max(g.most, g.under)
		g.mu.Unlock()
		rec := &status{ResponseWriter: w, code: 200}
		if answer != nil {
			answer(mine, string(body), rec)
		}
		g.mu.Lock()
		g.under--
		if rec.code < 300 {
			g.bodies = append(g.bodies, string(body))
			g.last = r
		}
		g.mu.Unlock()
	}))
	t.Cleanup(g.Close)
	return g
}

type status struct {
	nethttp.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (g *target) got() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.bodies)
}

func (g *target) request() *nethttp.Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// build decodes options and builds the sink. That a secret stands in the file is no finding here.
func build(t testing.TB, options string) (config.Sink, []string) {
	t.Helper()
	var c http.Sink
	var built config.Sink
	_, findings := connectortest.Build(t, "{ "+options+" }", &c, func(b *config.Builder) { built = c.BuildSink(b) })
	return built, slices.DeleteFunc(findings, func(f string) bool { return strings.HasPrefix(f, "literal-secret") })
}

// openSink builds and opens a sink of options.
func openSink(t testing.TB, options string) (flow.Sink, flow.Preparer) {
	t.Helper()
	built, findings := build(t, options)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	s, err := built.Open(t.Context(), connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, built.Preparer
}

func TestTheSinkKeepsItsContract(t *testing.T) {
	connectortest.Sink(t, connectortest.SinkSuite{Open: func(t *testing.T, _ *connectortest.Host) (flow.Sink, flow.Preparer, func() []string) {
		g := newTarget(t, nil)
		s, p := openSink(t, "url: \""+g.URL+"/x\"")
		return s, p, g.got
	}})
}

func TestAMessageGoesOutWithItsParts(t *testing.T) {
	g := newTarget(t, nil)
	s, p := openSink(t, `url: "`+g.URL+`/u/{{ key }}?n={{ id }}", method: PUT, headers: { X-Own: "{{ meta.a }}!" }, bearer: t0ken`)
	o, err := connectortest.Outgoing(p, flow.Record{
		Body: []byte(`{"n":1}`), Key: []byte("k/1"), Topic: "t", Attempt: 1, Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano(),
		Headers: []flow.Header{
			flow.TextHeader("a", "1"), flow.TextHeader("b", "x"), flow.TextHeader("b", "y"), {Name: "n", Value: value.Int(7)},
			flow.TextHeader("line", "a\r\nInjected: b"), flow.TextHeader("odd name", "z"), flow.TextHeader("authorization", "theirs"),
			flow.TextHeader("host", "evil"), flow.TextHeader("content-length", "999"), flow.TextHeader("connection", "close"), flow.TextHeader("x-own", "theirs"),
		},
		Props: &flow.Properties{CorrelationID: value.String("c1"), Priority: 3, HasPriority: true},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := connectortest.Send(t.Context(), s, []*flow.Outgoing{o}); err != nil || o.Err != nil {
		t.Fatal(err, o.Err)
	}
	r := g.request()
	if r.Method != "PUT" || r.URL.RequestURI() != "/u/k%2F1?n=test%3At%2F0%400" || r.ContentLength != 7 || r.Host == "evil" {
		t.Errorf("the request was %s %s with %d bytes to %s", r.Method, r.URL.RequestURI(), r.ContentLength, r.Host)
	}
	want := map[string][]string{
		"A": {"1"}, "B": {"x", "y"}, "N": {"7"}, "X-Own": {"1!"}, "Line": {base64.StdEncoding.EncodeToString([]byte("a\r\nInjected: b"))},
		"Odd%20name": {"z"}, "Authorization": {"Bearer t0ken"}, "Millstream-Key": {"k/1"}, "Millstream-Time": {"2026-01-02T03:04:05.000000006Z"},
		"Millstream-Correlation-Id": {"c1"}, "Millstream-Priority": {"3"}, "Millstream-B64": {"line"}, "Content-Type": {"application/json"},
	}
	for name, v := range want {
		if diff := cmp.Diff(v, r.Header[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if r.Header.Get("Injected") != "" || len(r.Header.Get("Idempotency-Key")) != 40 {
		t.Errorf("headers: %v", r.Header)
	}
	prepared, ok := p.(flow.HeaderPreparer)
	if !ok {
		t.Fatal("the preparer does not tell its headers")
	}
	for _, h := range prepared.SentHeaders(o) {
		if strings.Contains(h.Text(), "t0ken") {
			t.Errorf("the header %s shows the token", h.Name)
		}
	}
}

func TestAnswersDecideWhatBecomesOfAMessage(t *testing.T) {
	tests := []struct {
		name   string
		answer func(n int, body string, w nethttp.ResponseWriter)
		class  flow.Class
		code   flow.Code
		after  time.Duration
	}{
		{name: "a redirect", class: flow.Permanent, code: flow.CodeRefused,
			answer: func(_ int, _ string, w nethttp.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(302) }},
		{name: "unauthorized", class: flow.Permanent, code: flow.CodeRefused,
			answer: func(_ int, _ string, w nethttp.ResponseWriter) { w.WriteHeader(401) }},
		{name: "too many", class: flow.Transient, code: flow.CodeThrottled, after: 3 * time.Second,
			answer: func(_ int, _ string, w nethttp.ResponseWriter) {
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(429)
			}},
		{name: "an error of theirs", class: flow.Transient, code: flow.CodeUnavailable,
			answer: func(_ int, _ string, w nethttp.ResponseWriter) { w.WriteHeader(502) }},
		{name: "no answer", class: flow.Transient, code: flow.CodeUnavailable,
			answer: func(int, string, nethttp.ResponseWriter) { time.Sleep(600 * time.Millisecond) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newTarget(t, test.answer)
			s, p := openSink(t, `timeout: 200ms, url: "`+g.URL+`"`)
			outs, err := connectortest.Outgoings(p, "1")
			if err != nil {
				t.Fatal(err)
			}
			if err := connectortest.Send(t.Context(), s, outs); err != nil {
				t.Fatal(err)
			}
			e := flow.AsError(outs[0].Err, flow.Fatal, "")
			if e == nil || e.Class != test.class || e.Code != test.code || e.After != test.after {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestMessagesOfOneKeyGoOneAfterAnotherAndOthersBesideThem(t *testing.T) {
	g := newTarget(t, func(int, string, nethttp.ResponseWriter) { time.Sleep(2 * time.Millisecond) })
	s, p := openSink(t, `concurrency: 8, url: "`+g.URL+`"`)
	const keys, each = 8, 20
	outs := make([]*flow.Outgoing, 0, keys*each)
	for n := range each {
		for k := range keys {
			o, err := connectortest.Outgoing(p, flow.Record{Body: fmt.Appendf(nil, "%d:%d", k, n), Key: fmt.Append(nil, k), Topic: "t", Attempt: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			outs = append(outs, o)
		}
	}
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, body := range g.got() {
		key, n, _ := strings.Cut(body, ":")
		if n != fmt.Sprint(next[key]) {
			t.Fatalf("key %s: %s came where %d was to", key, n, next[key])
		}
		next[key]++
	}
	if len(next) != keys || g.most < 2 {
		t.Errorf("%d keys arrived, %d at a time", len(next), g.most)
	}
}

func TestNothingOvertakesWhatHasFailed(t *testing.T) {
	g := newTarget(t, func(n int, _ string, w nethttp.ResponseWriter) {
		if n == 2 {
			w.WriteHeader(503)
		}
	})
	s, p := openSink(t, `url: "`+g.URL+`"`)
	outs, err := connectortest.Outgoings(p, "1", "2", "3", "4")
	if err != nil {
		t.Fatal(err)
	}
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1"}, g.got()); diff != "" || outs[0].Err != nil || outs[1].Err == nil || outs[2].Err == nil || outs[3].Err == nil {
		t.Errorf("%v %s", connectortest.Errors(outs), diff)
	}
}

func TestTheIdempotencyKeyNamesTheMessageAndWhereItGoes(t *testing.T) {
	key := func(options string, r flow.Record) string {
		_, p := openSink(t, options)
		o, err := connectortest.Outgoing(p, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		hp, ok := p.(flow.HeaderPreparer)
		if !ok {
			t.Fatal("no headers")
		}
		for _, h := range hp.SentHeaders(o) {
			if h.Name == "idempotency-key" {
				return h.Text()
			}
		}
		return ""
	}
	one := flow.Record{Body: []byte("1"), Topic: "t", Offset: 7, Attempt: 1}
	first := key(`url: "http://localhost/a"`, one)
	again, redelivered := one, one
	redelivered.Attempt, redelivered.Redelivered = 2, true
	other, changed := one, one
	other.Offset = 8
	changed.Body = []byte("2")
	for name, same := range map[string]bool{
		key(`url: "http://localhost/a"`, again): true, key(`url: "http://localhost/a"`, redelivered): true,
		key(`url: "http://localhost/a"`, other): false, key(`url: "http://localhost/a"`, changed): false,
		key(`url: "http://localhost/b"`, one): false, key(`method: PUT, url: "http://localhost/a"`, one): false,
	} {
		if (name == first) != same {
			t.Errorf("%s beside %s: the same is %v", name, first, same)
		}
	}
	if got := key(`url: "http://localhost/a", headers: { idempotency-key: mine }`, one); got != "mine" {
		t.Errorf("the file's own key is %s", got)
	}
}

func TestAMessageThatFailsForAWhileArrivesOnceRetried(t *testing.T) {
	g := newTarget(t, func(n int, body string, w nethttp.ResponseWriter) {
		switch {
		case body == `{"n":2}` && n < 8:
			w.WriteHeader([]int{500, 429, 503}[n%3])
		case body == `{"n":3}`:
			w.WriteHeader(404)
		}
	})
	r := newRig(t)
	r.vars["TARGET"] = g.URL
	if err := os.WriteFile(r.vars["DIR"]+"/in", []byte("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.start(`
name: p
from: { file: { path: "${DIR}/in" } }
to: { http: { url: "${TARGET}/x" }, on_error: { retry: { backoff: 1ms..5ms }, then: dead } }
sinks: { dead: { file: { path: "${DIR}/dead" } } }
`)
	<-p.Done()
	if got := g.got(); !slices.Equal(got, []string{`{"n":1}`, `{"n":2}`, `{"n":4}`}) && !slices.Equal(got, []string{`{"n":1}`, `{"n":2}`, `{"n":4}`, `{"n":4}`}) {
		t.Errorf("arrived %v", got)
	}
	if letters := r.lines("dead"); len(letters) != 1 || !strings.Contains(letters[0], "404") {
		t.Errorf("dead letters %v", letters)
	}
	if b := p.Balance(); !b.Even() || b.Delivered != 3 || b.DeadLettered != 1 {
		t.Errorf("balance %+v", b)
	}
}

func TestMistakesInASinkAreFound(t *testing.T) {
	tests := []struct{ options, want string }{
		{`url: "ftp://h/"`, `bad-value: the URL's scheme is neither http nor https`},
		{`url: "http://u:p@h/"`, `bad-value: the URL carries a user name or password`},
		{`url: "http://h/", method: post`, `bad-value: method is "post"`},
		{`url: "http://{{ body.host }}/"`, `open-destination: the message alone decides which host it goes to`},
		{`url: "{{ body.url }}"`, `open-destination: the message alone decides which host it goes to`},
		{`url: body.url`, `expression-in-literal: "body.url" is a literal and reads like a path of the message`},
		{`url: "http://h/", headers: { Host: x }`, `bad-value: the header Host is set by HTTP itself`},
		{`url: "http://h/", headers: { "a b": x }`, `bad-value: "a b" is no name of a header`},
		{`url: "http://h.example.org/", bearer: x`, `bad-value: the URL sends the password or token in clear text`},
		{`url: "http://h.example.org/", headers: { Authorization: x }`, `bad-value: the header Authorization sends a secret in clear text`},
		{`url: "http://h/", tls: { ca: x }`, `bad-value: tls is given but the URL is http://`},
		{`url: "https://h/", bearer: x, basic: { user: a, password: b }`, `conflicting-key: basic and bearer are both given`},
		{`url: "https://h/", concurrency: 0`, `bad-value: concurrency must be from 1 to 1024`},
		{`url: "https://h/", timeout: 0s`, `bad-value: timeout must be positive`},
		{`url: "https://{{ body.h }}/", allow: ["[a"]`, `bad-value: the pattern "[a" is not complete`},
		{`method: POST`, `missing-key: "url" is missing`},
	}
	for _, test := range tests {
		_, findings := build(t, test.options)
		if diff := cmp.Diff([]string{test.want}, findings); diff != "" {
			t.Errorf("%s: %s", test.options, diff)
		}
	}
}

func TestASinkCanBeTriedWithoutSending(t *testing.T) {
	g := newTarget(t, nil)
	connect := func(options string) error {
		built, findings := build(t, options)
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		return built.Connect(t.Context(), connectortest.NewHost(t))
	}
	if err := connect(`url: "` + g.URL + `/{{ key }}"`); err != nil || g.request() != nil {
		t.Errorf("error %v, request %v", err, g.request())
	}
	if err := connect(`url: "https://` + strings.TrimPrefix(g.URL, "http://") + `/"`); err == nil {
		t.Error("https with a server that speaks http is fine")
	}
	if err := connect(`url: "http://` + freeAddress(t) + `/"`); err == nil {
		t.Error("nobody listens, and that is fine")
	}
}
