//go:build integration

package main

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// TestTheOptionalSinkExampleArchivesAllAndShowsSome sends what the dashboard cannot use, too.
func TestTheOptionalSinkExampleArchivesAllAndShowsSome(t *testing.T) {
	address := broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq")
	connection, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue, err := channel.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind(queue.Name, "dashboard", "amq.topic", false, nil); err != nil {
		t.Fatal(err)
	}
	archived := []string{`a={"id":1,"customer":"b"}`, `a={"id":2,"customer":"a"}`, `a=<order/>`, `a={"id":3,"customer":"b"}`}
	overKafka{
		example: "optional-sink", from: "orders", send: archived, want: map[string][]string{"orders.archive": archived},
	}.runs(t, "RABBITMQ="+address)
	var shown []string
	eventually(t, "the dashboard has the orders of b", func() bool {
		if d, ok, err := channel.Get(queue.Name, true); err == nil && ok {
			shown = append(shown, string(d.Body))
		}
		return len(shown) == 2
	})
	if d := cmp.Diff([]string{`{"id":1,"customer":"b"}`, `{"id":3,"customer":"b"}`}, shown); d != "" {
		t.Errorf("the dashboard shows (-want +got):\n%s", d)
	}
}

func TestAnOptionalSinkWithAWrongPasswordIsAnErrorInTheLogAndHoldsNothingUp(t *testing.T) {
	address, err := url.Parse(broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq"))
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(address.User.Username(), "wrong")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "p.yaml"), "name: p\nfrom: { generate: { body: '{\"n\": n}', count: 3 } }\nto:\n  - { file: { path: p.ndjson } }\n"+
		"  - { optional: true, amqp: { url: \""+address.String()+"\", exchange: amq.topic, routing_key: r } }\n")
	s := launchIn(t, dir, "run", "p.yaml")
	if code := s.exitCode(); code != exitFine {
		t.Errorf("exit code %d", code)
	}
	if n := len(s.lines("p")); n != 3 {
		t.Errorf("%d lines arrived", n)
	}
	log := s.stderr.String()
	for _, words := range []string{"level=ERROR msg=\"an optional sink cannot be opened", "class=config code=auth", "refuses the user or the password", "3 dropped because it is optional"} {
		if strings.Count(log, words) != 1 {
			t.Errorf("the log has %q %d times:\n%s", words, strings.Count(log, words), log)
		}
	}
	if strings.Contains(log, "wrong") {
		t.Errorf("the password is in the log:\n%s", log)
	}
}
