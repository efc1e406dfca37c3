//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/millstream/millstream/engine"
)

// mortal starts brokers that this test alone uses, and may kill, and gives their addresses.
func mortal(t *testing.T) (rabbitmq, kafka string, control func(args ...string) string) {
	t.Helper()
	broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq")
	broker(t, "MILLSTREAM_KAFKA", "kafka")
	control = func(args ...string) string {
		t.Helper()
		out, err := exec.Command("../../scripts/brokers", append(args, "--instance", "degraded")...).CombinedOutput()
		if err != nil {
			t.Fatalf("brokers %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { control("purge") })
	control("start", "--port-offset", "4500")
	address := func(name string) string {
		return regexp.MustCompile(`(?m)^export ` + name + `=(.*)$`).FindStringSubmatch(control("env"))[1]
	}
	return address("MILLSTREAM_RABBITMQ"), address("MILLSTREAM_KAFKA"), control
}

// fourRoles have each broker as a source, as a sink that is sent to, and as one that nobody sends to.
var fourRoles = map[string]string{
	"from-kafka": "from: { kafka: { brokers: [KAFKA], topics: [t], group: g, start: latest } }\nto: { file: { path: a.ndjson } }\n",
	"to-kafka":   "from: { generate: { body: '{\"n\": n}', rate: 20/s } }\nto: { kafka: { brokers: [KAFKA], topic: t, create: { partitions: 1 } } }\n",
	"from-rabbit": "from: { amqp: { url: RABBIT, queue: q, declare: { type: classic } } }\n" +
		"to: { kafka: { brokers: [KAFKA], topic: idle, create: { partitions: 1 } } }\n",
	"to-rabbit": "from: { generate: { body: '{\"n\": n}', rate: 20/s } }\n" +
		"to: { amqp: { url: RABBIT, exchange: amq.topic, routing_key: r, mandatory: false } }\n",
}

func TestALostBrokerShowsInStatusAndReadyzAndIsForgottenWhenItIsBack(t *testing.T) {
	rabbitmq, kafka, control := mortal(t)
	dir := t.TempDir()
	for name, text := range fourRoles {
		text = strings.NewReplacer("KAFKA", fmt.Sprintf("%q", kafka), "RABBIT", fmt.Sprintf("%q", rabbitmq)).Replace(text)
		write(t, filepath.Join(dir, "p", name+".yaml"), "name: "+name+"\n"+text)
	}
	admin := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := launchIn(t, dir, "run", "p", "--admin", admin, "--start-timeout", "60s")
	degraded := func() string {
		var all []string
		for _, p := range s.status().Pipelines {
			for _, trouble := range p.Troubles {
				if p.State == engine.Degraded && !trouble.Since.IsZero() && trouble.Message != "" {
					all = append(all, p.Name+" "+trouble.Kind)
				}
			}
			for _, l := range p.Lag {
				if fromBroker := strings.HasPrefix(p.Name, "from-"); fromBroker && l.Lag == nil {
					all = append(all, p.Name+" lag")
				}
			}
		}
		return strings.Join(all, ", ")
	}
	readyz := func() (ready bool, names string) {
		t.Helper()
		response, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		var said struct {
			Ready    bool     `json:"ready"`
			Degraded []string `json:"degraded"`
		}
		if err := json.Unmarshal(body, &said); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s %v", response.StatusCode, body, err)
		}
		for _, d := range said.Degraded {
			name, _, _ := strings.Cut(d, ":")
			names += name + " "
		}
		return said.Ready, names
	}
	well := func() {
		t.Helper()
		eventually(t, "all is well", func() bool {
			code, out := s.in("status")
			return code == exitFine && degraded() == "" && strings.Count(out, "  running  ") == len(fourRoles)
		})
	}
	well()
	for _, c := range []struct{ kill, want, ready, says string }{
		{"kafka", "from-kafka source, from-kafka lag, from-rabbit sink, to-kafka sink", "from-kafka from-rabbit to-kafka ", "from-kafka: source from does not get through since "},
		{"rabbitmq", "from-rabbit source, from-rabbit lag, to-rabbit sink", "from-rabbit to-rabbit ", "to-rabbit: sink to does not get through since "},
	} {
		control("kill", c.kill)
		eventually(t, "status says that "+c.kill+" is gone", func() bool { return degraded() == c.want })
		code, out := s.in("status")
		if code != exitFailed || !strings.Contains(out, c.says) || !regexp.MustCompile(`(?m)^from-\w+ +degraded .* - +p/from`).MatchString(out) {
			t.Errorf("status ends with %d and says\n%s", code, out)
		}
		if strings.Contains(out, "test:test@") {
			t.Errorf("status tells the password:\n%s", out)
		}
		if code, out := s.in("status", "--ready"); code != exitFine {
			t.Errorf("status --ready ends with %d and says\n%s", code, out)
		}
		if ready, names := readyz(); !ready || names != c.ready {
			t.Errorf("readyz says %v and names %q", ready, names)
		}
		control("start", c.kill)
		well()
		if ready, names := readyz(); !ready || names != "" {
			t.Errorf("readyz says %v and names %q", ready, names)
		}
	}
	if code := s.stopped(); code != exitFine {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
}
