package http

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/internal/httpclient"
	"github.com/millstream/millstream/pipelines/expression"
)

// Headers that carry what HTTP has no place for.
const (
	prefix          = "Millstream-"
	tombstoneHeader = prefix + "Tombstone"
	timeHeader      = prefix + "Time"
	base64Header    = prefix + "B64" // names the headers whose values are base64
	idempotencyKey  = "Idempotency-Key"
)

// preparer renders URL, method and headers of a message.
type preparer struct {
	name          string // of the sink
	url           *httpclient.URL
	method        *expression.Template // nil is POST
	own           []ownHeader
	authorization string
}

// ownHeader is a header of the file.
type ownHeader struct {
	name   string
	text   *expression.Template
	secret bool // not shown
}

// prepared is a request but for its body; o.Native of what Prepare has seen. It holds nothing of the message's memory.
type prepared struct {
	method string
	header nethttp.Header
}

// Prepare implements flow.Preparer.
func (p *preparer) Prepare(m *flow.Message, o *flow.Outgoing) (err error) {
	if _, err := transport.Lifetime(m, o); err != nil {
		return err
	}
	r := &prepared{method: nethttp.MethodPost, header: make(nethttp.Header, 8+len(p.own)+len(o.Headers()))}
	if p.method != nil {
		text, err := p.method.Render(m, nil)
		if err != nil {
			return err
		}
		if r.method = string(text); !slices.Contains(methods, r.method) {
			return flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the method %.20q is none of %s", r.method, strings.Join(methods, ", "))
		}
	}
	if p.url != nil {
		if o.Dest, err = p.url.Render(m); err != nil {
			return err
		}
	}
	h := headers{Header: r.header}
	h.message(o.Headers(), m.Connector() == "http")
	h.parts(m, o)
	if err := p.ownHeaders(m, &h); err != nil {
		return err
	}
	if h.Header[idempotencyKey] == nil {
		h.Header[idempotencyKey] = []string{p.idempotencyKey(m, o, r.method)}
	}
	o.Native = r
	return nil
}

// ownHeaders adds the headers of the file, which replace those of the message.
func (p *preparer) ownHeaders(m *flow.Message, h *headers) error {
	for i := range p.own {
		text, err := p.own[i].text.Render(m, nil)
		if err != nil {
			return err
		}
		value := string(text)
		if !httpclient.ValidHeader(p.own[i].name, value) {
			return flow.Errorf(flow.Permanent, flow.CodeEncode, "the header %s cannot have this value: it has characters that HTTP does not allow", p.own[i].name)
		}
		h.Header[p.own[i].name] = []string{value}
	}
	if p.authorization != "" {
		h.Header["Authorization"] = []string{p.authorization}
	}
	return nil
}

// idempotencyKey tells copies of one message apart and stays the same when the message is sent again, also by another process: it is made
// of the message's id, the sink, and what is sent where. Messages that a record has become on different ways have different ones as long as
// they differ.
func (p *preparer) idempotencyKey(m *flow.Message, o *flow.Outgoing, method string) string {
	sum := sha256.New()
	for _, part := range []string{m.ID(), p.name, method, o.Dest, strconv.FormatBool(o.Body == nil)} {
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	sum.Write(o.Body)
	return hex.EncodeToString(sum.Sum(nil)[:20])
}

// SentHeaders implements flow.HeaderPreparer. Secrets are not shown.
func (p *preparer) SentHeaders(o *flow.Outgoing) []flow.Header {
	r, ok := o.Native.(*prepared)
	if !ok {
		return o.Headers()
	}
	var hs []flow.Header
	for name, values := range r.header {
		for _, v := range values {
			if name == "Authorization" || slices.ContainsFunc(p.own, func(h ownHeader) bool { return h.name == name && h.secret }) {
				v = "***"
			}
			hs = append(hs, flow.TextHeader(strings.ToLower(name), v))
		}
	}
	slices.SortStableFunc(hs, func(a, b flow.Header) int { return strings.Compare(a.Name, b.Name) })
	return hs
}

// headers are those of a request while it is made.
type headers struct {
	nethttp.Header
	encoded []string
}

// add adds a header; what HTTP does not allow in a value goes as base64, and in a name as %XX.
func (h *headers) add(name, text string) {
	name = nethttp.CanonicalHeaderKey(escapeName(name))
	if name == "" {
		return
	}
	if !httpclient.ValidHeader(name, text) {
		if !slices.Contains(h.encoded, name) {
			h.encoded = append(h.encoded, name)
		}
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	h.Header[name] = append(h.Header[name], strings.Clone(text))
}

// message adds the message's headers but for those that speak of another connection, carry credentials of another system, or are ours. What
// a client has said of itself to an HTTP source is not said again.
func (h *headers) message(all []flow.Header, own bool) {
	for _, one := range all {
		lower := strings.ToLower(one.Name)
		switch lower {
		case "idempotency-key", "content-encoding", "accept-encoding":
			continue
		case "accept", "user-agent":
			if own {
				continue
			}
		}
		if transport.Foreign(lower) || httpclient.Reserved(lower) {
			continue
		}
		h.add(one.Name, one.Text())
	}
}

// parts adds the parts of a message that are no headers.
func (h *headers) parts(m *flow.Message, o *flow.Outgoing) {
	set := func(name, text string) {
		if text != "" && h.Header[name] == nil {
			h.add(name, text)
		}
	}
	if o.Key != nil {
		delete(h.Header, keyHeader)
		h.add(keyHeader, string(o.Key))
	}
	if o.Body == nil {
		set(tombstoneHeader, "true")
	}
	set(timeHeader, o.Time().UTC().Format(time.RFC3339Nano))
	if props := o.Props(); props != nil {
		if came := o.Record.Props; props.ContentType != "" && came != nil && props.ContentType != came.ContentType &&
			h.Get("Content-Type") == came.ContentType {
			delete(h.Header, "Content-Type") // the sink has written another format than the source read
		}
		set("Content-Type", props.ContentType)
		set("Content-Encoding", props.ContentEncoding)
		set(prefix+"Message-Id", props.MessageID)
		set(prefix+"Type", props.Type)
		set(prefix+"App-Id", props.AppID)
		set(prefix+"User-Id", props.UserID)
		set(prefix+"Reply-To", props.ReplyTo)
		if !props.CorrelationID.IsNil() {
			set(prefix+"Correlation-Id", flow.Header{Value: props.CorrelationID}.Text())
		}
		if props.HasPriority {
			set(prefix+"Priority", strconv.Itoa(int(props.Priority)))
		}
	}
	if o.Body != nil {
		set("Content-Type", contentType(m))
	}
	if len(h.encoded) > 0 {
		slices.Sort(h.encoded)
		h.Header[base64Header] = []string{strings.ToLower(strings.Join(h.encoded, ","))}
	}
}

// contentType is the media type of a body that nobody has named, by the format it reads as.
func contentType(m *flow.Message) string {
	switch f, coder := m.Format(); {
	case coder != nil, f == document.Bytes:
		return "application/octet-stream"
	case f == document.Text:
		return "text/plain; charset=utf-8"
	}
	return "application/json"
}

// escapeName writes what a header's name must not have as %XX.
func escapeName(name string) string {
	if httpclient.ValidHeader(name, "") {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; httpclient.ValidHeader(name[i:i+1], "") && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
