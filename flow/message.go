package flow

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// Message is one record on its way through a pipeline, as nodes and expressions see it. It belongs to one worker at a time and is
// reused: it is valid until Process returns. Nothing it hands out may be changed in place; Set and the like copy on write, so that
// branches of a fan-out and the source's memory stay untouched.
type Message struct {
	// Body is the payload, decoded as far as it is read.
	Body document.Document

	record  *Record
	batch   *Batch
	env     *Env
	payload []byte // what Body was opened with
	format  document.Format
	coder   document.Coder
	content *Content // of a payload that is not the record's; nil is as the record says
	key     []byte
	failure *Error
	extras  *extras // what differs from the record; nil while nothing does
	shared  bool    // extras belongs to somebody else too: copy before writing

	home    *Emitter // where a copy goes back to
	free    bool     // it is back there
	emitted bool     // by the node that has it now
}

// extras are the parts that few messages change.
type extras struct {
	headers    []Header
	headersOwn bool
	time       time.Time
	timeSet    bool
	suffix     string // of the id: /3 after a split
	ways       string // /name for each edge that it took where it could have come on another too
	tmp        map[string]any
}

// Env is what all messages of one source in one pipeline share.
type Env struct {
	// Source is the source's name in the file, Connector its kind.
	Source    string
	Connector string
	// Format says how body reads; Coder does where it is document.Coded.
	Format document.Format
	Coder  document.Coder
	// Paths are the body paths of the whole pipeline.
	Paths *document.Paths
	// Now is the pipeline's clock, UTC; frozen in tests.
	Now func() time.Time
	// Extra are the entries of `source` that the connector documents, per record; may be nil.
	Extra func(r *Record) map[string]any
}

// Open makes m the message of record i of b. The engine calls it.
func (m *Message) Open(env *Env, b *Batch, i int) {
	r := &b.Records[i]
	m.env, m.batch, m.record = env, b, r
	m.key, m.failure, m.extras, m.shared, m.emitted = r.Key, nil, nil, false, false
	m.format, m.coder, m.content = env.Format, env.Coder, nil
	if b.Coder != nil {
		m.format, m.coder = document.Coded, b.Coder
	}
	m.reopen(r.Body)
}

// Content says what a payload is that a codec has made.
type Content struct {
	// Type is its media type; empty: as the record says.
	Type string
	// Encoding is how it is compressed, as in Content-Encoding; empty: not at all.
	Encoding string
}

// Reopen gives m another payload in place of its body, with whatever was written to it: c tells how it reads where f is document.Coded.
// What failed cannot be undone by Rollback, so a processor reopens a copy and emits that.
func (m *Message) Reopen(payload []byte, f document.Format, c document.Coder, content *Content) {
	m.format, m.coder, m.content = f, c, content
	m.reopen(payload)
}

// Reopened reports whether the payload is another than the record's.
func (m *Message) Reopened() bool { return m.content != nil }

// Format says how the body reads, and what does where that is document.Coded.
func (m *Message) Format() (document.Format, document.Coder) { return m.format, m.coder }

// Attach lends m the environment of its source before Restore.
func (m *Message) Attach(env *Env) { m.env = env }

func (m *Message) reopen(body []byte) {
	m.payload = body
	if m.format == document.Coded {
		m.Body.ResetCoded(m.env.Paths, body, m.coder)
		return
	}
	m.Body.Reset(m.env.Paths, body, m.format)
}

// Payload is what the body reads when no node has written it; the payload as received, but for a message that comes back from a sink.
func (m *Message) Payload() []byte { return m.payload }

// Clone makes an independent copy that shares the payload's memory.
func (m *Message) Clone() *Message {
	c := &Message{}
	c.copyFrom(m)
	return c
}

func (m *Message) copyFrom(o *Message) {
	m.env, m.batch, m.record = o.env, o.batch, o.record
	m.format, m.coder, m.content = o.format, o.coder, o.content
	m.payload, m.key, m.failure, m.extras = o.payload, o.key, o.failure, o.share()
	m.shared = m.extras != nil
	m.emitted = false
	m.Body.CopyFrom(&o.Body)
}

// forget lets go of all that m refers to.
func (m *Message) forget() {
	m.Body.Reset(m.env.Paths, nil, document.JSON)
	m.coder, m.content = nil, nil
	m.record, m.batch, m.env, m.payload, m.key, m.failure, m.extras, m.shared = nil, nil, nil, nil, nil, nil, nil, false
}

// share gives the extras away for reading; from now on both sides copy before they write.
func (m *Message) share() *extras {
	m.shared = m.extras != nil
	return m.extras
}

// own returns extras that only m has.
func (m *Message) own() *extras {
	switch {
	case m.extras == nil:
		m.extras = &extras{}
	case m.shared:
		x := *m.extras
		m.extras = &x
	}
	m.shared = false
	return m.extras
}

// State is a message as it entered a node, for Rollback.
type State struct {
	body    document.Mark
	key     []byte
	failure *Error
	extras  *extras
}

// Mark remembers the message as it is. Cheap: nothing is copied until something is written.
func (m *Message) Mark() (s State) {
	m.MarkIn(&s)
	return s
}

// MarkIn is Mark without copying a State, for the engine, which marks each message at each node.
func (m *Message) MarkIn(s *State) {
	s.body, s.key, s.failure, s.extras = m.Body.Mark(), m.key, m.failure, m.share()
}

// Rollback takes all writes since Mark back.
func (m *Message) Rollback(s State) {
	m.Body.Rollback(s.body)
	m.key, m.failure, m.extras, m.shared = s.key, s.failure, s.extras, s.extras != nil
}

// Record is the record the message came from.
func (m *Message) Record() *Record { return m.record }

// Raw is the payload as received; nil is none. It never changes.
func (m *Message) Raw() []byte { return m.record.Body }

// Key is the message's key; nil is no key.
func (m *Message) Key() []byte { return m.key }

// SetKey sets the key; nil removes it. The bytes must not be changed afterwards.
func (m *Message) SetKey(k []byte) { m.key = k }

// Topic is where the record came from.
func (m *Message) Topic() string { return m.record.Topic }

// Attempt is the delivery by the source, from 1.
func (m *Message) Attempt() int { return int(m.record.Attempt) }

// SourceName is the source's name in the file.
func (m *Message) SourceName() string { return m.env.Source }

// Connector is the source's kind.
func (m *Message) Connector() string { return m.env.Connector }

// SourceExtra gives the entries of `source` that only this connector has; nil when none.
func (m *Message) SourceExtra() map[string]any {
	if m.env.Extra == nil {
		return nil
	}
	return m.env.Extra(m.record)
}

// Failure is what went wrong with the message earlier; nil when nothing did.
func (m *Message) Failure() *Error { return m.failure }

// SetFailure is what continue and the errors of a node set.
func (m *Message) SetFailure(e *Error) { m.failure = e }

// Now is the pipeline's clock.
func (m *Message) Now() time.Time { return m.env.Now() }

// Origin is the record's position with its connector: kafka:orders/3@1234.
func (m *Message) Origin() string { return m.env.Connector + ":" + m.record.Position() }

// ID is the stable id: the source's own or its position, and /index for each split it went through.
func (m *Message) ID() string {
	id := m.record.ID
	if id == "" {
		id = m.Origin()
	}
	if m.extras != nil {
		id += m.extras.suffix
	}
	return id
}

// ExtendID appends /index to the id: what split does for each element.
func (m *Message) ExtendID(index int) {
	x := m.own()
	x.suffix += "/" + strconv.Itoa(index)
}

// Elements is what the message's id has beyond its record's: /index for each split it went through.
func (m *Message) Elements() string {
	if m.extras == nil {
		return ""
	}
	return m.extras.suffix
}

// Through notes that the message came on an edge of that name to where copies of it may come on others. The engine calls it.
func (m *Message) Through(edge string) {
	x := m.own()
	x.ways += "/" + edge
}

// Ways are the names of the edges by which copies of one record are told apart, each behind a slash; empty where only one can be here.
func (m *Message) Ways() string {
	if m.extras == nil {
		return ""
	}
	return m.extras.ways
}

// Time is the event time as the source gives it, else the arrival.
func (m *Message) Time() time.Time {
	if m.extras != nil && m.extras.timeSet {
		return m.extras.time
	}
	return recordTime(m.record, m.batch)
}

// SetTime changes the event time.
func (m *Message) SetTime(t time.Time) {
	x := m.own()
	x.time, x.timeSet = t, true
}

// Headers are the message's headers in order; not to be changed in place.
func (m *Message) Headers() []Header {
	if m.extras != nil && m.extras.headersOwn {
		return m.extras.headers
	}
	return m.record.Headers
}

// Meta reads a header as text; of repeated names the last one counts. ok is false when there is none.
func (m *Message) Meta(name string) (text string, ok bool) {
	h, ok := lastHeader(m.Headers(), name)
	if !ok {
		return "", false
	}
	return h.Text(), true
}

// SetMeta writes a header: text, number or bool. It replaces all headers of that name, at the place of the last one.
func (m *Message) SetMeta(name string, v value.Value) error {
	switch v.Kind() {
	case value.KindString, value.KindInt, value.KindFloat, value.KindBool:
	default:
		return fmt.Errorf("meta.%s takes text, a number or a bool, not %s", name, v.Kind())
	}
	hs, at := m.withoutMeta(name)
	h := Header{Name: name, Value: v}
	if at < 0 {
		hs = append(hs, h)
	} else {
		hs = append(hs, Header{})
		copy(hs[at+1:], hs[at:])
		hs[at] = h
	}
	x := m.own()
	x.headers, x.headersOwn = hs, true
	return nil
}

// DeleteMeta removes all headers of that name.
func (m *Message) DeleteMeta(name string) {
	if _, ok := lastHeader(m.Headers(), name); !ok {
		return
	}
	hs, _ := m.withoutMeta(name)
	x := m.own()
	x.headers, x.headersOwn = hs, true
}

// withoutMeta copies the headers but those of that name; at is the place of the last of them, -1 when there was none.
func (m *Message) withoutMeta(name string) (hs []Header, at int) {
	old := m.Headers()
	hs, at = make([]Header, 0, len(old)+1), -1
	for _, h := range old {
		if h.Name == name {
			at = len(hs)
			continue
		}
		hs = append(hs, h)
	}
	return hs, at
}

// Tmp is the scratch map; nil when nothing was written. Not to be changed in place.
func (m *Message) Tmp() map[string]any {
	if m.extras == nil {
		return nil
	}
	return m.extras.tmp
}

// SetTmp replaces the scratch map. The caller must not change the map afterwards.
func (m *Message) SetTmp(t map[string]any) { m.own().tmp = t }

// Own copies everything that points into the batch's memory, so that m outlives its batch.
func (m *Message) Own() {
	m.record, m.key = m.record.own(), ownBytes(m.key)
	m.batch = &Batch{Arrived: m.batch.Arrived}
	if m.extras != nil {
		x := m.own()
		x.headers = ownHeaders(x.headers)
		tmp, _ := value.Own(value.Map(x.tmp)).Box().(map[string]any)
		x.tmp = tmp
	}
	m.ownBody()
}

// ownBody puts the body into memory of its own: as its text where it is JSON, else as its value, for what was written to it need not have
// a form in its format.
func (m *Message) ownBody() {
	switch {
	case !m.Body.Written():
		m.reopen(ownBytes(m.payload))
		return
	case m.Body.None():
		m.reopen(nil)
		return
	case m.format == document.JSON:
		if text, err := m.Body.AppendTo(nil); err == nil {
			m.reopen(text)
			return
		}
	}
	v, err := m.Body.Get(document.Root)
	if err == nil {
		v = value.Own(v)
	}
	m.reopen(ownBytes(m.payload))
	if err == nil {
		_ = m.Body.Set(document.Root, v) // the root can always be written
	}
}

// SetBody assigns the body at a path that the processor declared when it was built.
func (m *Message) SetBody(s document.Slot, v value.Value) error { return m.Body.Set(s, v) }

func recordTime(r *Record, b *Batch) time.Time {
	if r.Time != 0 {
		return time.Unix(0, r.Time).UTC()
	}
	if b == nil {
		return time.Time{}
	}
	return time.Unix(0, b.Arrived).UTC()
}

func ownBytes(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

func ownHeaders(hs []Header) []Header {
	if hs == nil {
		return nil
	}
	c := make([]Header, len(hs))
	for i, h := range hs {
		c[i] = Header{Name: cloneText(h.Name), Value: value.Own(h.Value), Native: h.Native}
	}
	return c
}

func cloneText(s string) string { return strings.Clone(s) }
