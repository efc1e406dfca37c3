//go:build integration

package amqp

import (
	"context"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// BenchmarkPublish compares the sink with a loop written by hand, in one run: confirmed, persistent, 250 bytes.
func BenchmarkPublish(b *testing.B) {
	url := brokerURL(b)
	body := strings.Repeat("x", 250)
	b.Run("by hand", func(b *testing.B) {
		queue, ch := freshQueue(b, url, nil)
		if err := ch.Confirm(false); err != nil {
			b.Fatal(err)
		}
		window := make(chan *amqp.DeferredConfirmation, maxWindow)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for c := range window {
				c.Wait()
			}
		}()
		b.ResetTimer()
		for range b.N {
			c, err := ch.PublishWithDeferredConfirmWithContext(context.Background(), "", queue, true, false,
				amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)})
			if err != nil {
				b.Fatal(err)
			}
			window <- c
		}
		close(window)
		<-ended
	})
	b.Run("sink", func(b *testing.B) {
		queue, _ := freshQueue(b, url, nil)
		s, p := mustSink(b, connectortest.NewHost(b), fmt.Sprintf("{url: %q, routing_key: %s}", url, queue))
		flying := make(chan struct{}, 8)
		b.ResetTimer()
		for left := b.N; left > 0; left -= 256 {
			outs := make([]*flow.Outgoing, min(left, 256))
			for i := range outs {
				o, err := prepare(p, flow.Record{Body: []byte(body)})
				if err != nil {
					b.Fatal(err)
				}
				outs[i] = o
			}
			flying <- struct{}{}
			s.Send(context.Background(), outs, func() {
				if err := firstError(outs); err != nil {
					b.Error(err)
				}
				<-flying
			})
		}
		for range cap(flying) {
			flying <- struct{}{}
		}
	})
}
