//go:build integration

package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestTheStockDriverSaysWhatItIsRefused(t *testing.T) {
	brokers, loggedIn, tls := realBrokers(t), fromEnvironment(t, "MILLSTREAM_KAFKA_SASL"), fromEnvironment(t, "MILLSTREAM_KAFKA_TLS")
	topic := freshTopic(t, brokers, 1)
	wrong := "sasl: {mechanism: PLAIN, username: test, password: wrong}"
	for _, test := range []struct {
		name, broker, topic, options string
		code                         flow.Code
	}{
		{"a topic that is missing", brokers, "no-such-topic", "", flow.CodeMissing},
		{"a wrong password", loggedIn, topic, wrong, flow.CodeAuth},
		{"a certificate of an unknown authority", tls, topic, "tls: {}", flow.CodeAuth},
	} {
		t.Run(test.name, func(t *testing.T) {
			common := fmt.Sprintf("brokers: [%q], driver: watermill, %s", test.broker, test.options)
			_, err := openSource(t, connectortest.NewHost(t), fmt.Sprintf("{topics: [%s], group: g, %s}", test.topic, common))
			wantError(t, err, flow.ConfigError, test.code)
			_, _, err = openSink(t, connectortest.NewHost(t), fmt.Sprintf("{topic: %s, %s}", test.topic, common))
			wantError(t, err, flow.ConfigError, test.code)
		})
	}
}

func TestTheStockDriverSaysWhatItIsNotPermitted(t *testing.T) {
	plain, _ := ownBroker(t, "kafka-stock-acl", 4600)
	secure := fmt.Sprintf("127.0.0.1:%d", 21094+4600)
	const user = "driver: watermill, sasl: {mechanism: PLAIN, username: test, password: test}"
	open, unread, unwritten := freshTopic(t, plain, 1), freshTopic(t, plain, 1), freshTopic(t, plain, 1)
	deny(t, plain, kmsg.ACLResourceTypeTopic, unread, "test", kmsg.ACLOperationRead)
	deny(t, plain, kmsg.ACLResourceTypeTopic, unwritten, "test", kmsg.ACLOperationWrite)
	deny(t, plain, kmsg.ACLResourceTypeGroup, "half", "test", kmsg.ACLOperationRead)
	deny(t, plain, kmsg.ACLResourceTypeGroup, "closed", "test", kmsg.ACLOperationAll)
	sourceText := func(topic, group string) string {
		return fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s, %s}", secure, topic, group, user)
	}
	host := connectortest.NewHost(t)
	t.Run("to see a group", func(t *testing.T) {
		_, err := openSource(t, host, sourceText(open, "closed"))
		wantError(t, err, flow.ConfigError, flow.CodeAuth)
	})
	for name, text := range map[string]string{"to join a group": sourceText(open, "half"), "to read": sourceText(unread, "free")} {
		t.Run(name, func(t *testing.T) {
			run := start(t, mustSource(t, host, text), newIntake())
			select {
			case err := <-run.ended:
				wantError(t, err, flow.ConfigError, flow.CodeAuth)
			case <-time.After(patience):
				t.Error("the source goes on as if nothing was wrong")
			}
			run.stop()
			run.close(t)
		})
	}
	t.Run("to write", func(t *testing.T) {
		s, p := mustSink(t, host, fmt.Sprintf("{brokers: [%q], topic: %s, %s}", secure, unwritten, user))
		outs, err := connectortest.Outgoings(p, "1", "2")
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, outs...)
		for _, o := range outs {
			wantError(t, o.Err, flow.ConfigError, flow.CodeAuth)
		}
	})
}

// A message that cannot pass is refused for good and holds up no other one; a payload that the broker refuses is not tried for ever.
func TestTheStockDriverRefusesWhatIsTooLargeForTheTopicOnce(t *testing.T) {
	brokers := realBrokers(t)
	topic := freshTopic(t, brokers, 1, "max.message.bytes", "1000")
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s, driver: watermill}", brokers, topic))
	outs, err := connectortest.Outgoings(p, "1", string(make([]byte, 5000)), "2")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	wantError(t, outs[1].Err, flow.Permanent, flow.CodeTooLarge)
	if outs[0].Err != nil || outs[2].Err != nil {
		t.Errorf("the others failed too: %v, %v", outs[0].Err, outs[2].Err)
	}
	if got := fetchAll(t, brokers, topic, 2); string(got[0].Value) != "1" || string(got[1].Value) != "2" {
		t.Errorf("the topic has %q and %q", got[0].Value, got[1].Value)
	}
}
