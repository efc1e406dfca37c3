package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
)

// seed makes the events the same in every run.
const seed = 7

var (
	kinds = []string{"telemetry", "telemetry", "telemetry", "alert", "heartbeat"}
	tags  = []string{
		"fleet-a", "fleet-b", "diesel", "electric", "truck", "van", "eu-west", "us-east", "night", "cold-chain",
	}
	countries = []string{"DE", "DE", "DE", "FR"}
)

// events makes seeded vehicle events.
type events struct {
	random *rand.Rand
	n      int
}

func newEvents() *events {
	return &events{random: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // the same numbers each time is what is wanted
}

// event is what a case must know of an event beside its text.
type event struct {
	device string
	kind   string
	speed  int // tenths
	json   string
}

// flat makes an event of about 233 bytes.
func (e *events) flat() event {
	r := e.random
	n := e.n
	e.n++
	ev := event{device: fmt.Sprintf("veh-%05d", r.IntN(5000)), kind: kinds[r.IntN(len(kinds))], speed: r.IntN(1200)}
	ev.json = fmt.Sprintf(`{"device_id":"%s","seq":%d,"ts":%d,"type":"%s","temperature":%.2f,"speed":%d.%d,"fuel":%.3f,`+
		`"location":{"lat":%.6f,"lon":%.6f},"tags":[%s],"fw":"v2.%d.%d","status":"ok"}`,
		ev.device, n, 1_760_000_000_000+int64(n)*7, ev.kind, r.Float64()*130-20, ev.speed/10, ev.speed%10, r.Float64(),
		35+r.Float64()*25, r.Float64()*40-10, e.tags(), r.IntN(10), r.IntN(40))
	return ev
}

func (e *events) tags() string {
	picked := make([]string, 3)
	for i, at := range e.random.Perm(len(tags))[:3] {
		picked[i] = `"` + tags[at] + `"`
	}
	return strings.Join(picked, ",")
}

// nested makes an event of about 920 bytes, five objects deep.
func (e *events) nested() string {
	r := e.random
	n := e.n
	e.n++
	float := func(from, to float64) float64 { return from + r.Float64()*(to-from) }
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":"evt-%09d","ts":%d,"source":{"gateway":"gw-%03d","region":"eu-central-1","firmware":{"version":"2.%d.%d",`+
		`"channel":"stable","built":"2026-03-11T08:15:00Z"}},`, n, 1_760_000_000_000+int64(n)*7, r.IntN(400), r.IntN(10), r.IntN(40))
	fmt.Fprintf(&b, `"vehicle":{"vin":"WVWZZZ1JZ3W%06d","model":"transporter","year":%d,"odometer":%d,"engine":{"rpm":%d,"load":%.3f,`+
		`"oil":{"temp":%.1f,"pressure":%.2f,"life":%.2f},"coolant":{"temp":%.1f,"level":%.2f}},`,
		r.IntN(1_000_000), 2012+r.IntN(14), r.IntN(400_000), r.IntN(5000), r.Float64(), float(0, 120), float(1, 6), r.Float64(),
		float(20, 110), r.Float64())
	fmt.Fprintf(&b, `"tyres":[{"pos":"fl","bar":%.2f},{"pos":"fr","bar":%.2f},{"pos":"rl","bar":%.2f},{"pos":"rr","bar":%.2f}]},`,
		float(2, 3), float(2, 3), float(2, 3), float(2, 3))
	fmt.Fprintf(&b, `"position":{"lat":%.6f,"lon":%.6f,"heading":%d,"speed":%.1f,"satellites":%d},`,
		float(35, 60), float(-10, 30), r.IntN(360), float(0, 120), 4+r.IntN(12))
	fmt.Fprintf(&b, `"alerts":[{"code":"P0%03d","severity":"low","since":%d}],`, r.IntN(1000), 1_759_999_000_000+int64(n)*7)
	fmt.Fprintf(&b, `"trip":{"id":"trip-%06d","driver":{"id":%d,"licence":"C1E","shift":"night"},"next_stop":{"eta":%d,`+
		`"address":{"street":"Hauptstrasse %d","city":"Frankfurt am Main","postcode":"%05d","country":"%s"}}},`,
		r.IntN(1_000_000), r.IntN(9000), 1_760_000_600_000+int64(n)*7, 1+r.IntN(200), r.IntN(100_000), countries[r.IntN(len(countries))])
	fmt.Fprintf(&b, `"tags":[%s],"status":"ok"}`, e.tags())
	return b.String()
}

// writeLines writes n lines to a file.
func writeLines(path string, n int, line func() string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	for range n {
		if _, err := io.WriteString(w, line()); err != nil {
			return fmt.Errorf("write events: %w", err)
		}
		if err := w.WriteByte('\n'); err != nil {
			return fmt.Errorf("write events: %w", err)
		}
	}
	return w.Flush()
}
