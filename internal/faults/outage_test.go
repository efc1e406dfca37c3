//go:build integration

package faults

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// portOffset is that of the brokers which these tests kill; no other test uses it.
const portOffset = "4900"

// mortal starts brokers of its own, which may be killed, and returns what addresses routes by them.
func mortal(t *testing.T) (w Where, script, instance string) {
	t.Helper()
	where(t, "kafka-rabbitmq") // skips where brokers are not wanted
	script, instance = "../../scripts/brokers", "faults"
	do := func(args ...string) string {
		out, err := exec.Command(script, append(args, "--instance", instance)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", script, args, err, out)
		}
		return string(out)
	}
	do("start", "--port-offset", portOffset)
	t.Cleanup(func() { do("purge") })
	for line := range strings.Lines(do("env")) {
		if m := regexp.MustCompile(`^export (MILLSTREAM_KAFKA|MILLSTREAM_RABBITMQ)=(.*)\n`).FindStringSubmatch(line); m != nil {
			if m[1] == "MILLSTREAM_KAFKA" {
				w.Kafka = m[2]
			} else {
				w.Rabbit = m[2]
			}
		}
	}
	return w, script, instance
}

func TestABrokerThatGoesAwayLosesNothing(t *testing.T) {
	w, script, instance := mortal(t)
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), kills(t)
	t.Logf("seed %d, %d outages each; MILLSTREAM_SEED and MILLSTREAM_KILLS set them", s, n)
	for _, route := range []string{"kafka-rabbitmq", "rabbitmq-kafka"} {
		for _, name := range []string{Kafka, Rabbit} {
			for _, event := range []string{EventKill, EventFreeze} {
				t.Run(route+"/"+event+" "+name, func(t *testing.T) {
					w := w
					w.Proxied = true
					r := rig(t, Setup{Binary: binary, Route: route, Seed: s, Where: w})
					r.Rate, r.Patience = 800, 60*time.Second
					o := &Outage{Rig: r, Broker: &Broker{Script: script, Instance: instance, Name: name}, Event: event, N: 1, Span: 2 * time.Second}
					if event == EventKill {
						o.N = (n + 1) / 2
					}
					v, err := o.Execute(t.Context())
					judge(t, &v, r.Bound(o.N), err)
				})
			}
		}
	}
}

func TestABadNetworkLosesNothing(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := seed(t)
	t.Logf("seed %d; MILLSTREAM_SEED sets it", s)
	events := NetEvents()
	for _, route := range []string{"kafka-rabbitmq", "rabbitmq-kafka"} {
		for _, name := range []string{Kafka, Rabbit} {
			t.Run(route+"/"+name, func(t *testing.T) {
				w := where(t, route)
				w.Proxied = true
				r := rig(t, Setup{Binary: binary, Route: route, Seed: s, Where: w})
				r.Rate = 800
				v, err := (&Weather{Rig: r, Broker: name, Events: events, N: 2 * kills(t)}).Execute()
				judge(t, &v, r.Bound(2*kills(t)), err)
			})
		}
	}
}

func TestAGroupWhoseMembersComeAndGoLosesNothing(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, n := seed(t), 3*kills(t)
	t.Logf("seed %d, %d changes; MILLSTREAM_SEED and MILLSTREAM_KILLS set them", s, n)
	for _, balance := range []string{"cooperative", "eager"} {
		t.Run(balance, func(t *testing.T) {
			w := where(t, "kafka-kafka")
			w.Balance, w.Partitions, w.Session = balance, 12, "3s"
			r := rig(t, Setup{Binary: binary, Route: "kafka-kafka", Seed: s, Where: w})
			v, err := (&Group{Rig: r, Members: 3, Changes: n, Every: 1500 * time.Millisecond}).Execute()
			judge(t, &v, r.Bound(v.Kills), err)
		})
	}
}
