package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millstream/millstream/engine"
)

// besideClosedPorts has two optional sinks beside one that is waited for.
const besideClosedPorts = `name: p
from: { generate: { body: '{"n": n}', rate: 200/s } }
steps:
  - transform: { body.v: VERSION }
to:
  - { file: { path: p.ndjson } }
  - { optional: true, amqp: { url: "amqp://someone:hush@127.0.0.1:%d/", exchange: x, routing_key: r } }
  - { optional: true, kafka: { brokers: ["127.0.0.1:%d"], topic: t } }
`

func TestRunDoesNotWaitForOptionalSinksWhosePortsAreClosed(t *testing.T) {
	rabbitmq, kafka := freePort(t), freePort(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	version := func(v string) {
		t.Helper()
		write(t, file, strings.Replace(fmt.Sprintf(besideClosedPorts, rabbitmq, kafka), "VERSION", v, 1))
	}
	sinks := func(s *started) (out []engine.SinkCount) {
		t.Helper()
		for _, p := range s.status().Pipelines {
			out = append(out, p.Sinks...)
		}
		return out
	}
	version("1")
	s := launchIn(t, dir, "run", "p.yaml")
	eventually(t, "it runs", func() bool { return len(s.lines("p")) > 0 })
	eventually(t, "messages are delivered, and those that no queue takes dropped", func() bool {
		n := sinks(s)
		return len(n) == 3 && n[0].Delivered > 1100 && n[1].Dropped > 0 && n[2].Dropped > 0
	})
	if n := sinks(s); n[0].NotOpen != "" || !strings.Contains(n[1].NotOpen, "no broker answers") || n[2].NotOpen == "" {
		t.Errorf("status says %+v", n)
	}
	status := s.status()
	if !status.Ready || status.Pipelines[0].State != engine.Degraded {
		t.Errorf("ready %v, state %s", status.Ready, status.Pipelines[0].State)
	}
	if _, out := s.in("status"); !strings.Contains(out, "p: the optional sink to.2 is not open: no broker answers") {
		t.Errorf("status says\n%s", out)
	}
	version("2")
	if code, out := s.in("reload"); code != exitFine {
		t.Errorf("reload ends with %d and says\n%s", code, out)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(kafka), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "the sink whose broker has come is open, and gets messages", func() bool {
		n := sinks(s)
		return n[2].NotOpen == "" && n[2].Delivered > 1024 && n[1].NotOpen != ""
	})
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d", code)
	}
	log := s.stderr.String()
	if strings.Count(log, "an optional sink cannot be opened") < 2 || strings.Contains(log, "hush") || !strings.Contains(log, "the optional sink is open now") {
		t.Errorf("the log says\n%s", log)
	}
}

func TestTheOptionalSinkExampleArchivesAllWhileRabbitMQIsDown(t *testing.T) {
	orders := []string{`a={"id":1,"customer":"b"}`, `a={"id":2,"customer":"a"}`, `a=<order/>`}
	overKafka{
		example: "optional-sink", from: "orders", send: orders, want: map[string][]string{"orders.archive": orders},
	}.runs(t, fmt.Sprintf("RABBITMQ=amqp://guest:guest@127.0.0.1:%d/", freePort(t)))
}
