package engine

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// letter is what a dead letter tells beside the message.
type letter struct {
	err      *flow.Error
	attempts int
}

// letterPrefix is what the headers of a dead letter begin with.
const letterPrefix = "millstream-error-"

// letter makes o a dead letter: the message as it entered the failing node, with headers that say why. A sink without headers gets
// one JSON object instead.
func (w *worker) letter(s *pipelines.Sink, m *flow.Message, o *flow.Outgoing, lt *letter) error {
	failedAt := m.Now().UTC().Format(time.RFC3339Nano)
	if s.Traits.Headers {
		o.SetHeaders(w.letterHeaders(m, lt, failedAt))
		return nil
	}
	plain, err := w.plain(m)
	if err != nil {
		plain, err = asJSON(m, err)
	}
	if err != nil {
		return err
	}
	body, err := w.letterObject(m, plain, lt, failedAt)
	if err != nil {
		return err
	}
	o.Body = body
	return w.keep(m, o)
}

// asJSON is the body of a letter that its format cannot say; where JSON cannot either, the letter fails with err. A payload that cannot be
// read stays as it came.
func asJSON(m *flow.Message, err error) ([]byte, error) {
	v, unread := m.Body.Get(document.Root)
	if unread != nil {
		return m.Payload(), nil //nolint:nilerr // it was not wanted for its own sake
	}
	text, unsaid := value.AppendJSON(nil, v)
	if unsaid != nil {
		return nil, err
	}
	return text, nil
}

func (w *worker) letterHeaders(m *flow.Message, lt *letter, failedAt string) []flow.Header {
	e := lt.err
	old := m.Headers()
	hs := make([]flow.Header, 0, len(old)+9)
	for _, h := range old {
		if len(h.Name) < len(letterPrefix) || h.Name[:len(letterPrefix)] != letterPrefix {
			hs = append(hs, h)
		}
	}
	for _, kv := range [...][2]string{
		{"class", e.Class.String()}, {"code", string(e.Code)}, {"message", shorten(e.Message)}, {"node", e.Node},
		{"pipeline", w.g.prog.Name}, {"revision", w.g.revision}, {"attempts", strconv.Itoa(lt.attempts)},
		{"origin", w.g.prog.Mask(m.Origin())}, {"failed-at", failedAt},
	} {
		hs = append(hs, flow.TextHeader(letterPrefix+kv[0], kv[1]))
	}
	if truncated(m) {
		hs = append(hs, flow.TextHeader(letterPrefix+"truncated", "true"))
	}
	return hs
}

// truncated tells that the payload is the beginning alone: the source could not take the message whole. A source also fails messages for other
// reasons, with the whole of them.
func truncated(m *flow.Message) bool {
	failure := m.Record().Failure
	return failure != nil && failure.Code == flow.CodeTooLarge
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

func (w *worker) letterObject(m *flow.Message, payload []byte, lt *letter, failedAt string) ([]byte, error) {
	e := lt.err
	meta, binary := letterMeta(m.Headers())
	object := map[string]any{
		"meta":     meta,
		"error":    map[string]any{"class": e.Class.String(), "code": string(e.Code), "message": text(shorten(e.Message)), "node": e.Node},
		"pipeline": w.g.prog.Name, "revision": w.g.revision, "attempts": lt.attempts,
		"origin": text(w.g.prog.Mask(m.Origin())), "failed_at": failedAt,
	}
	if truncated(m) {
		object["truncated"] = true
	}
	if len(binary) > 0 {
		object["meta_base64"] = binary
	}
	putBytes(object, "payload", payload)
	putBytes(object, "key", m.Key())
	v, err := value.FromAny(object)
	if err != nil {
		return nil, err
	}
	return value.AppendJSON(nil, v)
}

// letterMeta are headers as JSON: text in meta, what is not valid UTF-8 in base64 in binary. A name that comes more than once has a list.
func letterMeta(hs []flow.Header) (meta, binary map[string]any) {
	meta, binary = map[string]any{}, map[string]any{}
	for _, h := range hs {
		if v := h.Text(); utf8.ValidString(v) {
			addMeta(meta, text(h.Name), v)
		} else {
			addMeta(binary, text(h.Name), base64.StdEncoding.EncodeToString([]byte(v)))
		}
	}
	return meta, binary
}

func addMeta(into map[string]any, name, v string) {
	switch old := into[name].(type) {
	case nil:
		into[name] = v
	case []any:
		into[name] = append(old, v)
	default:
		into[name] = []any{old, v}
	}
}

// text is s as JSON can hold it.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

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
