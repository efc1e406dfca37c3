// Package failpoint lets a fault test kill the process at a named place. It does nothing in a normal build: the calls compile to
// nothing. Built with -tags failpoints, the variable MILLSTREAM_FAILPOINT chooses a place and how many passes to let by, as in
// before_ack:3 (the third pass ends the process with SIGKILL, which nothing can catch). With MILLSTREAM_FAILPOINT_REPORT set, the process
// writes to stderr how many goroutines it has when it begins to drain.
package failpoint

// The places, in the order in which a batch meets them.
const (
	AfterFetch   = "after_fetch"   // a batch was read and taken in
	BeforeSend   = "before_send"   // computed, nothing handed to a sink yet
	AfterSend    = "after_send"    // handed to the sinks, nothing confirmed yet
	AfterConfirm = "after_confirm" // all sinks have confirmed, watermill has not acknowledged
	BeforeAck    = "before_ack"    // acknowledged by the handler, the source does not know
	AfterAck     = "after_ack"     // the source knows, and may not have committed
	InDrain      = "in_drain"      // the pipeline has begun to drain
)

// AfterLetter is passed after AfterConfirm by batches of which something became a dead letter: it is confirmed, the source does not know.
const AfterLetter = "after_letter"

// The places of a file in which a source keeps its position.
const (
	StateWritten = "state_written" // the new file is whole, the old one is in its place
	StateRenamed = "state_renamed" // the new one is in its place
)

// The places of a transaction that a source of Kafka ends; what happens between the two is the client's.
const (
	TransactionEnding = "transaction_ending" // all in it has ended, it is open
	TransactionEnded  = "transaction_ended"  // it is committed or given up
)

// The places of a reload, in their order. The first is passed once per reload, the others once per pipeline that changes.
const (
	ReloadPlan     = "reload_plan"     // it is decided what happens to each pipeline
	ReloadOpened   = "reload_opened"   // what is new in a pipeline is open, the old revision runs
	ReloadGated    = "reload_gated"    // the old revision takes nothing in any more where that is needed
	ReloadSwitched = "reload_switched" // the new revision runs
	ReloadClosed   = "reload_closed"   // what only the old revision had is closed
)

// Places lists those that every batch passes, and the drain.
func Places() []string {
	return []string{AfterFetch, BeforeSend, AfterSend, AfterConfirm, BeforeAck, AfterAck, InDrain}
}

// Positions lists those that only sources pass which keep their position in a file.
func Positions() []string { return []string{StateWritten, StateRenamed} }

// Transactions lists those that only sources pass which read in transactions.
func Transactions() []string { return []string{TransactionEnding, TransactionEnded} }

// Reloads lists those that a reload passes.
func Reloads() []string {
	return []string{ReloadPlan, ReloadOpened, ReloadGated, ReloadSwitched, ReloadClosed}
}
