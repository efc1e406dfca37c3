package flow

import (
	"context"
	"time"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// Preparer is the part of a sink that needs no connection. It is built once with the pipeline, called concurrently by the workers, and
// also used by the tests in a pipeline file.
type Preparer interface {
	// Prepare renders what depends on the message (destination, key) into o and checks all that can be checked before sending: names,
	// sizes, framing. o's message parts are already filled; o.Body is the encoded payload. An error is an error of this message alone.
	// It does no I/O.
	Prepare(m *Message, o *Outgoing) error
}

// HeaderPreparer is a Preparer of a sink that sends other headers than the message's: it adds some, leaves some out, or changes their types.
type HeaderPreparer interface {
	Preparer
	// SentHeaders gives the headers that go out for what Prepare has filled. It is called by the tests in pipeline files.
	SentHeaders(o *Outgoing) []Header
}

// Sink delivers messages to one technology.
//
// Send is called concurrently: by several lanes, and by retries beside the first attempts of their lane. What must stay in order is never
// sent concurrently: a Send that begins after another one returned comes after it. Close follows the last Send and its done.
type Sink interface {
	// Send hands outs over in order and returns as soon as a following Send may be called; it blocks for back-pressure. It calls done exactly once, from any goroutine and possibly before it returns, after each o.Err has been set: nil
	// only for what is durably confirmed. An error is *Error where its class is known; any other counts as transient. When ctx is
	// done, what is not confirmed gets an error. outs and their bytes are valid until done is called.
	Send(ctx context.Context, outs []*Outgoing, done func())
	// Close ends the sink after the last done.
	Close(ctx context.Context) error
}

// Outgoing is one message on its way into one sink, as it entered the sink.
type Outgoing struct {
	// Record is the record it came from.
	Record *Record
	// Body is the encoded payload; nil is no payload.
	Body []byte
	// Key is what goes out as the key: the message's own, or the sink's key expression. nil is no key.
	Key []byte
	// Dest and Native are the sink's own: set by Prepare, read by Send. Native must not hold the message's bytes: the messages of an
	// optional sink outlive their batch, and only Body, Key, Dest and the headers move with them.
	Dest   string
	Native any
	// Err is the result of Send.
	Err error

	message *extras // as it goes out
	entered *extras // as it came, whatever the sink added
	batch   *Batch
	ownKey  []byte // the message's, whatever the sink's key is
	plain   []byte // the payload as it came, where plainSet
	failure *Error
	env     *Env

	format  document.Format
	coder   document.Coder
	content *Content    // what the payload is as it goes out, where the record does not say
	came    *Content    // and as it came
	value   value.Value // the body, where valueSet: it was written, and the sink's encoding differs from the message's

	plainSet, valueSet bool
	// Index and Order are the engine's own: the record's place in its batch, and the message's among all that the batch sends.
	Index, Order int32
}

// Headers are the message's headers; not to be changed in place.
func (o *Outgoing) Headers() []Header {
	if o.message != nil && o.message.headersOwn {
		return o.message.headers
	}
	return o.Record.Headers
}

// Props are the parts with a common name; nil when there are none.
func (o *Outgoing) Props() *Properties {
	if o.content == nil || o.Record.Props == nil && *o.content == (Content{}) {
		return o.Record.Props
	}
	var p Properties
	if o.Record.Props != nil {
		p = *o.Record.Props
	}
	if o.content.Type != "" {
		p.ContentType = o.content.Type
	}
	p.ContentEncoding = o.content.Encoding
	return &p
}

// Came says how the payload read as it entered the sink: also how Body does, where the sink has no encoding of its own.
func (o *Outgoing) Came() (document.Format, document.Coder) { return o.format, o.coder }

// SetContent says what the payload is, where the sink's encoding made it. The engine calls it after Fill.
func (o *Outgoing) SetContent(c *Content) { o.content = c }

// Lane is the lane of the record that the message came from; nil where it has outlived its batch.
func (o *Outgoing) Lane() *Lane {
	if o.batch == nil {
		return nil
	}
	return o.batch.Lane
}

// Time is the message's event time.
func (o *Outgoing) Time() time.Time {
	if o.message != nil && o.message.timeSet {
		return o.message.time
	}
	return recordTime(o.Record, o.batch)
}

// Fill takes over the message's parts as they are at this moment; body is its encoded payload. The engine calls it before Prepare.
func (o *Outgoing) Fill(m *Message, body []byte) {
	x := m.share()
	o.Record, o.Body, o.Key, o.ownKey = m.record, body, m.key, m.key
	o.message, o.entered, o.batch, o.failure, o.env = x, x, m.batch, m.failure, m.env
	o.format, o.coder, o.content, o.came, o.value, o.valueSet = m.format, m.coder, m.content, m.content, value.Value{}, false
	o.Dest, o.Native, o.Err, o.plain, o.plainSet, o.Index, o.Order = "", nil, nil, nil, false, 0, 0
}

// KeepPayload notes the payload that Restore gives back, where it is not Body: the sink's encoding differs from the message's.
func (o *Outgoing) KeepPayload(payload []byte) { o.plain, o.plainSet = payload, true }

// Rewrite replaces the payload by another form of it, for a sink whose protocol wants it so; Restore still gives the one before. Prepare
// may call it.
func (o *Outgoing) Rewrite(payload []byte) {
	if !o.plainSet {
		o.plain, o.plainSet = o.Body, true
	}
	o.Body = payload
}

// KeepValue is KeepPayload for a body that its own format may not be able to say: Restore writes v to what payload reads as.
func (o *Outgoing) KeepValue(payload []byte, v value.Value) {
	o.KeepPayload(payload)
	o.value, o.valueSet = v, true
}

// SetHeaders replaces the outgoing headers, for a sink that adds its own or for a dead letter.
func (o *Outgoing) SetHeaders(hs []Header) {
	x := &extras{}
	if o.message != nil {
		*x = *o.message
	}
	x.headers, x.headersOwn = hs, true
	o.message = x
}

// Own copies everything that points into the batch's memory, so that o outlives the batch.
func (o *Outgoing) Own() {
	o.Record = o.Record.own()
	o.Body, o.Key, o.ownKey, o.plain = ownBytes(o.Body), ownBytes(o.Key), ownBytes(o.ownKey), ownBytes(o.plain)
	o.value = value.Own(o.value)
	o.message, o.entered = o.message.owned(), o.entered.owned()
	o.Dest = cloneText(o.Dest)
	if o.batch != nil {
		o.batch = &Batch{Arrived: o.batch.Arrived}
	}
}

// Restore makes m the message as it entered the sink: what a dead letter and the nodes that read sink.errors are made of.
func (o *Outgoing) Restore(m *Message) {
	m.env, m.record, m.batch, m.key, m.failure = o.env, o.Record, o.batch, o.ownKey, o.failure
	m.extras, m.shared = o.entered, o.entered != nil
	m.format, m.coder, m.content = o.format, o.coder, o.came
	if !o.plainSet {
		m.reopen(o.Body)
		return
	}
	m.reopen(o.plain)
	if o.valueSet {
		_ = m.Body.Set(document.Root, o.value) // the root can always be written
	}
}

// owned copies what may point into the batch's memory; nil stays nil.
func (x *extras) owned() *extras {
	if x == nil {
		return nil
	}
	c := *x
	c.headers = ownHeaders(c.headers)
	return &c
}

// Arrived is when the record was read; what a stated time to live counts from. The zero time where that is not known.
func (o *Outgoing) Arrived() time.Time {
	if o.batch == nil || o.batch.Arrived == 0 {
		return time.Time{}
	}
	return time.Unix(0, o.batch.Arrived).UTC()
}
