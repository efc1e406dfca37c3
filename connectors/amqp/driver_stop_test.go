//go:build integration

package amqp

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestAStopOfTheStockDriverRepeatsNothing(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	const total, rounds = 3000, 30
	publish(t, ch, queue, numbered(0, total)...)
	c := &collector{seen: map[string]int{}, lanes: map[*flow.Lane]bool{}}
	reaches := func(n int) {
		t.Helper()
		for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			c.mu.Lock()
			got := len(c.seen)
			c.mu.Unlock()
			if got >= n {
				return
			}
			if time.Now().After(late) {
				t.Fatalf("%d of %d have arrived", got, n)
			}
		}
	}
	for round := range rounds {
		c.source = mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, driver: watermill}", url, queue))
		run := start(t, c.source, c)
		reaches((round + 1) * total / rounds)
		run.close(t)
	}
	for _, v := range values(0, total) {
		if c.seen[v] != 1 {
			t.Errorf("%s has come %d times", v, c.seen[v])
		}
	}
	waitForReady(t, ch, queue, 0)
}

func TestTheStockDriverSaysWhatItIsRefused(t *testing.T) {
	url := brokerURL(t)
	wrong := strings.Replace(url, ":test@", ":canary-secret@", 1)
	secure, _ := secureURL(t)
	for _, test := range []struct {
		name, url, more string
		code            flow.Code
	}{
		{"a queue or an exchange that is missing", url, "", flow.CodeMissing},
		{"a wrong password", wrong, "", flow.CodeAuth},
		{"a certificate of an unknown authority", secure, ", tls: {}", flow.CodeAuth},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := openSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: not-there, driver: watermill%s}", test.url, test.more))
			wantError(t, err, flow.ConfigError, test.code)
			if strings.Contains(err.Error(), "canary-secret") {
				t.Errorf("the password is shown: %v", err)
			}
			_, _, err = openSink(t, connectortest.NewHost(t),
				fmt.Sprintf("{url: %q, exchange: not-there, mandatory: false, driver: watermill%s}", test.url, test.more))
			wantError(t, err, flow.ConfigError, test.code)
		})
	}
}

// What the broker does not confirm is not delivered: a queue that is full and says so, and an exchange that is gone.
func TestTheStockDriverCountsNothingAsDeliveredThatTheBrokerHasNotTaken(t *testing.T) {
	url := brokerURL(t)
	t.Run("a full queue", func(t *testing.T) {
		queue, ch := freshQueue(t, url, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
		s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s, mandatory: false, driver: watermill}", url, queue))
		outs, err := prepareBodies(p, "1", "2", "3")
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, outs...)
		if outs[0].Err != nil {
			t.Error(outs[0].Err)
		}
		for _, o := range outs[1:] {
			wantError(t, flow.AsError(o.Err, flow.Transient, flow.CodeUnavailable), flow.Transient, flow.CodeUnavailable)
		}
		get(t, ch, queue, 1)
		send(t, s, outs[1])
		if outs[1].Err != nil {
			t.Errorf("there is room again: %v", outs[1].Err)
		}
	})
	t.Run("an exchange that is deleted", func(t *testing.T) {
		_, ch := freshQueue(t, url, nil)
		exchange := freshExchange(t, ch, "fanout")
		s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, exchange: %s, mandatory: false, driver: watermill}", url, exchange))
		outs, err := prepareBodies(p, "1", "2", "3")
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, outs[0])
		if outs[0].Err != nil {
			t.Fatal(outs[0].Err)
		}
		if err := ch.ExchangeDelete(exchange, false, false); err != nil {
			t.Fatal(err)
		}
		send(t, s, outs[1])
		if outs[1].Err == nil {
			t.Error("the first message after that counts as delivered")
		}
		send(t, s, outs[2])
		wantError(t, outs[2].Err, flow.ConfigError, flow.CodeMissing)
	})
}

// The module tells nobody why a message was not confirmed, so that a missing permission to write counts as an outage.
func TestTheStockDriverHasNoPermission(t *testing.T) {
	url := brokerURL(t)
	user := freshName(t)[:20]
	admin(t, http.MethodPut, "/api/users/"+user, `{"password":"pw","tags":""}`)
	admin(t, http.MethodPut, "/api/permissions/%2F/"+user, `{"configure":".*","write":"","read":""}`)
	t.Cleanup(func() { admin(t, http.MethodDelete, "/api/users/"+user, "") })
	queue, ch := freshQueue(t, url, nil)
	may := strings.Replace(url, "test:test@", user+":pw@", 1)
	t.Run("to read", func(t *testing.T) {
		s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, driver: watermill}", may, queue))
		wantError(t, s.Run(t.Context(), newIntake()), flow.ConfigError, flow.CodeAuth)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("to write", func(t *testing.T) {
		s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s, mandatory: false, driver: watermill}", may, queue))
		outs, err := prepareBodies(p, "1")
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, outs...)
		wantError(t, flow.AsError(outs[0].Err, flow.Transient, flow.CodeUnavailable), flow.Transient, flow.CodeUnavailable)
		waitForReady(t, ch, queue, 0)
	})
}
