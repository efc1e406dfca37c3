//go:build integration

package amqp

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// brokerURL is the broker for tests; without one the test is skipped, unless the environment says that it must be there.
func brokerURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("MILLSTREAM_RABBITMQ")
	if url != "" {
		return url
	}
	if strings.Contains(os.Getenv("MILLSTREAM_REQUIRE_BROKERS"), "rabbitmq") {
		t.Fatal("MILLSTREAM_REQUIRE_BROKERS names rabbitmq, but MILLSTREAM_RABBITMQ is empty")
	}
	t.Skip("MILLSTREAM_RABBITMQ is empty: no RabbitMQ")
	return ""
}

// plainChannel is a channel for the test itself.
func plainChannel(t testing.TB, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// freshQueue makes a queue that the test removes.
func freshQueue(t testing.TB, url string, args amqp.Table) (name string, ch *amqp.Channel) {
	t.Helper()
	ch = plainChannel(t, url)
	name = fmt.Sprintf("%s-%08x", strings.ToLower(strings.Map(letters, t.Name())), rand.Uint32())
	if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn, err := amqp.Dial(url)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if ch, err := conn.Channel(); err == nil {
			_, _ = ch.QueueDelete(name, false, false, false)
		}
	})
	return name, ch
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

func publish(t testing.TB, ch *amqp.Channel, queue string, messages ...amqp.Publishing) {
	t.Helper()
	for _, m := range messages {
		if err := ch.PublishWithContext(t.Context(), "", queue, true, false, m); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(from, to int) (all []amqp.Publishing) {
	for i := from; i < to; i++ {
		all = append(all, amqp.Publishing{Body: fmt.Appendf(nil, "%d", i)})
	}
	return all
}

func values(from, to int) []string {
	all := []string{}
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// get takes n messages out of a queue, waiting for them.
func get(t testing.TB, ch *amqp.Channel, queue string, n int) []amqp.Delivery {
	t.Helper()
	var all []amqp.Delivery
	late := time.Now().Add(patience)
	for len(all) < n {
		d, ok, err := ch.Get(queue, true)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			all = append(all, d)
			continue
		}
		if time.Now().After(late) {
			t.Fatalf("%d of %d messages arrived", len(all), n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return all
}

func waitForReady(t testing.TB, ch *amqp.Channel, queue string, ready int) {
	t.Helper()
	late := time.Now().Add(patience)
	for {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Messages == ready {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%d messages are ready in the queue, want %d", q.Messages, ready)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
