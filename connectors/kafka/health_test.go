package kafka

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestTheTroubleIsWhatWasMetLastSinceTheFirstThatIsNotOver(t *testing.T) {
	d := newDiary()
	answer := func() { d.OnBrokerRead(kgo.BrokerMetadata{Host: "h", Port: 1}, 3, 0, 0, 0, nil) }
	want := func(age time.Duration, text string) {
		t.Helper()
		since, err := d.worst()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != text || err != nil && d.now().Sub(since) != age {
			t.Errorf("at %s the trouble is %q for %s, want %q for %s", d.at, got, d.now().Sub(since), text, age)
		}
	}
	want(0, "")
	d.Log(kgo.LogLevelWarn, "cannot connect", "addr", "h:1", "err", errors.New("refused"))
	d.at += time.Second
	d.warn(reading(""), "fetch failed", "error", errors.New("no coordinator"))
	want(time.Second, "fetch failed: no coordinator")
	d.at += time.Second
	answer()
	want(0, "") // neither was said by a broker
	d.warn(committing, "commit failed", "error", kerr.GroupAuthorizationFailed)
	d.at += time.Second
	answer()
	want(time.Second, "commit failed: "+kerr.GroupAuthorizationFailed.Error()) // a broker that answers does not take that back
	d.over("it works again", committing)
	want(0, "")
	d.warn(reading("t"), "fetch failed", "error", kerr.NotLeaderForPartition)
	d.at += believedReading
	want(believedReading, "fetch failed: "+kerr.NotLeaderForPartition.Error())
	d.at++
	want(0, "") // a read that still failed would have been met again
	said := d.out.Len()
	d.OnBrokerRead(kgo.BrokerMetadata{Host: "h", Port: 1}, 3, 0, 0, 0, os.ErrDeadlineExceeded)
	d.at += time.Second
	want(time.Second, "the broker does not answer: "+os.ErrDeadlineExceeded.Error())
	answer()
	want(0, "")
	if d.out.Len() != said {
		t.Errorf("silence that ends is spoken of:\n%s", d.out.String())
	}
	d.Log(kgo.LogLevelWarn, "something without an error", "addr", "h:1")
	want(0, "")
}

func TestASinkThatNobodySendsToKnowsThatItsBrokerIsGoneAndThatItIsBack(t *testing.T) {
	cluster := func(opts ...kfake.Opt) *kfake.Cluster {
		t.Helper()
		c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := cluster()
	address := c.ListenAddrs()[0]
	s, _ := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: t}", address))
	troubled, ok := s.(flow.Troubled)
	if !ok {
		t.Fatal("it tells of no trouble")
	}
	eventually := func(what string, is func(err error) bool) {
		t.Helper()
		for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			_, err := troubled.Trouble()
			if is(err) {
				return
			}
			if time.Now().After(late) {
				t.Fatalf("not %s: %v", what, err)
			}
		}
	}
	eventually("well", func(err error) bool { return err == nil })
	c.Close()
	eventually("in trouble", func(err error) bool { return err != nil })
	_, text, _ := net.SplitHostPort(address)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	c = cluster(kfake.Ports(port))
	defer c.Close()
	eventually("well again", func(err error) bool { return err == nil })
}
