package http

import (
	"context"
	"encoding/base64"
	"fmt"
	nethttp "net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/httpclient"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
)

// Sink is the configuration of a sink.
type Sink struct {
	// URL is where requests go. What an expression gives in its path or query is escaped, so that it stays in its place. A message goes to
	// no address of this machine or a private network unless the host is written here; the addresses where clouds have their metadata are
	// refused always.
	// Secrets may stand in it, as in the addresses of incoming webhooks: it is never shown.
	URL config.Template `yaml:"url" required:"true" secrets:"allowed"`
	// Allow are globs that a host made of the message must match: *.example.org.
	Allow []string `yaml:"allow"`
	// Method is the request's method. Left out: POST.
	Method config.Template `yaml:"method"`
	// Headers are further headers by name; they replace those of the message that have the same name.
	Headers map[string]config.Template `yaml:"headers" secrets:"allowed"`
	// Basic is a user name and password to log in with.
	Basic *Basic `yaml:"basic"`
	// Bearer is a token to log in with: the header Authorization with Bearer before it.
	Bearer config.Secret `yaml:"bearer"`
	// Timeout is how long a request may take, its answer included. Then it is tried again like any transient failure.
	Timeout time.Duration `yaml:"timeout" default:"10s"`
	// Concurrency is how many requests are under way at a time. Those of one key, or of messages whose order is kept, go one after another.
	Concurrency int `yaml:"concurrency" default:"8"`
	// TLS says which certificates to use with https.
	TLS *transport.TLS `yaml:"tls"`
}

// Basic is a user name and password.
type Basic struct {
	// User is the user's name.
	User string `yaml:"user" required:"true"`
	// Password is the user's password.
	Password config.Secret `yaml:"password" required:"true"`
}

// maxConcurrency bounds the connections of one sink.
const maxConcurrency = 1024

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	c.check(b)
	p := &preparer{name: b.Name, method: c.template(b, "method", c.Method)}
	p.url = c.target(b)
	c.headers(b, p)
	options := httpclient.Options{Timeout: c.Timeout, MaxConns: c.Concurrency, MaxBody: drained, Computed: p.url != nil && p.url.Computed()}
	client := func() (*httpclient.Client, error) {
		settings, err := c.TLS.Config(b.Dir)
		if err != nil {
			return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "%w", err)
		}
		o := options
		o.TLS = settings
		return httpclient.New(o), nil
	}
	traits := flow.Traits{Headers: true}
	if p.url != nil {
		if constant, ok := p.url.Constant(); ok {
			traits.Address = addressOf(constant)
		}
	}
	return config.Sink{
		Traits: traits, Preparer: p,
		Open: func(context.Context, flow.Host) (flow.Sink, error) {
			one, err := client()
			if err != nil {
				return nil, err
			}
			return openSink(one, max(c.Concurrency, 1), b.Order), nil
		},
		Connect: func(ctx context.Context, _ flow.Host) error {
			one, err := client()
			if err != nil || p.url == nil || p.url.Prefix() == "" {
				return err
			}
			defer one.Close()
			return one.Dial(ctx, p.url.Prefix())
		},
	}
}

func (c *Sink) check(b *config.Builder) {
	transport.CheckTLS(b, c.TLS)
	transport.CheckGlobs(b, c.Allow)
	if c.Timeout <= 0 {
		transport.Finding(b, "timeout", "timeout must be positive", "leave it out for 10s")
	}
	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		transport.Finding(b, "concurrency", fmt.Sprintf("concurrency must be from 1 to %d", maxConcurrency), "leave it out for 8")
	}
	if c.Basic != nil && !c.Bearer.IsZero() {
		transport.FindingWithCode(b, diag.ConflictingKey, "bearer", "basic and bearer are both given", "keep one of them")
	}
}

// template compiles a field that is not set as its default.
func (c *Sink) template(b *config.Builder, option string, t config.Template) *expression.Template {
	if !t.Set {
		return nil
	}
	transport.CheckSecret(b, &t.Text)
	compiled := b.Template(t)
	if compiled == nil {
		return nil
	}
	if text, constant := compiled.Constant(); constant && !t.Text.Undefined && !slices.Contains(methods, text) {
		transport.Finding(b, option, fmt.Sprintf("%s is %q", option, text), "write one of "+strings.Join(methods, ", "))
	}
	return compiled
}

// methods are those that a sink may use.
var methods = []string{nethttp.MethodPost, nethttp.MethodPut, nethttp.MethodPatch, nethttp.MethodDelete, nethttp.MethodGet}

// target compiles the URL.
func (c *Sink) target(b *config.Builder) *httpclient.URL {
	t := b.Template(c.URL)
	if t == nil || c.URL.Text.Undefined {
		return nil
	}
	text, constant := t.Constant()
	if constant && !c.URL.Text.Replaced && transport.LooksLikePath(text) {
		transport.FindingWithCode(b, diag.ExpressionInLiteral, "url", fmt.Sprintf("%q is a literal and reads like a path of the message", text),
			fmt.Sprintf(`write url: "https://host/{{ %s }}"`, text))
		return nil
	}
	u, problem, hint, open := httpclient.NewURL(t, c.Allow)
	switch {
	case problem != "":
		transport.Finding(b, "url", problem, hint)
		return nil
	case open:
		transport.FindingWithCode(b, diag.OpenDestination, "url", "the message alone decides which host it goes to",
			"begin with https://host/, or write allow: [globs of the hosts it may go to]")
	case c.TLS != nil && strings.HasPrefix(t.Prefix(), "http://"):
		transport.Finding(b, "tls", "tls is given but the URL is http://", "write https:// in the URL")
	case c.inClear(u.Prefix()):
		transport.Finding(b, "url", "the URL sends the password or token in clear text", "write https://")
	}
	return u
}

// inClear tells whether a password or token would go over the network without TLS.
func (c *Sink) inClear(to string) bool {
	return (c.Basic != nil || !c.Bearer.IsZero()) && httpclient.InClear(to)
}

// headers compiles the headers of the file.
func (c *Sink) headers(b *config.Builder, p *preparer) {
	names := make([]string, 0, len(c.Headers))
	for name := range c.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	scope := b.Scope
	b.Scope.Header = true
	for _, name := range names {
		t := c.Headers[name]
		switch {
		case !httpclient.ValidHeader(name, ""):
			transport.Finding(b, "headers", fmt.Sprintf("%q is no name of a header", name), "names have letters, digits and -")
		case httpclient.Reserved(name):
			transport.Finding(b, "headers", fmt.Sprintf("the header %s is set by HTTP itself", name), "leave it out")
		case p.url != nil && httpclient.InClear(p.url.Prefix()) && (t.Text.Tainted || strings.EqualFold(name, "authorization")):
			b.Findings.Add(t.Text.Whole(diag.BadValue, fmt.Sprintf("the header %s sends a secret in clear text", name), "write https:// in the URL"))
		default:
			if compiled := b.Template(t); compiled != nil {
				p.own = append(p.own, ownHeader{name: nethttp.CanonicalHeaderKey(name), text: compiled, secret: t.Text.Tainted || credential(name)})
			}
		}
	}
	b.Scope.Header = scope.Header
	switch {
	case c.Basic != nil:
		p.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Basic.User+":"+c.Basic.Password.Reveal()))
	case !c.Bearer.IsZero():
		p.authorization = "Bearer " + c.Bearer.Reveal()
	}
}

// credential tells whether a header's value is a secret by its name.
func credential(name string) bool {
	lower := strings.ToLower(name)
	return lower == "authorization" || lower == "cookie" || strings.Contains(lower, "token") || strings.Contains(lower, "secret") ||
		strings.Contains(lower, "api-key") || strings.Contains(lower, "apikey")
}

// addressOf is the normal form of a literal URL.
func addressOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	host := u.Host
	if u.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	return address(u.Scheme, host, path.Join("/", u.Path), false)
}
