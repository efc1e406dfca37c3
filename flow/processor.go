package flow

import (
	"context"
	"log/slog"
	"time"
)

// Processor is one node. There is one instance of it per pipeline; Process is called concurrently.
type Processor interface {
	// Process looks at m, changes it, and says through e where it goes. What it emits takes effect only when it returns nil: an error
	// leaves the message as it entered the node, and on_error decides. m and what can be read from it are valid until Process returns;
	// copy what must live longer. A plain error counts as permanent, code processing; return *Error to say it better.
	Process(m *Message, e *Emitter) error
}

// Waiter is a Processor that mostly waits for somebody outside, such as a server that it asks. The engine does not let the records of a
// batch wait for each other then: it leads several of them through the graph side by side. This node and those around it may so meet
// messages of one lane in another order; what reaches the sinks is in the order of the lane, as ever.
type Waiter interface {
	Processor
	// Concurrency is how many records of one batch the engine leads side by side. It is asked once. Batches go side by side anyway, so a
	// node that must bound itself does that in Process.
	Concurrency() int
}

// ProcessorFunc lets a function be a Processor.
type ProcessorFunc func(m *Message, e *Emitter) error

// Process calls f.
func (f ProcessorFunc) Process(m *Message, e *Emitter) error { return f(m, e) }

// Port is the index of a way out of a node. Processors with one way out use port 0; a router has one per case.
type Port int

// Emitted is one message on its way out of a node.
type Emitted struct {
	Port    Port
	Message *Message
}

// Emitter takes what a processor does with its message. A processor that neither emits, holds nor settles has filtered the message.
type Emitter struct {
	// Emitted and Settled are read by the engine after Process returned.
	Emitted []Emitted
	Settled End

	ctx  context.Context
	log  *slog.Logger
	free []*Message
	hold func(m *Message) *Held
	wait func(left func() time.Duration) error
	held bool
	over bool
}

// MaxMessages is how many messages one record may become on its way through a pipeline.
const MaxMessages = 10_000

// TooMany is the failure of a message that would become more than MaxMessages.
func TooMany() *Error {
	return Errorf(Permanent, CodeTooLarge, "one record may become %d messages at most", MaxMessages)
}

// Context is done when the pipeline must stop at once. Processors that wait pass it on.
func (e *Emitter) Context() context.Context { return e.ctx }

// Logger is the pipeline's, with its name filled in; slog.Default() where no engine has lent one.
func (e *Emitter) Logger() *slog.Logger {
	if e.log == nil {
		return slog.Default()
	}
	return e.log
}

// Wait holds the lane of the message that is being processed. It waits until all that came before it in its lane has left for the sinks,
// asks how long there is left to wait, and waits for that long; then the message leaves soon, not only with the rest of its batch. A
// processor that paces messages waits here. The error is transient and to be returned: the pipeline stops, or the lane was taken away.
func (e *Emitter) Wait(left func() time.Duration) error {
	if e.wait != nil {
		return e.wait(left)
	}
	t := time.NewTimer(left())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-e.ctx.Done():
		return Errorf(Transient, CodeAbandoned, "given up while waiting: %w", e.ctx.Err())
	}
}

// Emit sends m out at a port. Emitting the same message again sends a copy of it as it is then; what is changed between two emits of
// one message may show in both, so use Copy where the two differ. After MaxMessages the message that is being processed fails, and
// nothing of it is sent.
func (e *Emitter) Emit(p Port, m *Message) {
	if len(e.Emitted) >= MaxMessages {
		e.over = true
		return
	}
	if m.emitted {
		m = e.Copy(m)
	}
	m.emitted = true
	e.Emitted = append(e.Emitted, Emitted{p, m})
}

// Settle ends the message here on purpose: Dropped for a drop that the file asked for.
func (e *Emitter) Settle(end End) { e.Settled = end }

// Copy makes an independent copy of m: writes to one are not seen by the other, the payload bytes are shared.
func (e *Emitter) Copy(m *Message) *Message {
	c := e.take()
	c.copyFrom(m)
	return c
}

// Hold takes the message out of its batch's run: the record stays unsettled until the Held is emitted, settled or failed. This is
// what windows, joins and delays are made of. The returned message is an own copy and may be kept.
func (e *Emitter) Hold(m *Message) *Held {
	e.held = true
	return e.hold(m)
}

func (e *Emitter) take() *Message {
	if n := len(e.free); n > 0 {
		m := e.free[n-1]
		e.free = e.free[:n-1]
		m.free = false
		return m
	}
	return &Message{home: e}
}

// Bind is called by the engine to lend the emitter its context and its way of holding.
func (e *Emitter) Bind(ctx context.Context, hold func(m *Message) *Held) { e.ctx, e.hold = ctx, hold }

// BindWait is called by the engine to lend the emitter its way of waiting.
func (e *Emitter) BindWait(wait func(left func() time.Duration) error) { e.wait = wait }

// BindLogger is called by the engine to lend the emitter the pipeline's logger.
func (e *Emitter) BindLogger(log *slog.Logger) { e.log = log }

// Reset is called by the engine before each Process of m.
func (e *Emitter) Reset(m *Message) {
	e.Forget()
	e.Settled, e.held, e.over = Open, false, false
	m.emitted = false
}

// Forget lets go of what was emitted; the engine calls it when the branches have ended.
func (e *Emitter) Forget() {
	clear(e.Emitted)
	if cap(e.Emitted) > keptEmitted {
		e.Emitted = nil
	}
	e.Emitted = e.Emitted[:0]
}

// Over reports to the engine whether more than MaxMessages were emitted since Reset.
func (e *Emitter) Over() bool { return e.over }

// What an emitter keeps for the next message: room for so many emitted ones, and so many copies, of payloads up to this size.
const (
	keptEmitted     = 1024
	keptCopies      = 64
	keptCopyPayload = 64 << 10
)

// WasHeld reports to the engine whether Hold was called since Reset.
func (e *Emitter) WasHeld() bool { return e.held }

// Recycle gives a copy back once its branch has ended; the engine calls it. Messages that this emitter has not made, or has back
// already, are left alone.
func (e *Emitter) Recycle(m *Message) {
	if m.home != e || m.free {
		return
	}
	m.free = true
	if len(e.free) < keptCopies && len(m.payload) <= keptCopyPayload {
		m.forget()
		e.free = append(e.free, m)
	}
}

// Held is a message that a processor keeps. Exactly one of Emit, Settle and Fail must be called, once, from any goroutine. They
// return when the message has reached its end, so a processor that must not wait calls them outside Process. A hold made by a Process
// that then fails is undone. When the engine has let go of the message (a stop at once, a lane that was taken away), its record is
// back at the source and the calls do nothing.
type Held struct {
	// Message is an own copy; it may be changed before Emit.
	Message *Message
	// Resume is set by the engine: what Emit, Settle and Fail call.
	Resume func(ctx context.Context, out []Emitted, end End, err error)
}

// Emit lets the message go on at a port of the node that held it.
func (h *Held) Emit(ctx context.Context, p Port) {
	h.Resume(ctx, []Emitted{{p, h.Message}}, Open, nil)
}

// Settle ends the message.
func (h *Held) Settle(ctx context.Context, end End) { h.Resume(ctx, nil, end, nil) }

// Fail makes the message fail at the node that held it; on_error decides.
func (h *Held) Fail(ctx context.Context, err error) { h.Resume(ctx, nil, Open, err) }
