//go:build integration

package amqp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// connectWith tries the connection of a source, or of a sink.
func connectWith(t *testing.T, side, text string) error {
	t.Helper()
	var connect func(context.Context, flow.Host) error
	source, sink := &Source{}, &Sink{}
	cfg, build := any(source), func(b *config.Builder) { connect = source.BuildSource(b).Connect }
	if side == "sink" {
		cfg, build = sink, func(b *config.Builder) { connect = sink.BuildSink(b).Connect }
	}
	_, findings := connectortest.Build(t, text, cfg, build)
	noFindings(t, findings)
	return connect(t.Context(), connectortest.NewHost(t))
}

func TestConnectFindsWhatRunWouldFailWith(t *testing.T) {
	url := brokerURL(t)
	quorum, _ := freshQueue(t, url, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	classic, ch := freshQueue(t, url, nil)
	exchange := freshExchange(t, ch, "topic")
	free := freshName(t)
	own, err := plainChannel(t, url).QueueDeclare("", false, false, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, side, text string
		code             flow.Code // "" is none
		says             string
	}{
		{"the only queue of the default exchange is missing", "sink", "routing_key: " + free, flow.CodeMissing, free},
		{"it is missing with an empty exchange", "sink", `exchange: "", routing_key: ` + free, flow.CodeMissing, free},
		{"nobody minds", "sink", "mandatory: false, routing_key: " + free, "", ""},
		{"messages say which queue", "sink", `routing_key: "x.{{ body.x }}"`, "", ""},
		{"the queue is there", "sink", "routing_key: " + quorum, "", ""},
		{"the queue is exclusive: others may write to it", "sink", "routing_key: " + own.Name, "", ""},
		{"the queue is exclusive: others may not read from it", "source", "queue: " + own.Name, flow.CodeRefused, "exclusive can be used by the connection alone"},
		{"a binding to a missing exchange", "source", fmt.Sprintf("queue: %s, declare: {bindings: [{exchange: %s}]}", free, free), flow.CodeMissing, free},
		{"a binding to an exchange", "source", fmt.Sprintf("queue: %s, declare: {bindings: [{exchange: %s}]}", free, exchange), "", ""},
		{"a quorum queue as a classic one", "source", fmt.Sprintf("queue: %s, declare: {type: classic}", quorum), flow.CodeRefused, "406"},
		{"a classic queue as a quorum queue", "source", fmt.Sprintf("queue: %s, declare: {type: quorum}", classic), flow.CodeRefused, "406"},
		{"a quorum queue as it is", "source", fmt.Sprintf("queue: %s, declare: {type: quorum}", quorum), "", ""},
		{"other arguments", "source", fmt.Sprintf("queue: %s, declare: {arguments: {x-max-length: 3}}", classic), flow.CodeRefused, "406"},
		{"an exchange of another type", "sink", fmt.Sprintf("exchange: %s, declare: {type: fanout}", exchange), flow.CodeRefused, "406"},
		{"an exchange as it is", "sink", fmt.Sprintf("exchange: %s, declare: {type: topic}", exchange), "", ""},
		{"an exchange that is to be made", "sink", fmt.Sprintf("exchange: %s, declare: {type: topic}", free), "", ""},
		{"a queue that is to be made", "source", fmt.Sprintf("queue: %s, declare: {}", free), "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := connectWith(t, test.side, fmt.Sprintf("{url: %q, %s}", url, test.text))
			if test.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, flow.ConfigError, test.code)
			if !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("it says: %v", err)
			}
		})
	}
	if err := passively(plainChannel(t, url), free); err == nil {
		t.Errorf("queue %s was made", free)
	}
	if err := plainChannel(t, url).ExchangeDeclarePassive(free, "topic", true, false, false, false, nil); err == nil {
		t.Errorf("exchange %s was made", free)
	}
}

func TestTheWrongPortForTLSIsNamed(t *testing.T) {
	secure, _ := secureURL(t)
	plain := brokerURL(t)
	tests := []struct{ name, url, says string }{
		{"plain to a port of TLS", "amqp" + strings.TrimPrefix(secure, "amqps"), "seems to speak TLS: write amqps://"},
		{"TLS to a plain port", "amqps" + strings.TrimPrefix(plain, "amqp"), "does not speak TLS: write amqp://"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := openSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: q}", test.url))
			wantError(t, err, flow.ConfigError, flow.CodeRefused)
			if !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("it says: %v", err)
			}
		})
	}
}

func TestTheLogSaysThatTheBrokerClosedTheChannelAndWhy(t *testing.T) {
	url := brokerURL(t)
	exchange := freshExchange(t, plainChannel(t, url), "topic")
	var log lockedBuffer
	host := connectortest.NewHost(t)
	host.Log = slog.New(slog.NewTextHandler(&log, nil))
	s, p := mustSink(t, host, fmt.Sprintf("{url: %q, exchange: %s, mandatory: false}", url, exchange))
	if err := plainChannel(t, url).ExchangeDelete(exchange, false, false); err != nil {
		t.Fatal(err)
	}
	outs, err := prepareBodies(p, "1")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	wantError(t, outs[0].Err, flow.ConfigError, flow.CodeMissing)
	first := waitForLine(t, &log)
	if !strings.Contains(first, "the broker has closed the channel; it is opened again") || !strings.Contains(first, "404") ||
		!strings.Contains(first, exchange) || strings.Contains(log.String(), "the connection is lost") {
		t.Errorf("the log says:\n%s", log.String())
	}
}

func TestTheLogSaysThatTheBrokerEndedTheConsumerOfADeletedQueue(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	publish(t, ch, queue, numbered(0, 1)...)
	var log lockedBuffer
	host := connectortest.NewHost(t)
	host.Log = slog.New(slog.NewTextHandler(&log, nil))
	in := newIntake()
	run := start(t, mustSource(t, host, fmt.Sprintf("{url: %q, queue: %s}", url, queue)), in)
	in.waitFor(t, 1)
	if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	first := waitForLine(t, &log)
	if !strings.Contains(first, "the broker has ended the consumer") || !strings.Contains(first, "queue was deleted") {
		t.Errorf("the log says:\n%s", log.String())
	}
	run.close(t)
}

func TestAFullQueueIsNamedWithItsLikelyCause(t *testing.T) {
	url := brokerURL(t)
	queue, _ := freshQueue(t, url, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: %s}", url, queue))
	var refused error
	for i := 0; refused == nil && i < 100; i++ {
		outs, err := prepareBodies(p, "x")
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, outs...)
		refused = outs[0].Err
	}
	wantError(t, refused, flow.Transient, flow.CodeUnavailable)
	for _, part := range []string{queue, "max-length", "reject-publish"} {
		if !strings.Contains(fmt.Sprint(refused), part) {
			t.Errorf("it does not name %s: %v", part, refused)
		}
	}
}

// waitForLine waits for the first line of a log.
func waitForLine(t *testing.T, log *lockedBuffer) string {
	t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		if line, _, ok := strings.Cut(log.String(), "\n"); ok {
			return line
		}
	}
	t.Fatal("the log says nothing")
	return ""
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
