package httpclient

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millstream/millstream/flow"
)

// The defaults of Options.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultMaxConns = 64
	DefaultMaxBody  = 1 << 20
)

const (
	dialTimeout     = 10 * time.Second
	idleTimeout     = 90 * time.Second
	maxHeaderBytes  = 64 << 10
	http2PingAfter  = 15 * time.Second
	http2PingAnswer = 10 * time.Second
)

// Options say how a Client connects; the zero value is good for a literal URL.
type Options struct {
	// Timeout bounds a whole exchange, from the dial to the last byte of the answer. 0: DefaultTimeout.
	Timeout time.Duration
	// MaxConns bounds the connections to one host, and how many of them are kept for the next request. A request beyond it waits, within
	// its timeout. 0: DefaultMaxConns.
	MaxConns int
	// MaxBody bounds how much of an answer's body is read. 0: DefaultMaxBody.
	MaxBody int64
	// TLS are the settings for https; nil are the system's. TLS 1.2 is the least in either case.
	TLS *tls.Config
	// Computed: the URL's host is made of the message. Then addresses of this machine and of private networks are refused too. The host
	// of a literal URL is the word of the pipeline's author.
	Computed bool
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	opts      Options
	transport *http.Transport
	dialer    net.Dialer
}

// New makes a client. It opens no connection.
func New(o Options) *Client {
	o.Timeout, o.MaxConns, o.MaxBody = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.MaxConns, DefaultMaxConns), cmp.Or(o.MaxBody, DefaultMaxBody)
	c := &Client{opts: o, dialer: net.Dialer{Timeout: dialTimeout, Control: egress(o.Computed)}}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		settings = o.TLS.Clone()
		settings.MinVersion = max(settings.MinVersion, tls.VersionTLS12)
	}
	c.transport = &http.Transport{
		DialContext:            c.dialer.DialContext,
		TLSClientConfig:        settings,
		TLSHandshakeTimeout:    dialTimeout,
		MaxConnsPerHost:        o.MaxConns,
		MaxIdleConnsPerHost:    o.MaxConns,
		MaxIdleConns:           o.MaxConns, // of all hosts, when messages choose them
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: http2PingAfter, PingTimeout: http2PingAnswer},
		DisableCompression:     true, // an answer comes as it was sent: nothing unpacks into more than MaxBody
	}
	return c
}

// Request is one request. Header may hold what Reserved tells to be the protocol's own, which is left out.
type Request struct {
	// Method is GET when it is empty.
	Method string
	// URL is absolute, its scheme http or https.
	URL    string
	Header http.Header
	// Body is sent with its length; nil is no body.
	Body []byte
}

// Response is an answer, whatever its status is.
type Response struct {
	Status int
	Header http.Header
	// Body is what was read of the body: all of it, or its beginning when Cut is set because it has more than Options.MaxBody.
	Body []byte
	Cut  bool
}

// Do sends a request and reads its answer. An error is *flow.Error: transient when the other side cannot be reached, does not answer in
// time, or answers what is not HTTP; config when its certificate is not accepted; permanent when the request itself cannot be sent. It
// names the host, but neither path, query nor headers.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	whole, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := request(whole, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, c.failure(ctx, whole, req.URL, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read as far as it is wanted
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.opts.MaxBody+1))
	if err != nil {
		return nil, c.failure(ctx, whole, req.URL, err)
	}
	answer := &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}
	if int64(len(body)) > c.opts.MaxBody {
		answer.Body, answer.Cut = body[:c.opts.MaxBody], true
	}
	return answer, nil
}

// Dial connects to the host of an URL, and shakes hands when it is https. It sends no request.
func (c *Client) Dial(ctx context.Context, rawURL string) error {
	whole, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	u, err := ParseURL(rawURL)
	if err != nil {
		return err
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	address := net.JoinHostPort(u.Hostname(), port)
	conn, err := c.dialer.DialContext(whole, "tcp", address)
	if err != nil {
		return c.failure(ctx, whole, u, err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	if u.Scheme == "https" {
		settings := c.transport.TLSClientConfig.Clone()
		settings.ServerName = cmp.Or(settings.ServerName, u.Hostname())
		if err := tls.Client(conn, settings).HandshakeContext(whole); err != nil {
			return c.failure(ctx, whole, u, err)
		}
	}
	return nil
}

// Close lets go of the connections that nobody uses. Call it after the last Do has returned.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// ParseURL reads the URL of a request and says what is wrong with it, as a permanent *flow.Error that does not show it.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the URL cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the URL's scheme is neither http nor https")
	case u.Hostname() == "":
		return nil, flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the URL names no host")
	case !validPort(u.Port()):
		return nil, flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the URL's port is %s; ports end at 65535", u.Port())
	case u.User != nil:
		return nil, flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the URL carries a user name or password")
	}
	return u, nil
}

// validPort tells whether a port, or none, is one that can be dialled.
func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

func request(ctx context.Context, r *Request) (*http.Request, error) {
	u, err := ParseURL(r.URL)
	if err != nil {
		return nil, err
	}
	if !ValidMethod(cmp.Or(r.Method, http.MethodGet)) {
		return nil, flow.Errorf(flow.Permanent, flow.CodeInvalidName, "%q is no HTTP method", r.Method)
	}
	req := (&http.Request{
		Method: r.Method, URL: u, Host: u.Host, Header: make(http.Header, len(r.Header)+1), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	for name, values := range r.Header {
		if Reserved(name) {
			continue
		}
		for _, v := range values {
			if !ValidHeader(name, v) {
				return nil, flow.Errorf(flow.Permanent, flow.CodeEncode, "header %q cannot be sent: its name or value has characters that HTTP does not allow", name)
			}
		}
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if _, named := req.Header["User-Agent"]; !named {
		req.Header["User-Agent"] = []string{"millstream"}
	}
	if r.Body != nil {
		req.ContentLength = int64(len(r.Body))
		req.Body = io.NopCloser(bytes.NewReader(r.Body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
		if len(r.Body) == 0 {
			req.Body = http.NoBody
		}
	}
	return req, nil
}

// failure says what an exchange that gave no answer means. ctx is the caller's, whole the exchange's.
func (c *Client) failure(ctx, whole context.Context, u *url.URL, err error) *flow.Error {
	var own *flow.Error
	var verification *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &own):
		return &flow.Error{Class: own.Class, Code: own.Code, Message: fmt.Sprintf("%s: %s", u.Host, own.Message), Err: err}
	case ctx.Err() != nil:
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%s: given up: %w", u.Host, context.Cause(ctx))
	case whole.Err() != nil:
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%s: no answer within %s: %w", u.Host, c.opts.Timeout, whole.Err())
	case errors.As(err, &verification), errors.As(err, &alert):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "%s: %w", u.Host, err)
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%s: %w", u.Host, err)
}
