package http_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestARequestIsAnsweredByWhatBecameOfItsMessage(t *testing.T) {
	r := newRig(t)
	r.start(`
name: p
sources: { in: { http: { listen: "${LISTEN}", path: /in, timeout: 1s } } }
nodes:
  checked:
    from: in
    steps:
      - filter: body.keep
      - transform: { body.n: body.n + 1 }
      - { transform: { body: 'fail("bad luck")' }, if: 'body.bad ?? false', on_error: { then: dead } }
  slow: { from: in, filter: 'body.slow ?? false' }
sinks:
  out: { from: checked, file: { path: "${DIR}/out" } }
  dead: { file: { path: "${DIR}/dead" } }
  nobody: { from: slow, memory: { topic: nobody } }
`)
	r.want(request{path: "/in", body: `{"keep":true,"n":1}`}, 200, "")
	r.want(request{path: "/in", body: `{"keep":false}`}, 200, "")
	r.want(request{path: "/in", body: `{"keep":true,"n":7,"bad":true}`}, 200, "")
	got := r.want(request{path: "/in", body: `{"keep":true,"n":"x"}`}, 422, "expression")
	if !strings.Contains(got.message, "body.n") && !strings.Contains(got.message, "+") {
		t.Errorf("the answer says %q", got.message)
	}
	r.want(request{path: "/in", body: `no json`}, 422, "decode")
	r.want(request{path: "/in", body: ``}, 422, "expression")
	if late := r.want(request{path: "/in", body: `{"keep":false,"slow":true}`}, 503, "unavailable"); late.retryAfter == "" {
		t.Error("503 does not say when to come again")
	}
	r.want(request{path: "/in", body: `{"keep":true,"n":2}`}, 200, "") // the pipeline runs on
	r.want(request{path: "/else"}, 404, "missing")
	r.want(request{path: "/in/"}, 404, "missing")
	r.want(request{path: "/in", method: "PUT"}, 405, "refused")
	if diff := cmp.Diff([]string{`{"keep":true,"n":2}`, `{"keep":true,"n":3}`}, r.lines("out")); diff != "" {
		t.Error(diff)
	}
	r.start("name: late\nfrom: { memory: { topic: nobody } }\nto: { file: { path: \"${DIR}/late\" } }\n")
	eventually(t, "the message that was not settled in time arrives", func() bool { return len(r.lines("late")) == 1 })
	if letters := r.lines("dead"); len(letters) != 1 || !strings.Contains(letters[0], "bad_luck") {
		t.Errorf("dead letters: %v", letters)
	}
}

func TestAMessageHasWhatTheRequestHad(t *testing.T) {
	r := newRig(t)
	r.start(`
name: p
from: { http: { listen: "${LISTEN}", path: /in, methods: [POST, PUT] } }
steps:
  - transform:
      body:
        meta: meta["x-one"]
        type: meta["content-type"]
        event: meta["ce-type"]
        auth: meta["authorization"] ?? "none"
        length: meta["content-length"] ?? "none"
        all: 'len(filter(source.headers, it.name == "x-two"))'
        key: key
        topic: topic
        path: source.path
        method: source.method
        query: parseQuery(source.query)
        remote: source.remote startsWith "127.0.0.1:"
        was: body
to: { file: { path: "${DIR}/out" } }
`)
	r.want(request{path: "/in?a=1&b=2", method: "PUT", body: `[1]`, header: map[string]string{
		"X-One": "1", "Content-Type": "application/cloudevents+json", "Ce-Type": "t", "Authorization": "Bearer x", "Millstream-Key": "k1",
	}}, 200, "")
	want := `{"all":0,"auth":"none","event":"t","key":"k1","length":"none","meta":"1","method":"PUT","path":"/in",` +
		`"query":{"a":"1","b":"2"},"remote":true,"topic":"/in","type":"application/cloudevents+json","was":[1]}`
	if diff := cmp.Diff([]string{want}, r.lines("out")); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyWhoKnowsTheSecretMaySend(t *testing.T) {
	const body = `{"n":1}`
	gitlab := func(secret []byte, id, stamp, body string) string {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + stamp + "." + body))
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	key := bytes.Repeat([]byte("k"), 32)
	now, old := fmt.Sprint(time.Now().Unix()), fmt.Sprint(time.Now().Add(-time.Hour).Unix())
	tests := []struct {
		name, options string
		header        map[string]string
		good          bool
	}{
		{"GitHub's signature", `hmac: { secret: "${SECRET}" }`, map[string]string{"X-Hub-Signature-256": sign("It's a Secret", body)}, true},
		{"Gitea's, without a name", `hmac: { secret: "${SECRET}", header: X-Gitea-Signature }`,
			map[string]string{"X-Gitea-Signature": strings.TrimPrefix(sign("It's a Secret", body), "sha256=")}, true},
		{"another secret", `hmac: { secret: "${SECRET}" }`, map[string]string{"X-Hub-Signature-256": sign("it's", body)}, false},
		{"another body", `hmac: { secret: "${SECRET}" }`, map[string]string{"X-Hub-Signature-256": sign("It's a Secret", body+" ")}, false},
		{"another algorithm", `hmac: { secret: "${SECRET}", algorithm: sha512, header: X-Hub-Signature-256 }`,
			map[string]string{"X-Hub-Signature-256": sign("It's a Secret", body)}, false},
		{"a signature that is cut", `hmac: { secret: "${SECRET}" }`, map[string]string{"X-Hub-Signature-256": sign("It's a Secret", body)[:20]}, false},
		{"no signature", `hmac: { secret: "${SECRET}" }`, nil, false},
		{"GitLab's token", `token: { secret: "${SECRET}" }`, map[string]string{"X-Gitlab-Token": "It's a Secret"}, true},
		{"another token", `token: { secret: "${SECRET}" }`, map[string]string{"X-Gitlab-Token": "It's a secret"}, false},
		{"no token", `token: { secret: "${SECRET}" }`, nil, false},
		{"a bearer", `token: { secret: "Bearer ${SECRET}", header: Authorization }`, map[string]string{"Authorization": "Bearer It's a Secret"}, true},
		{"GitLab's signing token", `signed: { secret: "${SIGNING}" }`, map[string]string{
			"Webhook-Id": "i", "Webhook-Timestamp": now, "Webhook-Signature": "v1,AAAA v2,x " + gitlab(key, "i", now, body)}, true},
		{"another id", `signed: { secret: "${SIGNING}" }`, map[string]string{
			"Webhook-Id": "j", "Webhook-Timestamp": now, "Webhook-Signature": gitlab(key, "i", now, body)}, false},
		{"an old one", `signed: { secret: "${SIGNING}" }`, map[string]string{
			"Webhook-Id": "i", "Webhook-Timestamp": old, "Webhook-Signature": gitlab(key, "i", old, body)}, false},
		{"another version", `signed: { secret: "${SIGNING}" }`, map[string]string{
			"Webhook-Id": "i", "Webhook-Timestamp": now, "Webhook-Signature": "v2" + gitlab(key, "i", now, body)[2:]}, false},
		{"both, one missing", `signed: { secret: "${SIGNING}" }, token: { secret: "${SECRET}" }`, map[string]string{
			"Webhook-Id": "i", "Webhook-Timestamp": now, "Webhook-Signature": gitlab(key, "i", now, body)}, false},
	}
	r := newRig(t)
	r.vars["SECRET"], r.vars["SIGNING"] = "It's a Secret", "whsec_"+base64.StdEncoding.EncodeToString(key)
	for i, test := range tests {
		r.start(fmt.Sprintf(`
name: p%d
from: { http: { listen: "${LISTEN}", path: /%d, %s } }
steps: [ { transform: { body: '{n: body.n, meta: meta["x-gitlab-token"] ?? "none"}' } } ]
to: { file: { path: "${DIR}/%d" } }
`, i, i, test.options, i))
		status, code, lines := 401, "auth", []string{}
		if test.good {
			status, code, lines = 200, "", []string{`{"meta":"none","n":1}`}
		}
		t.Run(test.name, func(t *testing.T) {
			r.want(request{path: fmt.Sprintf("/%d", i), body: body, header: test.header}, status, code)
			if diff := cmp.Diff(lines, r.lines(fmt.Sprint(i))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsTooLargeOrPackedTooWellIsRefused(t *testing.T) {
	r := newRig(t)
	r.start(`
name: p
from: { http: { listen: "${LISTEN}" } }
to: { file: { path: "${DIR}/out" } }
limits: { max_message: 10KiB }
`)
	pack := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return b.String()
	}
	packed := map[string]string{"Content-Encoding": "gzip"}
	r.want(request{body: strings.Repeat("x", 10<<10)}, 200, "")
	r.want(request{body: strings.Repeat("x", 10<<10+1)}, 413, "too_large")
	r.want(request{body: strings.Repeat("x", 10<<10), chunked: true}, 200, "")
	r.want(request{body: strings.Repeat("x", 64<<10), chunked: true}, 413, "too_large")
	r.want(request{body: pack("hello"), header: packed}, 200, "")
	r.want(request{body: pack(strings.Repeat("x", 10<<10)), header: packed}, 200, "")
	r.want(request{body: pack(strings.Repeat("x", 10<<10+1)), header: packed}, 413, "too_large")
	r.want(request{body: pack(strings.Repeat("x", 1<<20)), header: packed}, 413, "too_large")
	r.start("name: large\nfrom: { http: { listen: \"${LISTEN}\", path: /large } }\nto: { drop: {} }\n")
	r.want(request{path: "/large", body: pack(strings.Repeat("x", 60<<10)), header: packed}, 200, "")
	r.want(request{path: "/large", body: pack(strings.Repeat("x", 600<<10)), header: packed}, 413, "too_large")
	r.want(request{body: "hello", header: packed}, 400, "decode")
	r.want(request{body: pack("hello")[:12], header: packed}, 400, "decode")
	r.want(request{body: "hello", header: map[string]string{"Content-Encoding": "br"}}, 415, "decode")
	if got := r.lines("out"); len(got) != 4 || got[2] != "hello" {
		t.Errorf("%d lines: %.60q", len(got), got)
	}
}

func TestWhatIsTooMuchAtATimeComesAgain(t *testing.T) {
	r := newRig(t)
	r.start("name: p\nfrom: { http: { listen: \"${LISTEN}\", max_requests: 2, timeout: 1s } }\nto: { memory: { topic: later } }\n")
	var waiting sync.WaitGroup
	for range 2 {
		waiting.Go(func() { r.want(request{body: "1"}, 503, "unavailable") }) // nobody takes them in time
	}
	waiting.Wait() // their messages are under way still, and so are their places
	if got := r.want(request{body: "2"}, 503, "unavailable"); got.retryAfter == "" || !strings.Contains(got.message, "too much") {
		t.Errorf("answered %+v", got)
	}
	r.start("name: later\nfrom: { memory: { topic: later } }\nto: { file: { path: \"${DIR}/out\" } }\n")
	eventually(t, "both messages arrive", func() bool { return len(r.lines("out")) == 2 })
	eventually(t, "there is room again", func() bool { return r.send(request{body: "3"}).status == 200 })
}

func TestPathsOfOneListenerBelongToOnePipelineEach(t *testing.T) {
	r := newRig(t)
	one := r.start("name: one\nfrom: { http: { listen: \"${LISTEN}\", path: /one } }\nto: { file: { path: \"${DIR}/one\" } }\n")
	r.start("name: two\nfrom: { http: { listen: \"${LISTEN}\", path: /two } }\nto: { file: { path: \"${DIR}/two\" } }\n")
	r.want(request{path: "/one", body: "1"}, 200, "")
	r.want(request{path: "/two", body: "2"}, 200, "")
	p, _ := r.compile("name: three\nfrom: { http: { listen: \"${LISTEN}\", path: /two } }\nto: { drop: {} }\n")
	if _, err := r.engine.Start(t.Context(), p); err == nil || !strings.Contains(err.Error(), `the path /two`) {
		t.Errorf("a second pipeline at the path: %v", err)
	}
	if err := one.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	r.want(request{path: "/one", body: "1"}, 503, "unavailable") // it might have been started anew
	r.want(request{path: "/two", body: "2"}, 200, "")
	if diff := cmp.Diff([]string{"2", "2"}, r.lines("two")); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInASourceAreFound(t *testing.T) {
	tests := []struct{ options, want string }{
		{`listen: "8080"`, `bad-value: listen is "8080", which is no address to listen at`},
		{`listen: "localhost:http"`, `bad-value: listen is "localhost:http", which is no address to listen at`},
		{`listen: "${LISTEN}", path: hooks`, `bad-value: path is "hooks"; it must begin with / and have neither ?, # nor blanks`},
		{`listen: "${LISTEN}", methods: [post]`, `bad-value: methods has "post"`},
		{`listen: "${LISTEN}", timeout: 0s`, `bad-value: timeout must be positive`},
		{`listen: "${LISTEN}", max_requests: 0`, `bad-value: max_requests must be from 1 to 65536`},
		{`listen: "${LISTEN}", hmac: { secret: "" }`, `bad-value: hmac has an empty secret: everybody knows it`},
		{`listen: "${LISTEN}", signed: { secret: "${LISTEN}" }`, `bad-value: the secret does not begin with whsec_`},
		{`listen: "${LISTEN}", token: { secret: "${LISTEN}", header: "a b" }`, `bad-value: "a b" is no name of a header`},
		{`path: /`, `missing-key: "listen" is missing in http`},
	}
	r := newRig(t)
	for _, test := range tests {
		_, findings := r.compile("name: p\nfrom:\n  http: { " + test.options + " }\nto: { drop: {} }\n")
		if diff := cmp.Diff([]string{test.want}, findings); diff != "" {
			t.Errorf("%s: %s", test.options, diff)
		}
	}
	_, findings := r.compile(`
name: p
sources:
  a: { http: { listen: "127.0.0.1:8080", path: /x } }
  b: { http: { listen: "127.0.0.1:8080", path: /x } }
sinks:
  out: { from: [a, b], http: { url: "http://localhost:8080/x" } }
`)
	if len(findings) != 3 || !strings.Contains(findings[0], "path /x at 127.0.0.1:8080 has been taken by the source") {
		t.Errorf("one path twice, and a loop: %q", findings)
	}
}
