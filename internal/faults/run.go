package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Rig drives a route: it feeds messages all the time, starts processes, and looks at all that came in the end.
type Rig struct {
	Binary string
	// Dir is where processes run.
	Dir   string
	Route *Route
	Gen   *Generator
	// Rate is how many messages are fed in a second while the inlet takes them.
	Rate int
	Rand *rand.Rand
	// Patience bounds how long nothing new may come while messages are missing.
	Patience time.Duration
	// Say tells somebody who waits what happens; nil tells nobody.
	Say func(format string, args ...any)

	files    []string
	feed     sync.Mutex // held while messages are fed
	stop     chan struct{}
	fed      chan error
	sampler  sampler
	events   map[string]int
	resumed  []float64
	feedNow  context.Context //nolint:containedctx // one feeder, which ends with it
	endFeeds context.CancelFunc
}

// Begin writes the pipelines and begins to feed.
func (r *Rig) Begin() (err error) {
	if r.files, err = r.Route.Write(r.Dir); err != nil {
		return err
	}
	if r.Say == nil {
		r.Say = func(string, ...any) {}
	}
	r.stop, r.fed, r.events = make(chan struct{}), make(chan error, 1), map[string]int{}
	r.feedNow, r.endFeeds = context.WithCancel(context.Background())
	go func() { r.fed <- r.feedAll() }()
	return nil
}

// End gives up what Begin has begun, if it still goes on.
func (r *Rig) End() { r.endFeeds() }

// feedEvery is the pause between two portions.
const feedEvery = 50 * time.Millisecond

func (r *Rig) feedAll() error {
	for {
		if err := r.Burst(max(1, r.Rate*int(feedEvery/time.Millisecond)/1000)); err != nil {
			return fmt.Errorf("feed: %w", err)
		}
		select {
		case <-r.stop:
			return nil
		case <-r.feedNow.Done():
			return r.feedNow.Err()
		case <-time.After(feedEvery):
		}
	}
}

// Burst feeds n messages at once.
func (r *Rig) Burst(n int) error {
	r.feed.Lock()
	defer r.feed.Unlock()
	return r.burst(n)
}

func (r *Rig) burst(n int) error {
	payloads, keys := r.Gen.Next(n)
	return r.Route.In.Feed(r.feedNow, payloads, keys)
}

// Start runs a process on the route's pipelines.
func (r *Rig) Start(failpoint string) (*Process, error) {
	p, err := StartWith(Options{Binary: r.Binary, Dir: r.Dir, Pipelines: r.files, Failpoint: failpoint})
	if err == nil {
		r.sampler.follow(p)
	}
	return p, err
}

// collect begins to collect at both outlets.
func (r *Rig) collect() error { return errors.Join(r.Route.Out.Collect(), r.Route.Dead.Collect()) }

// quiet waits until nothing comes any more that a process has sent which is dead, and tells how much there is then.
func (r *Rig) quiet() int {
	before, _ := r.Route.Out.Seen()
	for range 30 {
		time.Sleep(250 * time.Millisecond)
		now, _ := r.Route.Out.Seen()
		if now == before {
			break
		}
		before = now
	}
	return before
}

// started waits until p says that each of its pipelines runs: before that, it has nothing to drain.
func (r *Rig) started(p *Process) error {
	for end := time.Now().Add(r.Patience); time.Now().Before(end); p.WaitExit(2 * time.Millisecond) {
		if strings.Count(p.Log(), `msg="pipeline started"`) == len(r.files) {
			return nil
		}
	}
	return fmt.Errorf("the pipelines have not started\n%s", p.Dump())
}

// Await waits until more has come than before, while p runs, and notes how long that was after since.
func (r *Rig) Await(p *Process, since time.Time, before int) error {
	for end := time.Now().Add(r.Patience); time.Now().Before(end); {
		if n, at := r.Route.Out.Seen(); n > before {
			r.resumed = append(r.resumed, float64(at.Sub(since).Microseconds())/1000)
			return nil
		}
		if p.WaitExit(2 * time.Millisecond) {
			return nil
		}
	}
	return fmt.Errorf("nothing came for %s\n%s", r.Patience, p.Dump())
}

// Finish feeds no more, waits until everything has come, ends p in order, and looks at all that came. The outlets are collected.
func (r *Rig) Finish(p *Process) (Verdict, error) {
	close(r.stop)
	if err := <-r.fed; err != nil {
		return Verdict{}, err
	}
	p, c, err := r.wait(p)
	defer p.Kill()
	if err != nil {
		return c.Verdict(), err
	}
	usage := Usage{RSSMax: r.sampler.peak(), CPU: p.CPU(), Descriptors: p.Files(), LogLines: p.Lines()}
	if !r.Route.Finite {
		p.Terminate()
	}
	if !p.WaitExit(20 * time.Second) {
		return c.Verdict(), fmt.Errorf("the process did not end after SIGTERM\n%s", p.Dump())
	}
	time.Sleep(300 * time.Millisecond) // what nobody should have sent would come now
	c.catchUp(r.Route)
	v := c.Verdict()
	usage.Goroutines = p.goroutines()
	v.Usage, v.Exit, v.Events, v.Resumed = usage, p.Code(), r.events, NewSpread(r.resumed)
	if l, ok := r.Route.Out.(*Lines); ok && l.Torn() {
		return v, errors.New("the last line has no end")
	}
	if v.Exit != 0 {
		return v, fmt.Errorf("exit code %d after SIGTERM\n%s", v.Exit, p.Log())
	}
	return v, nil
}

// follower is a checker that remembers how far it has looked.
type follower struct {
	*Checker
	out, dead int
}

func (f *follower) catchUp(r *Route) {
	for _, a := range r.Out.Arrivals(f.out) {
		f.TakeAt(a.Payload, a.At)
		f.out++
	}
	for _, a := range r.Dead.Arrivals(f.dead) {
		f.TakeDead(a.Payload)
		f.dead++
	}
}

// wait waits until every message has come. A route that ends by itself is run again; the last process is returned.
func (r *Rig) wait(p *Process) (*Process, *follower, error) {
	c := &follower{Checker: CheckerOf(r.Gen)}
	missing, deadline := c.missing, time.Now().Add(r.Patience)
	for {
		c.catchUp(r.Route)
		if c.Complete() {
			return p, c, nil
		}
		if c.missing < missing {
			missing, deadline = c.missing, time.Now().Add(r.Patience)
		}
		if time.Now().After(deadline) {
			v := c.Verdict()
			return p, c, fmt.Errorf("%d messages are missing and none came for %s, the first is %d\n%s", v.Lost, r.Patience, v.FirstLost, p.Dump())
		}
		if !p.WaitExit(100 * time.Millisecond) {
			continue
		}
		if p.Code() != 0 || !r.Route.Finite {
			return p, c, fmt.Errorf("the process ended by itself with %d\n%s", p.Code(), p.Log())
		}
		again, err := r.Start("")
		if err != nil {
			return p, c, err
		}
		p = again
	}
}
