package http

import (
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// keyHeader carries the key of a message.
const keyHeader = "Millstream-Key"

func keyOf(h nethttp.Header) []byte {
	if v, ok := h[keyHeader]; ok && len(v) > 0 {
		return []byte(v[len(v)-1])
	}
	return nil
}

// headersOf lists headers in lower case, by name, and counts all that came. Left out is what speaks of the connection or the body's
// packing, credentials, and what becomes another part of the message.
func headersOf(h nethttp.Header, secret string) (hs []flow.Header, count int) {
	hs = make([]flow.Header, 0, len(h))
	for name, values := range h {
		count += len(values)
		if hidden(name) || strings.EqualFold(name, secret) {
			continue
		}
		lower := strings.ToLower(name)
		for _, v := range values {
			hs = append(hs, flow.Header{Name: lower, Value: textOf(v)})
		}
	}
	slices.SortStableFunc(hs, func(a, b flow.Header) int { return strings.Compare(a.Name, b.Name) })
	return hs, count
}

func hidden(canonical string) bool {
	switch canonical {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding",
		"Upgrade", "Expect", "Host", "Content-Length", "Content-Encoding", "Accept-Encoding", "Authorization", "Cookie", keyHeader:
		return true
	}
	return false
}

// textOf is a header's value: text, or bytes where it is not UTF-8.
func textOf(s string) value.Value {
	if utf8.ValidString(s) {
		return value.String(s)
	}
	return value.Bytes([]byte(s))
}

// origin is what expressions see as source.method, source.query and source.remote. It holds nothing of the body.
type origin struct{ method, query, remote string }

func propertiesOf(r *nethttp.Request) *flow.Properties {
	one := &struct {
		flow.Properties
		origin
	}{origin: origin{method: r.Method, query: r.URL.RawQuery, remote: r.RemoteAddr}}
	one.ContentType, one.Native = r.Header.Get("Content-Type"), &one.origin
	return &one.Properties
}

// extra are the entries of source that this connector has.
func extra(r *flow.Record) map[string]any {
	if r.Props == nil {
		return nil
	}
	o, ok := r.Props.Native.(*origin)
	if !ok {
		return nil
	}
	return map[string]any{"path": r.Topic, "method": o.method, "query": o.query, "remote": o.remote}
}

// bytesText is a size for people.
func bytesText(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
