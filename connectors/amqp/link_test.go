package amqp

import (
	"strconv"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

// TestWhatIsPublishedWhileItsLinkFailsIsAnsweredOnce is for the race detector above all: the confirmation comes from who publishes.
func TestWhatIsPublishedWhileItsLinkFailsIsAnsweredOnce(t *testing.T) {
	const n = 200
	l := &link{window: newWindow(), added: make(chan struct{}, 1)}
	var answered sync.WaitGroup
	answered.Add(1)
	c := &call{done: answered.Done}
	c.left.Store(n)
	var entries []*entry
	for i := range n {
		e := &entry{out: &flow.Outgoing{}, call: c, pub: &publishing{}, key: strconv.Itoa(i)}
		entries = append(entries, e)
		if !l.window.add(e) {
			t.Fatal("the window has ended")
		}
	}
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for _, e := range entries {
			l.confirmWith(e, &amqp.DeferredConfirmation{})
		}
	})
	l.fail(errClosed)
	publisher.Wait()
	answered.Wait()
	for _, e := range entries {
		wantError(t, e.out.Err, flow.Transient, flow.CodeUnavailable)
	}
	if l.window.add(&entry{}) {
		t.Error("a window that has ended took a message")
	}
}
