package amqp

import (
	"errors"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
)

func TestAReturnBelongsToTheFirstMessageBehindTheLastThatLooksTheSame(t *testing.T) {
	w := newWindow()
	add := func(key, body string, headers amqp.Table) *entry {
		e := &entry{out: &flow.Outgoing{}, key: key, pub: &publishing{mandatory: true, message: amqp.Publishing{Body: []byte(body), Headers: headers}}}
		w.room <- struct{}{}
		if !w.add(e) {
			t.Fatal("the window has ended")
		}
		return e
	}
	returned := func(key, body string, headers amqp.Table) bool {
		return w.took(&amqp.Return{RoutingKey: key, Body: []byte(body), Headers: headers, ReplyCode: amqp.NoRoute, ReplyText: "NO_ROUTE"})
	}
	a := add("k", "same", nil)
	b := add("k", "same", nil)
	c := add("k", "other", amqp.Table{"n": int16(1)})
	d := add("k", "other", amqp.Table{"n": int32(1)})
	if !returned("k", "same", nil) || a.returned == nil || b.returned != nil {
		t.Error("the first return is not about the first message")
	}
	w.pop()
	if !returned("k", "same", amqp.Table{}) || b.returned == nil {
		t.Error("the second return is not about the second message")
	}
	if !returned("k", "other", amqp.Table{"n": int32(1)}) || d.returned == nil || c.returned != nil {
		t.Error("the return with other headers is not about the last message")
	}
	if returned("k", "other", amqp.Table{"n": int16(1)}) {
		t.Error("a return belongs to a message before the last returned one")
	}
	if returned("k", "never sent", nil) {
		t.Error("a return belongs to a message that was not sent")
	}
}

func TestAMessageThatWasGivenUpIsKnownByItsOwnMemory(t *testing.T) {
	body, header := []byte("body"), []byte("header")
	w := newWindow()
	c := &call{done: func() {
		copy(body, "####")
		copy(header, "######")
	}}
	c.left.Store(1)
	e := &entry{out: &flow.Outgoing{}, call: c, key: "k", pub: &publishing{mandatory: true, message: amqp.Publishing{
		Body: body, Headers: amqp.Table{"b": header, "t": amqp.Table{"l": []any{header}}},
	}}}
	w.room <- struct{}{}
	w.add(e)
	givenUp := errors.New("given up")
	var both sync.WaitGroup
	both.Go(func() { e.abandon(givenUp) })
	returned := &amqp.Return{RoutingKey: "k", Body: []byte("body"), ReplyCode: amqp.NoRoute, Headers: amqp.Table{
		"b": []byte("header"), "t": amqp.Table{"l": []any{[]byte("header")}},
	}}
	both.Go(func() {
		if !w.took(returned) {
			t.Error("the return was not recognized")
		}
	})
	both.Wait()
	if !e.looksLike(returned) || !errors.Is(e.out.Err, givenUp) {
		t.Errorf("the message is %q, its result %v", e.pub.message.Body, e.out.Err)
	}
}
