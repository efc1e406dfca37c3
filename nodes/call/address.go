package call

import (
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/httpclient"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
)

// address is the URL of a call.
type address struct {
	url *httpclient.URL // nil: a variable in it is not defined, and the tests that may run nevertheless send nothing
	raw *expression.Template
}

// buildAddress compiles the URL and finds what can be found without a message; nil when there is something.
func buildAddress(b *config.Builder, h *HTTP) *address {
	text := b.Template(h.URL)
	if text == nil {
		return nil
	}
	for _, glob := range h.Allow {
		if _, err := path.Match(glob, ""); err != nil {
			report(b, section(b.Value, "call", "http"), "allow", fmt.Sprintf("the pattern %q is not complete", glob))
			return nil
		}
	}
	at := &h.URL.Text
	if at.Undefined {
		return &address{raw: text}
	}
	u, problem, hint, open := httpclient.NewURL(text, h.Allow)
	literal, _ := text.Constant()
	switch {
	case strings.HasPrefix(literal, "body.") || strings.HasPrefix(literal, "vars."):
		b.Findings.Add(at.Whole(diag.ExpressionInLiteral, "the URL is a literal, and this looks like an expression", "write {{ "+literal+" }}"))
	case problem != "":
		b.Findings.Add(at.Whole(diag.BadValue, problem, hint))
	case open:
		b.Findings.Add(at.Whole(diag.OpenDestination, "the message alone says which host is asked",
			`write the host as a literal, or allow: ["*.example.com"] beside url`))
	default:
		return &address{url: u, raw: text}
	}
	return nil
}

// computed tells that the host is made of the message.
func (a *address) computed() bool { return a.url != nil && a.url.Computed() }

// inClear tells that requests go over a network without TLS. A nil address has a finding.
func (a *address) inClear() bool {
	return a != nil && a.url != nil && httpclient.InClear(a.url.Prefix())
}

// render gives the URL for a message, and its host, for people.
func (a *address) render(m *flow.Message) (text, host string, err error) {
	if a.url == nil {
		raw, err := a.raw.Render(m, nil)
		return string(raw), "the server", err
	}
	if text, err = a.url.Render(m); err != nil {
		return "", "", err
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the URL cannot be read")
	}
	return text, u.Host, nil
}
