package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Verdict is what a checker found, and what a scenario measured beside it. Lost, Corrupt, Foreign, Misplaced and OrderViolations must be
// 0; Repeated is bounded by what was in flight at the faults. Times are in milliseconds; what was not measured is left out.
type Verdict struct {
	Seed uint64 `json:"seed,omitempty"`
	// In are the messages that the source has acknowledged, Out those that came, copies among them, without dead letters.
	In           int `json:"in"`
	Out          int `json:"out"`
	Lost         int `json:"lost"`
	Repeated     int `json:"repeated"`
	RepeatedMax  int `json:"repeated_max"` // how often the message came again that did most often
	Corrupt      int `json:"corrupt"`
	Foreign      int `json:"foreign"`
	DeadLettered int `json:"dead_lettered"`
	// Misplaced are good messages among the dead letters, and bad ones among the others.
	Misplaced       int `json:"misplaced"`
	OrderViolations int `json:"order_violations"`
	Kills           int `json:"kills"`
	// P50 and P99 are how long messages were under way, outages included.
	P50 float64 `json:"p50_ms,omitempty"`
	P99 float64 `json:"p99_ms,omitempty"`
	// Resumed are the times from the end of each fault to the next message that came.
	Resumed *Spread `json:"resumed_ms,omitempty"`
	// ResumedAfter tells them apart by what had happened.
	ResumedAfter map[string]*Spread `json:"resumed_after_ms,omitempty"`
	// Outage is the most that the engine did in a second of an outage; Connects how often it connected in all.
	Outage   *Calm `json:"outage,omitempty"`
	Connects int   `json:"connects,omitempty"`
	Usage
	Exit int `json:"exit"`
	// FirstLost and FirstViolation help to find the fault.
	FirstLost      int    `json:"first_lost"`
	FirstViolation string `json:"first_violation,omitempty"`
	// Events counts what was done, by kind.
	Events map[string]int `json:"events,omitempty"`
}

// Good tells whether nothing is wrong that must be 0, and no more came again than most.
func (v *Verdict) Good(most int) bool {
	return v.Lost+v.Corrupt+v.Foreign+v.Misplaced+v.OrderViolations == 0 && v.Repeated <= most && v.Exit == 0
}

// Checker knows every message of a run and takes what comes out, in the order of the sink.
type Checker struct {
	run     string
	n       int
	poison  int
	keys    int
	seen    bits
	twice   map[int]int    // how often what came again did so
	missing int            // of 0..n-1
	next    map[string]int // per key: the sequence that has not been seen yet
	took    []float64      // milliseconds
	verdict Verdict
}

// NewChecker makes a checker for n messages of a run without bad ones.
func NewChecker(run string, n int) *Checker {
	return &Checker{run: run, n: n, missing: n, next: map[string]int{}, twice: map[int]int{}}
}

// CheckerOf makes a checker for what the generator has made.
func CheckerOf(g *Generator) *Checker {
	c := NewChecker(g.Run, g.Made())
	c.poison, c.keys = g.Poison, g.Keys
	return c
}

// Take looks at one message. Order per key holds when, repeats of what was seen and bad messages left out, the sequence of a key has no gap.
func (c *Checker) Take(payload []byte) { c.TakeAt(payload, time.Time{}) }

// TakeAt does so with one that came at a known time.
func (c *Checker) TakeAt(payload []byte, at time.Time) {
	c.verdict.Out++
	r, ok := c.read(payload)
	if !ok {
		return
	}
	if r.Bad {
		c.verdict.Misplaced++
	}
	if c.mark(r.ID) && !at.IsZero() && r.At != 0 {
		c.took = append(c.took, float64(at.UnixMicro()-r.At)/1000)
	}
	due := c.next[r.Key]
	for c.poison > 0 && bad(c.id(r.ID, r.Seq, due), c.poison) {
		due++
	}
	switch {
	case r.Seq > due:
		c.verdict.OrderViolations++
		if c.verdict.FirstViolation == "" {
			c.verdict.FirstViolation = fmt.Sprintf("%s: %d came when %d was due", r.Key, r.Seq, due)
		}
		c.next[r.Key] = r.Seq + 1
	case r.Seq == due:
		c.next[r.Key] = due + 1
	}
}

// id is the message with the sequence seq of the key of a message.
func (c *Checker) id(of, its, seq int) int { return of + (seq-its)*c.keys }

// TakeDead looks at one dead letter: a message as it was, or an object that holds it as its payload.
func (c *Checker) TakeDead(letter []byte) {
	c.verdict.DeadLettered++
	var outer struct {
		Payload string
	}
	if json.Unmarshal(letter, &outer) == nil && outer.Payload != "" {
		letter = []byte(outer.Payload)
	}
	r, ok := c.read(letter)
	if !ok {
		return
	}
	if !r.Bad {
		c.verdict.Misplaced++
	}
	c.mark(r.ID)
}

func (c *Checker) read(payload []byte) (r Record, ok bool) {
	if err := json.Unmarshal(payload, &r); err != nil || r.CRC32 != r.sum() || r.ID < 0 {
		c.verdict.Corrupt++
		return r, false
	}
	if r.Run != c.run {
		c.verdict.Foreign++
		return r, false
	}
	if r.ID >= c.n {
		c.verdict.Corrupt++
		return r, false
	}
	return r, true
}

// mark counts a message and tells whether it is the first of its id.
func (c *Checker) mark(id int) (first bool) {
	if c.seen.add(id) {
		c.verdict.Repeated++
		c.twice[id]++
		c.verdict.RepeatedMax = max(c.verdict.RepeatedMax, c.twice[id])
		return false
	}
	c.missing--
	return true
}

// Complete tells whether every message has been seen.
func (c *Checker) Complete() bool { return c.missing == 0 }

// Verdict closes the account.
func (c *Checker) Verdict() Verdict {
	v := c.verdict
	v.In, v.Lost, v.FirstLost = c.n, c.missing, -1
	for id := 0; id < c.n && v.FirstLost < 0 && v.Lost > 0; id++ {
		if !c.seen.has(id) {
			v.FirstLost = id
		}
	}
	if s := NewSpread(c.took); s != nil {
		v.P50, v.P99 = s.P50, s.P99
	}
	return v
}

// Spread says how some times lie, in milliseconds.
type Spread struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// NewSpread looks at some times; nil when there are none.
func NewSpread(ms []float64) *Spread {
	if len(ms) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(ms))
	at := func(q float64) float64 { return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))] }
	return &Spread{N: len(sorted), P50: at(0.5), P99: at(0.99), Max: sorted[len(sorted)-1]}
}
