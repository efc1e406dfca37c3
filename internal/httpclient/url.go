package httpclient

import (
	"net"
	"net/url"
	"path"
	"strings"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/expression"
)

// URL is a URL that may depend on the message. What an expression gives stays where it is written: in a path it is one segment or a part of
// one, in a query one value; every character that could mean more is escaped. An URL that is one expression alone is taken as it is. It
// is immutable.
type URL struct {
	template *expression.Template
	constant string
	computed bool
	allow    []string
}

// NewURL takes a template and the globs that a host which the message chooses must match. When there is something wrong with it, problem
// says what, and hint what to write; open is set when the message alone decides where the request goes and allow is empty.
func NewURL(t *expression.Template, allow []string) (u *URL, problem, hint string, open bool) {
	u = &URL{template: t, allow: allow}
	if text, constant := t.Constant(); constant {
		if _, err := ParseURL(text); err != nil {
			return nil, err.Error(), "write http://host/path or https://host/path", false
		}
		u.constant = text
		return u, "", "", false
	}
	prefix := t.Prefix()
	scheme, rest, ok := strings.Cut(prefix, "://")
	switch {
	case prefix == "":
		u.computed = true
	case !ok || scheme != "http" && scheme != "https":
		return nil, "the URL does not begin with http:// or https://", "write http://host/path or https://host/path", false
	case strings.Contains(rest, "@"):
		return nil, "the URL carries a user name or password", "write basic, or a header Authorization", false
	default:
		u.computed = !strings.ContainsAny(rest, "/?")
	}
	return u, "", "", u.computed && len(allow) == 0
}

// Computed tells that the host is made of the message: Options.Computed of the client that sends there.
func (u *URL) Computed() bool { return u.computed }

// Constant is the URL where no message has a say in it.
func (u *URL) Constant() (text string, ok bool) { return u.constant, u.constant != "" }

// Prefix is the URL up to its path where the host is literal: what to dial without a message. Empty where a message is needed.
func (u *URL) Prefix() string {
	switch {
	case u.constant != "":
		return u.constant
	case u.computed:
		return ""
	}
	prefix := u.template.Prefix()
	host := strings.Index(prefix, "://") + 3
	return prefix[:host+strings.IndexAny(prefix[host:], "/?")] + "/"
}

// Render gives the URL for a message. An error is permanent: an expression failed, or what came out leads somewhere else than the template
// says.
func (u *URL) Render(m *flow.Message) (string, error) {
	if u.constant != "" {
		return u.constant, nil
	}
	var room [256]byte
	b, err := u.template.RenderEach(m, room[:0], appendEscaped)
	if err != nil {
		return "", err
	}
	text := string(b)
	parsed, err := ParseURL(text)
	if err != nil {
		return "", err
	}
	for segment := range strings.SplitSeq(parsed.EscapedPath(), "/") {
		switch strings.ToLower(segment) {
		case ".", "..", "%2e", "%2e%2e", ".%2e", "%2e.":
			return "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the URL's path has a segment %q", segment)
		}
	}
	if u.computed && !u.allows(parsed.Hostname()) {
		return "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "allow does not name the host %.100q", parsed.Hostname())
	}
	return text, nil
}

func (u *URL) allows(host string) bool {
	host = strings.ToLower(host)
	for _, g := range u.allow {
		if ok, err := path.Match(strings.ToLower(g), host); ok && err == nil {
			return true
		}
	}
	return false
}

// appendEscaped writes what an expression gives behind dst, the URL so far. At the beginning it is a whole URL; in the host only what a
// host may consist of stays as it is; behind it all but the unreserved characters of RFC 3986 (2.3) are escaped.
func appendEscaped(dst, text []byte) []byte {
	if len(dst) == 0 {
		return append(dst, text...)
	}
	host := !strings.ContainsAny(string(dst[strings.Index(string(dst), "://")+3:]), "/?")
	for _, c := range text {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~' && !host,
			host && (c == ':' || c == '[' || c == ']'):
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

const hexDigits = "0123456789ABCDEF"

// InClear tells whether a request to a URL that begins like this goes over a network without TLS: http:// to another machine.
func InClear(prefix string) bool {
	u, err := url.Parse(prefix)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return !strings.EqualFold(u.Hostname(), "localhost") && (ip == nil || !ip.IsLoopback())
}
