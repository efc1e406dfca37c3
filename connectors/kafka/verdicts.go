package kafka

import (
	"sync"

	"github.com/millstream/millstream/flow"
)

// verdicts are what one try of a transaction has learned about single messages for the next one. A message that a sink refuses spoils the
// transaction, and so it is refused before it is sent when the transaction is tried again: then it fails alone, and its dead letter is
// part of the transaction.
type verdicts struct {
	mu      sync.RWMutex
	suspect map[string]bool
	failed  map[string]*flow.Error
}

func newVerdicts() *verdicts {
	return &verdicts{suspect: map[string]bool{}, failed: map[string]*flow.Error{}}
}

// of says whether a message is to be sent alone, or why it is not to be sent at all. What is no fault of the message is said once: whoever
// tries again after a pause wants to try.
func (v *verdicts) of(id string) (suspect bool, err error) {
	v.mu.RLock()
	failure, suspect := v.failed[id], v.suspect[id]
	v.mu.RUnlock()
	if failure == nil {
		return suspect, nil
	}
	if failure.Class != flow.Permanent {
		v.mu.Lock()
		delete(v.failed, id)
		v.mu.Unlock()
	}
	return false, failure
}

// note keeps what was learned of a message.
func (v *verdicts) note(id string, err *flow.Error, suspect bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case suspect:
		v.suspect[id] = true
	case err.Class != flow.Transient:
		v.failed[id] = err
	}
}

// forget empties the verdicts: the transaction that they were about is committed.
func (v *verdicts) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.suspect)
	clear(v.failed)
}
