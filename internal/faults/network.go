package faults

import (
	"fmt"
	"time"

	"github.com/millstream/millstream/internal/faults/proxy"
)

// What can happen to the network before a broker.
const (
	NetReset    = "reset"    // every connection is reset
	NetCut      = "cut"      // every connection is reset in the middle of a frame
	NetHalfOpen = "halfopen" // connections that are open fall silent for good; new ones work
	NetOneWay   = "oneway"   // so, but for almost 3 s the broker goes on hearing its clients
	NetDeaf     = "deaf"     // connections fall silent, new ones too, for 3 s
	NetSlice    = "slice"    // byte after byte for 2 s
	NetLatency  = "latency"  // 500 ms ± 200 ms for 3 s
	NetNarrow   = "narrow"   // 64 KiB a second for 3 s
)

// NetEvents lists what can happen to the network.
func NetEvents() []string {
	return []string{NetReset, NetCut, NetHalfOpen, NetOneWay, NetDeaf, NetSlice, NetLatency, NetNarrow}
}

// Weather makes the network before a broker bad again and again; the route is proxied.
type Weather struct {
	Rig    *Rig
	Broker string
	// Events are what may happen, in a random order.
	Events []string
	N      int
}

// Execute does it and returns what the checker says. Resumed counts from the end of what happens to the next message, or from its beginning
// where it has no end.
func (w *Weather) Execute() (Verdict, error) {
	r := w.Rig
	link, err := r.Route.Link(w.Broker)
	if err != nil {
		return Verdict{}, err
	}
	if err := r.Begin(); err != nil {
		return Verdict{}, err
	}
	defer r.End()
	if err := r.collect(); err != nil {
		return Verdict{}, err
	}
	p, err := r.Start("")
	if err != nil {
		return Verdict{}, err
	}
	defer p.Kill()
	if err := r.Await(p, p.began, 0); err != nil {
		return Verdict{}, err
	}
	r.resumed = nil
	after := map[string][]float64{}
	for i := range w.N {
		event := w.Events[r.Rand.IntN(len(w.Events))]
		p.WaitExit(time.Duration(200+r.Rand.IntN(600)) * time.Millisecond)
		w.happen(p, link, event)
		since := time.Now()
		if err := r.Await(p, since, w.passed(p, event)); err != nil {
			return Verdict{}, fmt.Errorf("event %d, %s: %w", i+1, event, err)
		}
		if p.WaitExit(0) {
			return Verdict{}, fmt.Errorf("event %d, %s: the process ended by itself with %d\n%s", i+1, event, p.Code(), p.Log())
		}
		r.events[event]++
		took := r.resumed[len(r.resumed)-1]
		after[event] = append(after[event], took)
		r.Say("%s (%d of %d): resumed after %.0f ms", event, i+1, w.N, took)
	}
	link.Set(proxy.Shape{})
	v, err := r.Finish(p)
	v.Connects, v.ResumedAfter = link.Accepted(), map[string]*Spread{}
	for event, took := range after {
		v.ResumedAfter[event] = NewSpread(took)
	}
	return v, err
}

// passed is how much has come that had passed before what happened. Where nothing is reset, more of it is under way: that has come when
// nothing has for a while.
func (w *Weather) passed(p *Process, event string) int {
	p.WaitExit(20 * time.Millisecond)
	before, _ := w.Rig.Route.Out.Seen()
	for range 20 {
		if event != NetHalfOpen && event != NetOneWay || p.WaitExit(200*time.Millisecond) {
			break
		}
		now, _ := w.Rig.Route.Out.Seen()
		if now == before {
			break
		}
		before = now
	}
	return before
}

// happen lets something happen, until it has passed.
func (w *Weather) happen(p *Process, link *Link, event string) {
	shape := func(s proxy.Shape, span time.Duration) {
		link.Set(s)
		p.WaitExit(span)
		link.Set(proxy.Shape{})
	}
	switch event {
	case NetReset:
		link.Reset()
	case NetCut:
		link.CutAfter(1 + w.Rig.Rand.IntN(20_000))
		p.WaitExit(500 * time.Millisecond)
	case NetHalfOpen:
		link.Silence()
	case NetOneWay:
		link.Mute()
		p.WaitExit(2800 * time.Millisecond)
		link.Silence()
	case NetDeaf:
		link.Deafen()
		p.WaitExit(3 * time.Second)
		link.Hear()
	case NetSlice:
		shape(proxy.Shape{Piece: 1}, 2*time.Second)
	case NetLatency:
		shape(proxy.Shape{Latency: 500 * time.Millisecond, Jitter: 200 * time.Millisecond}, 3*time.Second)
	case NetNarrow:
		shape(proxy.Shape{Rate: 64 << 10}, 3*time.Second)
	}
}
