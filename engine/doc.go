// Package engine runs programs: it leads each record of a batch through the fused graph, hands the results to the sinks in order,
// settles the batch when every record has ended, and retries, dead-letters, drains and counts on the way. It knows no node, no
// connector and no YAML.
//
// # How a batch moves
//
// Each source has its own watermill Router with one consumer handler; the watermill message is a whole batch. A handler
// call goes through five steps:
//
//  1. compute: the records run through the graph in one of the pipeline's workers, concurrently with other batches of the lane.
//  2. hand over: batches of a lane take turns in the order they were read (the first turnstile) and give what they have to the sinks.
//     Records whose key is held by an earlier failure are queued instead.
//  3. confirm: the handler waits for the sinks' answers, then takes the second turnstile. What failed is queued under its key, and so
//     is everything of that key that came later, sent or not: it is sent again after the retry, which keeps the order.
//  4. a retrier per held key works its queue off, one after another, with backoff.
//  5. settle: when every record has ended, the handler returns, watermill acknowledges, the source gets its batch back.
//
// A batch whose records become very much does all this in parts: it keeps its turn, and each part ends before the next is computed.
//
// A held key is released when its queue is empty and every batch that was handed over before the failure was noticed has passed the
// second turnstile. When a message of it has to stay at its source (a stop past its deadline, a pause that ends with a stop, a lane that
// was taken away), all that comes after it stays there too. Dead letters are in no order: a message that became one has released its
// key.
//
// # How what runs is exchanged
//
// A pipeline runs a graph: one revision of its program, with the sinks, counters and workers that the program's indices mean. Each batch keeps
// the graph it was taken in under. A reload that leaves sources and sinks alone stores another graph and is done; any other opens what is
// new, holds up sources at a gate or stops them, waits until nothing is in flight, and takes each step back when a later one fails.
//
// # What tests it
//
// The simulation (TestSimulation) runs random pipelines with random failures on simulated time, a seed each, and checks every
// acknowledgement, the order, the repeats, the account and the limits. Each rule is also broken on purpose, to see that the simulation
// notices. A failing seed prints its graph and events, and is run again with -sim.seed; what happens at the same simulated instant is
// still up to the scheduler, so a rare failure may take more than one run.
package engine
