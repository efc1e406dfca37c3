//go:build integration

package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error is %v, want %q in it", err, part)
		}
	}
}

func TestErrorsOfRecordsNameTheTopicAndTheLimit(t *testing.T) {
	brokers := realBrokers(t)
	small := freshTopic(t, brokers, 2, "max.message.bytes", "2000")
	compacted := freshTopic(t, brokers, 1, "cleanup.policy", "compact")
	for _, test := range []struct {
		name, sink, key, body string
		class                 flow.Class
		code                  flow.Code
		want                  []string
	}{
		{name: "a topic that is missing", sink: "topic: 'x-{{ key }}'", key: freshName(t), body: "1", class: flow.ConfigError, code: flow.CodeMissing, want: []string{`topic "x-`, "does not exist"}},
		{name: "too large", sink: "topic: " + small, body: strings.Repeat("x", 3000), class: flow.Permanent, code: flow.CodeTooLarge, want: []string{small, "3000 bytes", "max.message.bytes is 2000"}},
		{name: "too large for the topic of a template", sink: "topic: '" + small[:4] + "{{ key }}'", key: small[4:], body: strings.Repeat("x", 3000),
			class: flow.Permanent, code: flow.CodeTooLarge, want: []string{small, "max.message.bytes is 2000"}},
		{name: "no such partition", sink: "partition: 9, topic: " + small, body: "1", class: flow.Permanent, code: flow.CodeRefused, want: []string{"has no partition 9; it has 2"}},
		{name: "no key", sink: "topic: " + compacted, body: "1", class: flow.Permanent, code: flow.CodeRefused, want: []string{compacted, "compacted", "without a key"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], %s}", brokers, test.sink))
			r := flow.Record{Body: []byte(test.body)}
			if test.key != "" {
				r.Key = []byte(test.key)
			}
			o, err := prepare(p, "kafka", r)
			if err != nil {
				t.Fatal(err)
			}
			send(t, s, o)
			wantError(t, o.Err, test.class, test.code)
			wantText(t, o.Err, test.want...)
		})
	}
}

func TestARecordWithoutAKeyIsRefusedAlone(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1, "cleanup.policy", "compact")
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, topic))
	var outs []*flow.Outgoing
	for n := range 100 {
		r := flow.Record{Body: fmt.Append(nil, n), Key: fmt.Append(nil, "k", n)}
		if n == 50 {
			r.Key = nil
		}
		o, err := prepare(p, "kafka", r)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, o)
	}
	send(t, s, outs...)
	for n, o := range outs {
		if (o.Err != nil) != (n == 50) {
			t.Errorf("%d: %v", n, o.Err)
		}
	}
	if got := fetchCommitted(t, brokers, topic, 99); len(got) != 99 {
		t.Errorf("%d records are there, want 99", len(got))
	}
}

func TestASinkWritesToATopicThatIsMadeAgain(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, topic))
	write := func() error {
		outs, err := connectortest.Outgoings(p, "1")
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, outs...)
		if e := outs[0].Err; e != nil {
			wantError(t, e, flow.Transient, flow.CodeUnavailable)
			return e
		}
		return nil
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	makeAnew(t, brokers, topic, 1)
	err := write()
	for try := 0; err != nil && try < 20; try++ {
		err = write()
	}
	if err != nil {
		t.Error(err)
	}
	fetchAll(t, brokers, topic, 1)
}

func TestConnectSaysWhatTheBrokerWants(t *testing.T) {
	plain, login, secure := realBrokers(t), fromEnvironment(t, "MILLSTREAM_KAFKA_SASL"), fromEnvironment(t, "MILLSTREAM_KAFKA_TLS")
	ca := fmt.Sprintf("tls: {ca: %s/ca.pem}", fromEnvironment(t, "MILLSTREAM_TLS_DIR"))
	const user = "sasl: {mechanism: SCRAM-SHA-512, username: test, password: test}"
	topic := freshTopic(t, plain, 2)
	for _, test := range []struct {
		name, sink, want string
		class            flow.Class
		code             flow.Code
	}{
		{name: "SASL", sink: fmt.Sprintf("{brokers: [%q], topic: x}", login), want: "seems to want SASL", class: flow.Transient, code: flow.CodeAuth},
		{name: "no TLS", sink: fmt.Sprintf("{brokers: [%q], topic: x, %s}", plain, ca), want: "seems to want no TLS", class: flow.Transient, code: flow.CodeAuth},
		{name: "TLS", sink: fmt.Sprintf("{brokers: [%q], topic: x}", secure), want: "wants TLS", class: flow.ConfigError, code: flow.CodeAuth},
		{name: "no SASL", sink: fmt.Sprintf("{brokers: [%q], topic: x, %s}", plain, user), want: "takes no SASL", class: flow.ConfigError, code: flow.CodeAuth},
		{name: "fewer partitions", sink: fmt.Sprintf("{brokers: [%q], topic: %s, partition: 2}", plain, topic), want: "has no partition 2; it has 2",
			class: flow.ConfigError, code: flow.CodeRefused},
		{name: "settings of a new topic", sink: fmt.Sprintf("{brokers: [%q], topic: %s, create: {replication: 3}}", plain, freshName(t)), want: "create topic",
			class: flow.ConfigError, code: flow.CodeRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := connectSink(t, test.sink)
			wantError(t, err, test.class, test.code)
			wantText(t, err, test.want)
		})
	}
}
