package amqp

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// known is what sources with these URLs know of lost consumers.
func known(t *testing.T, host flow.Host, urls ...string) nodes {
	t.Helper()
	d := dialer{}
	for _, u := range urls {
		d.urls = append(d.urls, config.NewSecret(u))
	}
	n, release, err := d.nodes(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestALostConsumerIsKnownToEveryListOfURLsThatNamesOneOfItsNodes(t *testing.T) {
	for name, test := range map[string]struct {
		urls []string
		want bool
	}{
		"the same":          {[]string{"amqp://u:p@one/v", "amqp://u:p@two/v"}, true},
		"one more":          {[]string{"amqp://u:p@one/v", "amqp://u:p@two/v", "amqp://u:p@three/v"}, true},
		"one less":          {[]string{"amqp://u:p@two/v"}, true},
		"the other is new":  {[]string{"amqp://u:p@two/v", "amqp://u:p@three/v"}, true},
		"another heartbeat": {[]string{"amqp://u:p@one/v?heartbeat=5"}, true},
		"another user":      {[]string{"amqp://me:secret@ONE:5672/v"}, true},
		"another vhost":     {[]string{"amqp://u:p@one/w"}, false},
		"another port":      {[]string{"amqp://u:p@one:5673/v"}, false},
		"other nodes":       {[]string{"amqp://u:p@three/v"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			host := connectortest.NewHost(t)
			old, fresh := known(t, host, "amqp://u:p@one/v", "amqp://u:p@two/v"), known(t, host, test.urls...)
			old.haunt("orders", ghost{others: 1, until: time.Now().Add(time.Hour)})
			if wait, _ := fresh.haunted("orders", 2); wait != test.want {
				t.Errorf("it waits: %t", wait)
			}
			if wait, _ := fresh.haunted("invoices", 2); wait {
				t.Error("it waits for a consumer of another queue")
			}
		})
	}
}

func TestAGhostIsWaitedForUntilItIsGoneOrItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := known(t, connectortest.NewHost(t), "amqp://one/", "amqp://two/")
		expect := func(consumers int, wait bool, others int) {
			t.Helper()
			w, o := n.haunted("orders", consumers)
			if w != wait || !wait && o != others {
				t.Errorf("with %d consumers: %t, %d others", consumers, w, o)
			}
		}
		expect(3, false, 3)
		n.haunt("orders", ghost{others: 1, until: time.Now().Add(time.Minute)})
		n.haunt("orders", ghost{others: 2, until: time.Now().Add(time.Second)})
		time.Sleep(30 * time.Second)
		expect(2, true, 0)
		expect(1, false, 1)
		expect(5, false, 5) // nothing is left to wait for
		n.haunt("orders", ghost{others: 1, until: time.Now().Add(time.Minute)})
		time.Sleep(time.Minute)
		expect(2, false, 1)
	})
}

func TestABrokerThatStoodStillIsGivenTimeToGiveUpAConsumer(t *testing.T) {
	for _, goodbye := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := nodes{{ghosts: map[string]ghost{}}}
			n.haunt("orders", ghost{until: time.Now().Add(5 * time.Second), goodbye: goodbye})
			time.Sleep(time.Minute)
			n.stillHaunted("orders", time.Now().Add(5*time.Second))
			time.Sleep(4 * time.Second)
			if wait, _ := n.haunted("orders", 1); wait == goodbye {
				t.Errorf("with a goodbye %t it is waited for: %t", goodbye, wait)
			}
			time.Sleep(2 * time.Second)
			if wait, _ := n.haunted("orders", 1); wait {
				t.Error("it is waited for without an end")
			}
		})
	}
}
