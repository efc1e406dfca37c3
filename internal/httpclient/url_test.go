package httpclient_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/internal/httpclient"
	"github.com/millstream/millstream/pipelines/expression"
)

func newURL(t testing.TB, text string, allow ...string) (u *httpclient.URL, problem string, open bool, paths *document.Paths) {
	t.Helper()
	paths = document.NewPaths()
	template, problems := expression.CompileTemplate(text, &expression.Scope{Paths: paths})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	paths.Freeze()
	u, problem, _, open = httpclient.NewURL(template, allow)
	return u, problem, open, paths
}

func message(paths *document.Paths, body string) *flow.Message {
	m := &flow.Message{}
	m.Open(&flow.Env{Paths: paths, Now: time.Now}, &flow.Batch{Records: []flow.Record{{Body: []byte(body)}}}, 0)
	return m
}

func TestAMessageStaysInItsPlaceInAURL(t *testing.T) {
	tests := []struct{ name, template, body, want, code string }{
		{"a constant", "http://h/x?a=%20", `{}`, "http://h/x?a=%20", ""},
		{"a segment", "http://h/u/{{ body.a }}/x", `{"a":"me"}`, "http://h/u/me/x", ""},
		{"a slash", "http://h/u/{{ body.a }}", `{"a":"../admin?x=1#y"}`, "http://h/u/..%2Fadmin%3Fx%3D1%23y", ""},
		{"dots alone", "http://h/u/{{ body.a }}/x", `{"a":".."}`, "", "invalid_name"},
		{"a dot that is half literal", "http://h/u/.{{ body.a }}/x", `{"a":"."}`, "", "invalid_name"},
		{"packed dots", "http://h/u/{{ body.a }}/x", `{"a":"%2e%2e"}`, "http://h/u/%252e%252e/x", ""},
		{"a value of a query", "http://h/?q={{ body.a }}&r=1", `{"a":"1&r=2+ä"}`, "http://h/?q=1%26r%3D2%2B%C3%A4&r=1", ""},
		{"a number", "http://h/{{ body.a }}", `{"a":7}`, "http://h/7", ""},
		{"a line end", "http://h/{{ body.a }}", `{"a":"x\r\nHost: y"}`, "http://h/x%0D%0AHost%3A%20y", ""},
		{"nil", "http://h/{{ body.b }}", `{"a":"x"}`, "", "expression"},
		{"a host", "https://{{ body.a }}.example.org/x", `{"a":"eu"}`, "https://eu.example.org/x", ""},
		{"a host that leads away", "https://{{ body.a }}.example.org/x", `{"a":"evil.com/"}`, "", "invalid_name"},
		{"a host with a user", "https://{{ body.a }}.example.org/x", `{"a":"x@evil.com"}`, "", "invalid_name"},
		{"a host with a backslash", "https://{{ body.a }}.example.org/x", `{"a":"evil.com\\"}`, "", "invalid_name"},
		{"a host with a port", "https://{{ body.a }}", `{"a":"a.example.org:8443"}`, "https://a.example.org:8443", ""},
		{"a whole URL", "{{ body.a }}", `{"a":"https://cb.example.org/x?y=1"}`, "https://cb.example.org/x?y=1", ""},
		{"a whole URL elsewhere", "{{ body.a }}", `{"a":"https://evil.com/?.example.org"}`, "", "invalid_name"},
		{"a whole URL of another kind", "{{ body.a }}", `{"a":"file:///etc/passwd"}`, "", "invalid_name"},
		{"a whole URL with a user", "{{ body.a }}", `{"a":"http://cb.example.org@evil.com/"}`, "", "invalid_name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u, problem, _, paths := newURL(t, test.template, "*.example.org")
			if problem != "" {
				t.Fatal(problem)
			}
			got, err := u.Render(message(paths, test.body))
			code := ""
			if err != nil {
				code = string(flow.AsError(err, flow.Transient, flow.CodeUnavailable).Code)
			}
			if got != test.want || code != test.code {
				t.Errorf("%q, %v; want %q %s", got, err, test.want, test.code)
			}
		})
	}
}

func TestURLsThatCannotBeRightAreFound(t *testing.T) {
	tests := []struct {
		text          string
		problem, open bool
		computed      bool
		toDial        string
	}{
		{text: "http://h/{{ key }}", toDial: "http://h/"},
		{text: "http://h:1?x={{ key }}", toDial: "http://h:1/"},
		{text: "https://h/x", toDial: "https://h/x"},
		{text: "ftp://h/{{ key }}", problem: true},
		{text: "ftp://h/", problem: true},
		{text: "h/x", problem: true},
		{text: "http://u:p@h/{{ key }}", problem: true},
		{text: "http{{ key }}", problem: true},
		{text: "http://{{ key }}/x", open: true, computed: true},
		{text: "{{ key }}", open: true, computed: true},
	}
	for _, test := range tests {
		u, problem, open, _ := newURL(t, test.text)
		if (problem != "") != test.problem || open != test.open {
			t.Errorf("%s: %q, open %v", test.text, problem, open)
		}
		if problem == "" && (u.Computed() != test.computed || u.Prefix() != test.toDial) {
			t.Errorf("%s: computed %v, dials %q", test.text, u.Computed(), u.Prefix())
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, seed := range []string{"a", "../x", "a/b?c#d", "\x00\r\n", "ä", "%2e%2e", "x@y", "[::1]:80"} {
		f.Add(seed)
	}
	template := "https://h.example.org/a/{{ key }}/b?c={{ key }}&d=1"
	u, problem, _, paths := newURL(f, template)
	if problem != "" {
		f.Fatal(problem)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		m := &flow.Message{}
		m.Open(&flow.Env{Paths: paths, Now: time.Now}, &flow.Batch{Records: []flow.Record{{Key: []byte(raw)}}}, 0)
		text, err := u.Render(m)
		if err != nil {
			return
		}
		got, err := url.Parse(text)
		if err != nil || got.Host != "h.example.org" || got.Scheme != "https" || got.User != nil || got.Fragment != "" {
			t.Fatalf("%q leads to %q: %v", raw, text, err)
		}
		segments := strings.Split(got.EscapedPath(), "/")
		query, err := url.ParseQuery(got.RawQuery)
		if err != nil || len(segments) != 4 || segments[1] != "a" || segments[3] != "b" || len(query) != 2 || query.Get("d") != "1" {
			t.Fatalf("%q becomes %q", raw, text)
		}
		if back, err := url.PathUnescape(segments[2]); err != nil || back != raw || query.Get("c") != raw {
			t.Fatalf("%q comes back as %q and %q", raw, back, query.Get("c"))
		}
	})
}
