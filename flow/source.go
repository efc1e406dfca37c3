package flow

import (
	"context"
	"time"
)

// Source reads records from one technology.
//
// The engine calls Run once, in its own goroutine. Settle is called concurrently with Run, exactly once for each batch that Push took,
// from any goroutine and in any order. Close is called once, after Run returned and every taken batch was settled; it ends what is still
// open. When another part of the pipeline could not be opened, Close comes without a Run.
type Source interface {
	// Run reads and pushes until ctx is done (stop reading, return nil) or the source is exhausted (return nil). An error means that
	// the source cannot go on; it reconnects by itself for anything that passes. Lanes may be pushed from several goroutines; batches of
	// one lane are pushed one after another, and every Push has returned before Run does.
	Run(ctx context.Context, in Intake) error
	// Settle takes a batch back. Records with Settled() are done and are acknowledged, as far as the source's protocol allows (a
	// partition commits the contiguous prefix); the others stay at the source, or go back to it. Settle releases the batch's memory.
	Settle(b *Batch)
	// Close ends the source. It commits what is settled before it lets go.
	Close(ctx context.Context) error
}

// Intake is where a source puts its batches.
type Intake interface {
	// Push hands a batch to the engine and blocks while the pipeline's limits are reached: this is the back-pressure. A nil error means
	// that the batch was taken and Settle will follow. An error means that it was not taken, and that Run is to return.
	Push(ctx context.Context, b *Batch) error
}

// Traits are what the engine and explain need to know about a source or sink before it is opened.
type Traits struct {
	// Keyed: the source's records can have keys, so order: by_key is its default.
	Keyed bool
	// Finite: Run returns by itself; the pipeline then drains and ends.
	Finite bool
	// Headers: a sink that can carry headers; a dead letter to one that cannot becomes a JSON object.
	Headers bool
	// Stream: a source that can be read once, and not again (standard input, a pipe): what stays unsettled is gone with the process.
	Stream bool
	// Address names the one place that a source reads or a sink writes, when it is known before a message comes; equal addresses are the
	// same place. Empty: unknown.
	Address string
	// Discards: a sink that lets messages go on purpose; what it confirms counts as dropped.
	Discards bool
	// Local names what a sink of this process hands to a source of this process, which takes it only while it runs: a topic in memory. Equal
	// names are the same thing. Pipelines end in the order in which they feed each other. Empty: nothing, or not known before a message comes.
	Local string
	// Exclusive names what only one holder can have at a time (stdin, a file, a listening port); empty: nothing.
	Exclusive string
	// Single: the source or sink of one pipeline cannot be open twice at a time, not even for the moment in which one revision takes over
	// from another (a member of a consumer group with a stable name, a position in the state directory). A reload closes the old one before
	// it opens the new one; what can be lent through Host.Share needs no Single.
	Single bool
	// Answers: a source whose senders each wait for what becomes of their record, and keep it until they are told. What fails there, and of
	// which no on_error says what is to come then, is given back with Record.Refused instead of pausing the pipeline for all of them; and
	// the order of records is kept only where the file asks for it, since those who wait at the same time have none.
	Answers bool
}

// Eager is a Source that wants to know what became of a record while others of its batch are still tried again: its senders wait, each for
// itself.
type Eager interface {
	// Ended tells that the record at an index of a batch is done, or, with an error, given back for good as Record.Refused says. It
	// comes at most once for a record, before the Settle of its batch, which says the same again; for most records it does not come at
	// all. It is called with the batch's lock held and must not wait.
	Ended(b *Batch, index int, refused *Error)
}

// Lagged is a Source that knows how much waits at its end of the pipeline. It is called at any time between Open and Close.
type Lagged interface {
	// Lag is how many records the source has been assigned that are not settled: those not read yet and those in flight. It is a gauge
	// that may be some seconds old; what is negative is not known now. Whoever asks is kept waiting for a second at most.
	Lag() int64
}

// Troubled is a Source or a Sink that can tell that it does not get through to its other side now, while it goes on trying: a broker is
// gone, or takes a permission away. Trouble is called at any time from Open on, also while Close runs, and answers at once. A sink need not
// tell of sends that it has answered with errors: those are known.
type Troubled interface {
	// Trouble is since when that is so, and why; a nil error is no trouble that is known of.
	Trouble() (since time.Time, err error)
}
