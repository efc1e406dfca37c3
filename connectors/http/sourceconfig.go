package http

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/internal/httpclient"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Source is the configuration of a source.
type Source struct {
	// Listen is the address to listen at: 127.0.0.1:8080, or :8080 for all of this machine's. Sources with the same one share it, each with a
	// path of its own.
	Listen string `yaml:"listen" required:"true"`
	// Path is the path that requests must have, exactly. What they have behind a question mark is in source.query.
	Path string `yaml:"path" default:"/"`
	// Methods are the methods that are taken; others are answered with 405.
	Methods []string `yaml:"methods"`
	// HMAC makes a signature of the body necessary, as GitHub and Gitea send it; without it the answer is 401.
	HMAC *HMAC `yaml:"hmac"`
	// Signed makes a signature after the Standard Webhooks specification necessary, as GitLab sends it for a signing token.
	Signed *Signed `yaml:"signed"`
	// Token makes a header with a secret in it necessary, as GitLab sends X-Gitlab-Token. The header does not become part of the message.
	Token *Token `yaml:"token"`
	// TLS makes the listener speak https. Left out: http.
	TLS *ServerTLS `yaml:"tls"`
	// Timeout is how long a request waits for its message to be settled. Then it is answered with 503, and the message may arrive still.
	Timeout time.Duration `yaml:"timeout" default:"30s"`
	// ReadTimeout is how long a client may take to send the body; then the answer is 408.
	ReadTimeout time.Duration `yaml:"read_timeout" default:"30s"`
	// MaxRequests bounds the requests whose messages are not settled, answered or not; what comes beyond is answered with 503.
	MaxRequests int `yaml:"max_requests" default:"2048"`
}

// HMAC says how a body is signed: hexadecimal, with the algorithm's name and = before it or without.
type HMAC struct {
	// Secret is the key that both sides know.
	Secret config.Secret `yaml:"secret" required:"true"`
	// Header is where the signature is. Left out: X-Hub-Signature-256 for sha256, X-Hub-Signature for sha1, X-Hub-Signature-512 for sha512.
	Header string `yaml:"header"`
	// Algorithm is the hash.
	Algorithm string `yaml:"algorithm" default:"sha256" oneof:"sha256 sha1 sha512"`
}

// Signed says how requests are signed by the Standard Webhooks specification: webhook-signature over webhook-id, webhook-timestamp and the
// body.
type Signed struct {
	// Secret is the signing token, whsec_… as the sender shows it.
	Secret config.Secret `yaml:"secret" required:"true"`
	// Tolerance is how far the request's time may be from this machine's, in either direction. It bounds for how long a request that somebody
	// has overheard can be sent again.
	Tolerance time.Duration `yaml:"tolerance" default:"5m"`
}

// Token is a secret that stands in a header as it is.
type Token struct {
	// Secret is the whole value of the header; for Authorization with its scheme, Bearer … for example.
	Secret config.Secret `yaml:"secret" required:"true"`
	// Header is where the secret is.
	Header string `yaml:"header" default:"X-Gitlab-Token"`
}

// ServerTLS are the TLS settings of a listener. TLS 1.2 is the least. Files that are replaced on disk are used for new connections within a
// minute.
type ServerTLS struct {
	// Cert and Key are PEM files with the certificate (and its chain) and its private key.
	Cert string `yaml:"cert" required:"true"`
	Key  string `yaml:"key" required:"true"`
	// ClientCA is a PEM file with the authorities that a client's certificate must be signed by. Left out: clients need none.
	ClientCA string `yaml:"client_ca"`
}

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(b *config.Builder) config.Source {
	c.check(b)
	s := settings{
		listen: c.Listen, path: c.Path, methods: c.Methods, timeout: c.Timeout, read: c.ReadTimeout, tls: c.TLS.in(b.Dir),
		most: min(max(c.MaxRequests, 1), maxRequests),
	}
	if len(s.methods) == 0 {
		s.methods = []string{"POST"}
	}
	s.checks, s.secretHeader = c.checks(b)
	return config.Source{
		Traits: flow.Traits{
			Headers: true, Answers: true, Exclusive: "path " + c.Path + " at " + c.Listen, Address: address("http", c.Listen, c.Path, c.TLS != nil),
		},
		Open: func(_ context.Context, host flow.Host) (flow.Source, error) {
			return openSource(&s, host) //nolint:contextcheck // the listener outlives the opening
		},
		Connect: func(context.Context, flow.Host) error { _, err := s.tls.load(); return err },
		Extra:   extra,
	}
}

// maxRequests is the largest max_requests: each costs memory even before its body.
const maxRequests = 1 << 16

func (c *Source) check(b *config.Builder) {
	if host, port, err := net.SplitHostPort(c.Listen); err != nil || strings.ContainsAny(host, "/ ") || !isPort(port) {
		if c.Listen != "" {
			transport.Finding(b, "listen", fmt.Sprintf("listen is %q, which is no address to listen at", c.Listen), "write host:port, such as 127.0.0.1:8080 or :8080")
		}
	}
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "?# ") {
		transport.Finding(b, "path", fmt.Sprintf("path is %q; it must begin with / and have neither ?, # nor blanks", c.Path), "write /hooks, for example")
	}
	for _, m := range c.Methods {
		if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, m) {
			transport.Finding(b, "methods", fmt.Sprintf("methods has %q", m), "methods are GET, POST, PUT, PATCH and DELETE")
		}
	}
	if c.Timeout <= 0 {
		transport.Finding(b, "timeout", "timeout must be positive", "leave it out for 30s")
	}
	if c.ReadTimeout <= 0 {
		transport.Finding(b, "read_timeout", "read_timeout must be positive", "leave it out for 30s")
	}
	if c.MaxRequests < 1 || c.MaxRequests > maxRequests {
		transport.Finding(b, "max_requests", fmt.Sprintf("max_requests must be from 1 to %d", maxRequests), "leave it out for 2048")
	}
	if c.Token != nil && !httpclient.ValidHeader(c.Token.Header, "") {
		transport.Finding(b, "token", fmt.Sprintf("%q is no name of a header", c.Token.Header), "write header: X-Gitlab-Token, for example")
	}
	if c.HMAC != nil && c.HMAC.Header != "" && !httpclient.ValidHeader(c.HMAC.Header, "") {
		transport.Finding(b, "hmac", fmt.Sprintf("%q is no name of a header", c.HMAC.Header), "write header: X-Hub-Signature-256, for example")
	}
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// checks are what a request must pass, and the header that is not to become part of a message. A secret that is empty, because its
// variable is not known yet, makes a check that nothing passes; Open refuses it.
func (c *Source) checks(b *config.Builder) (all []check, secretHeader string) {
	if c.HMAC != nil {
		needSecret(b, "hmac")
		all = append(all, newHMACCheck(c.HMAC))
	}
	if c.Signed != nil {
		needSecret(b, "signed")
		signed, err := newSignedCheck(c.Signed)
		if err != nil && !c.Signed.Secret.IsZero() {
			transport.Finding(b, "signed", err.Error(), "write the signing token as the sender shows it: whsec_…")
		}
		if c.Signed.Tolerance <= 0 {
			transport.Finding(b, "signed", "tolerance must be positive", "leave it out for 5m")
		}
		all = append(all, signed)
	}
	if c.Token != nil {
		needSecret(b, "token")
		all = append(all, tokenCheck{header: c.Token.Header, secret: c.Token.Secret})
		secretHeader = c.Token.Header
	}
	return all, secretHeader
}

// needSecret makes a secret that is written as an empty text a finding: everybody could sign with it.
func needSecret(b *config.Builder, option string) {
	if b.Value == nil {
		return
	}
	v, ok := b.Value.Lookup(option)
	if !ok {
		return
	}
	if secret, ok := v.Lookup("secret"); ok && secret.Kind() == yamldoc.KindScalar && secret.Scalar().Text == "" {
		secret.Finding(b.Findings, diag.BadValue, option+" has an empty secret: everybody knows it", "write secret: ${NAME}")
	}
}

func (t *ServerTLS) in(dir string) files {
	if t == nil {
		return files{}
	}
	at := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	return files{cert: at(t.Cert), key: at(t.Key), clientCA: at(t.ClientCA)}
}
