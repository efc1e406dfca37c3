package faults

import (
	"encoding/json"
	"fmt"
)

// Verdict is what a checker found. Lost, Corrupt and OrderViolations must be 0; Repeated is bounded by what was in flight at the
// kills.
type Verdict struct {
	In              int `json:"in"`
	Out             int `json:"out"`
	Lost            int `json:"lost"`
	Repeated        int `json:"repeated"`
	Corrupt         int `json:"corrupt"`
	Foreign         int `json:"foreign"`
	OrderViolations int `json:"order_violations"`
	Kills           int `json:"kills"`
	// FirstLost and FirstViolation help to find the fault.
	FirstLost      int    `json:"first_lost"`
	FirstViolation string `json:"first_violation,omitempty"`
}

// Checker knows every message of a run and takes what comes out, in the order of the sink.
type Checker struct {
	run     string
	n       int
	seen    []bool
	next    map[string]int // per key: the sequence that has not been seen yet
	verdict Verdict
}

// NewChecker makes a checker for Generate(run, n, keys).
func NewChecker(run string, n int) *Checker {
	return &Checker{run: run, n: n, seen: make([]bool, n), next: map[string]int{}}
}

// Take looks at one message. Order per key holds when, repeats of what was seen left out, the sequence of a key has no gap.
func (c *Checker) Take(payload []byte) {
	c.verdict.Out++
	var r Record
	if err := json.Unmarshal(payload, &r); err != nil || r.CRC32 != r.sum() || r.ID < 0 || r.ID >= c.n {
		c.verdict.Corrupt++
		return
	}
	if r.Run != c.run {
		c.verdict.Foreign++
		return
	}
	if c.seen[r.ID] {
		c.verdict.Repeated++
	}
	c.seen[r.ID] = true
	switch next := c.next[r.Key]; {
	case r.Seq > next:
		c.verdict.OrderViolations++
		if c.verdict.FirstViolation == "" {
			c.verdict.FirstViolation = fmt.Sprintf("%s: %d came when %d was due", r.Key, r.Seq, next)
		}
		c.next[r.Key] = r.Seq + 1
	case r.Seq == next:
		c.next[r.Key] = next + 1
	}
}

// Complete tells whether every message has been seen.
func (c *Checker) Complete() bool {
	for _, s := range c.seen {
		if !s {
			return false
		}
	}
	return true
}

// Verdict closes the account.
func (c *Checker) Verdict() Verdict {
	v := c.verdict
	v.In, v.FirstLost = c.n, -1
	for id, s := range c.seen {
		if !s {
			v.Lost++
			if v.FirstLost < 0 {
				v.FirstLost = id
			}
		}
	}
	return v
}
