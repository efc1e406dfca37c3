package engine

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// letterPrefix is what the headers of a dead letter begin with.
const letterPrefix = "millstream-error-"

// letter makes o a dead letter: the message as it entered the failing node, with headers that say why. A sink without headers gets
// one JSON object instead.
func (w *worker) letter(s *pipelines.Sink, m *flow.Message, o *flow.Outgoing, e *flow.Error) error {
	failedAt := m.Now().UTC().Format(time.RFC3339Nano)
	if s.Traits.Headers {
		o.SetHeaders(w.letterHeaders(m, e, failedAt))
		return nil
	}
	body, err := w.letterObject(m, o, e, failedAt)
	if err != nil {
		return flow.AsError(err, flow.Permanent, flow.CodeEncode)
	}
	o.Body = body
	return nil
}

func (w *worker) letterHeaders(m *flow.Message, e *flow.Error, failedAt string) []flow.Header {
	old := m.Headers()
	hs := make([]flow.Header, 0, len(old)+9)
	for _, h := range old {
		if len(h.Name) < len(letterPrefix) || h.Name[:len(letterPrefix)] != letterPrefix {
			hs = append(hs, h)
		}
	}
	for _, kv := range [...][2]string{
		{"class", e.Class.String()}, {"code", string(e.Code)}, {"message", shorten(e.Message)}, {"node", e.Node},
		{"pipeline", w.p.prog.Name}, {"revision", w.p.revision}, {"attempts", strconv.Itoa(w.letterAttempts)},
		{"origin", m.Origin()}, {"failed-at", failedAt},
	} {
		hs = append(hs, flow.TextHeader(letterPrefix+kv[0], kv[1]))
	}
	return hs
}

// maxErrorText bounds what a dead letter carries of an error's text.
const maxErrorText = 4096

func shorten(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	n := maxErrorText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func (w *worker) letterObject(m *flow.Message, o *flow.Outgoing, e *flow.Error, failedAt string) ([]byte, error) {
	meta := map[string]any{}
	for _, h := range m.Headers() {
		meta[h.Name] = h.Text()
	}
	letter := map[string]any{
		"meta":     meta,
		"error":    map[string]any{"class": e.Class.String(), "code": string(e.Code), "message": shorten(e.Message), "node": e.Node},
		"pipeline": w.p.prog.Name, "revision": w.p.revision, "attempts": w.letterAttempts,
		"origin": m.Origin(), "failed_at": failedAt,
	}
	putBytes(letter, "payload", o.Body)
	putBytes(letter, "key", m.Key())
	v, err := value.FromAny(letter)
	if err != nil {
		return nil, err
	}
	return value.AppendJSON(nil, v)
}

// putBytes enters text as it is, and anything that is not valid UTF-8 in base64 under another name.
func putBytes(into map[string]any, name string, b []byte) {
	switch {
	case b == nil:
		into[name] = nil
	case utf8.Valid(b):
		into[name] = string(b)
	default:
		into[name+"_base64"] = base64.StdEncoding.EncodeToString(b)
	}
}
