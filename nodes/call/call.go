// Package call is the verb call: it asks an HTTP server about each message and writes the answer into it. It keeps no answers: what does
// not change from message to message belongs into a table.
package call

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/internal/httpclient"
	"github.com/millstream/millstream/nodes/transform"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Type is the verb call.
func Type() config.NodeType {
	return config.NodeType{
		Name: "call",
		Doc:  "Asks an HTTP server and writes its answer into the message.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Call says whom to ask, and where the answer goes.
	Call Options `yaml:"call" required:"true"`
}

// Options are the options of call.
type Options struct {
	// HTTP is the request. An answer other than 2xx fails the message: 5xx, 408, 429 and no answer within the timeout with the class
	// transient, so that on_error decides how often it is asked again; any other, redirects among them, with the class permanent.
	HTTP HTTP `yaml:"http" required:"true"`
	// Into is where the answer is written, such as body.customer or tmp.answer: a map with status, headers (by names in lower case) and
	// body, which is decoded where it is JSON, text otherwise, and nil where there is none.
	Into yamldoc.Scalar `yaml:"into" required:"true"`
}

// HTTP is the request.
type HTTP struct {
	// URL is whom to ask. What an expression gives in it is escaped, so that it stays one part of the path or one value of the query. An
	// expression in the host needs allow, and then reaches neither this machine nor private networks.
	URL config.Template `yaml:"url" required:"true"`
	// Allow are patterns of the hosts that a URL may name when its host is made of the message, such as "*.example.com".
	Allow []string `yaml:"allow"`
	// Method is the method. Left out: POST where there is a body, GET otherwise.
	Method string `yaml:"method" oneof:"GET HEAD POST PUT PATCH DELETE"`
	// Headers are sent beside what HTTP itself needs. Secrets may stand in them. Headers of the message are not sent.
	Headers map[string]config.Template `yaml:"headers" secrets:"allowed"`
	// Body is what is sent: text and bytes as they are, nil as nothing, all else as JSON. content-type says so unless headers name another.
	Body config.Expression `yaml:"body"`
	// Timeout is how long the whole exchange may take.
	Timeout time.Duration `yaml:"timeout" default:"10s"`
	// Concurrency is how many requests may be under way. So many messages are worked on side by side; they leave in their order all the
	// same, but requests for one key may overlap.
	Concurrency int `yaml:"concurrency" default:"16"`
	// MaxBody is the largest answer that is taken; a larger one fails the message as too_large.
	MaxBody config.Size `yaml:"max_body" default:"1MiB"`
}

// mostConcurrency bounds how many requests a call may have under way.
const mostConcurrency = 1000

// answerShape is what is known of an answer.
var answerShape = &expression.Shape{Kind: value.KindMap, Rest: expression.Closed, Fields: map[string]*expression.Shape{
	"status": {Kind: value.KindInt}, "headers": {Kind: value.KindMap}, "body": nil,
}}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	h := &c.Call.HTTP
	p := &processor{body: b.Expression(h.Body, expression.WantAny), method: h.Method, concurrency: h.Concurrency}
	if p.method == "" {
		p.method = http.MethodGet
		if h.Body.Set {
			p.method = http.MethodPost
		}
	}
	p.url = buildAddress(b, h)
	p.headers = buildHeaders(b, h.Headers, p.url.inClear())
	settings := section(b.Value, "call", "http")
	if h.Concurrency < 1 || h.Concurrency > mostConcurrency {
		report(b, settings, "concurrency", "concurrency must be between 1 and 1000")
	}
	if h.Timeout <= 0 {
		report(b, settings, "timeout", "timeout must be more than 0")
	}
	if h.MaxBody < 1 {
		report(b, settings, "max_body", "max_body must be 1 or more")
	}
	if into := &c.Call.Into; into.Line > 0 {
		p.into = transform.BuildTarget(b, into, answerShape)
	}
	if b.Findings.HasErrors() || p.url == nil {
		return config.Node{Body: b.Scope.Body}
	}
	client := httpclient.New(httpclient.Options{Timeout: h.Timeout, MaxConns: h.Concurrency, MaxBody: int64(h.MaxBody), Computed: p.url.computed()})
	places := make(chan struct{}, h.Concurrency)
	p.ask = func(ctx context.Context, r *httpclient.Request) (*httpclient.Response, error) {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "given up: %w", ctx.Err())
		}
		defer func() { <-places }()
		return client.Do(ctx, r)
	}
	return config.Node{Processor: p, Body: b.Scope.Body}
}

// section is the value that keys lead to; nil when there is none.
func section(v *yamldoc.Value, keys ...string) *yamldoc.Value {
	for _, key := range keys {
		next, ok := v.Lookup(key)
		if !ok {
			return nil
		}
		v = next
	}
	return v
}

func report(b *config.Builder, settings *yamldoc.Value, key, message string) {
	if settings == nil {
		return
	}
	if v, ok := settings.Lookup(key); ok {
		settings = v
	}
	settings.Finding(b.Findings, diag.BadValue, message, "")
}

// header is one header of the request.
type header struct {
	name string
	text *expression.Template
}

// buildHeaders compiles the headers, in the order of their names; inClear tells that they go over a network without TLS.
func buildHeaders(b *config.Builder, templates map[string]config.Template, inClear bool) []header {
	with := *b
	with.Scope.Header = true
	names := make([]string, 0, len(templates))
	for name := range templates {
		names = append(names, name)
	}
	slices.Sort(names)
	var headers []header
	for _, name := range names {
		t := templates[name]
		text := with.Template(t)
		if text == nil {
			continue
		}
		constant, ok := text.Constant()
		switch {
		case httpclient.Reserved(name):
			b.Findings.Add(t.Text.Scalar.Whole(diag.BadValue, name+" is set by HTTP itself", "leave it out"))
		case !httpclient.ValidHeader(name, ""):
			b.Findings.Add(t.Text.Scalar.Whole(diag.BadValue, "no header can be called that: "+name, ""))
		case ok && !t.Text.Undefined && !httpclient.ValidHeader(name, constant):
			b.Findings.Add(t.Text.Scalar.Whole(diag.BadValue, "the value of "+name+" has characters that HTTP does not allow", ""))
		case inClear && (t.Text.Tainted || strings.EqualFold(name, "authorization")):
			b.Findings.Add(t.Text.Whole(diag.BadValue, "the header "+name+" sends a secret in clear text", "write https:// in the URL"))
		}
		headers = append(headers, header{name, text})
	}
	return headers
}

type processor struct {
	method      string
	url         *address
	headers     []header
	body        *expression.Program
	into        *transform.Target
	concurrency int
	ask         func(ctx context.Context, r *httpclient.Request) (*httpclient.Response, error)
}

// Concurrency implements flow.Waiter.
func (p *processor) Concurrency() int { return p.concurrency }

// Answering implements flow.Caller.
func (p *processor) Answering(answer func(ctx context.Context, q flow.Question) (*flow.Answer, error)) flow.Processor {
	c := *p
	c.ask = func(ctx context.Context, r *httpclient.Request) (*httpclient.Response, error) {
		a, err := answer(ctx, flow.Question{Method: r.Method, URL: r.URL})
		if err != nil {
			return nil, err
		}
		resp := &httpclient.Response{Status: a.Status, Header: http.Header{}, Body: a.Body}
		if a.Body != nil {
			resp.Header.Set("Content-Type", "application/json")
		}
		for name, text := range a.Headers {
			resp.Header.Set(name, text)
		}
		return resp, nil
	}
	return &c
}

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	r, host, err := p.request(m)
	if err != nil {
		return err
	}
	resp, err := p.ask(e.Context(), r)
	if err != nil {
		return err
	}
	answer, err := read(resp, host)
	if err != nil {
		return err
	}
	if err := p.into.Write(m, answer); err != nil {
		return err
	}
	e.Emit(0, m)
	return nil
}

// request makes the request for a message.
func (p *processor) request(m *flow.Message) (r *httpclient.Request, host string, err error) {
	r = &httpclient.Request{Method: p.method, Header: make(http.Header, len(p.headers)+1)}
	if r.URL, host, err = p.url.render(m); err != nil {
		return nil, "", err
	}
	for _, h := range p.headers {
		text, err := h.text.Render(m, nil)
		if err != nil {
			return nil, "", err
		}
		r.Header.Set(h.name, string(text))
	}
	if p.body == nil {
		return r, host, nil
	}
	v, err := p.body.Eval(m)
	if err != nil {
		return nil, "", err
	}
	kind := ""
	switch v.Kind() {
	case value.KindNil:
		return r, host, nil
	case value.KindString:
		r.Body, kind = []byte(v.Str()), "text/plain; charset=utf-8"
	case value.KindBytes:
		r.Body, kind = slices.Clone(v.BytesValue()), "application/octet-stream"
	default:
		kind = "application/json"
		if r.Body, err = value.AppendJSON(nil, v); err != nil {
			return nil, "", flow.Errorf(flow.Permanent, flow.CodeEncode, "%w", err)
		}
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", kind)
	}
	return r, host, nil
}
