package faults

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// Broker is a broker of an instance that nobody else uses.
type Broker struct {
	// Script is scripts/brokers, Instance what it calls the instance, Name Kafka or Rabbit.
	Script, Instance, Name string
}

// Do runs a command of the script on the broker: start (which waits until it is ready), kill, freeze, thaw, stop, purge.
func (b *Broker) Do(ctx context.Context, command string, more ...string) error {
	args := append([]string{command, b.Name, "--instance", b.Instance}, more...)
	out, err := exec.CommandContext(ctx, b.Script, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", b.Script, command, err, out)
	}
	return nil
}

// What can happen to a broker.
const (
	EventKill   = "kill"   // SIGKILL, and a start with the same data
	EventFreeze = "freeze" // SIGSTOP, and SIGCONT after a while
)

// Outage takes a broker of a rig's route away again and again, while messages wait in it and are under way. The route is proxied, so that
// attempts to connect are counted.
type Outage struct {
	Rig    *Rig
	Broker *Broker
	Event  string
	N      int
	// Span is how long the broker is frozen.
	Span time.Duration
}

// Calm is what an engine does while a broker is away: the most of all outages.
type Calm struct {
	// Connects are attempts to connect, CPU the share of one processor in percent, Lines those of the log; per second of the outage.
	Connects float64 `json:"connects_per_s"`
	CPU      float64 `json:"cpu_percent"`
	Lines    float64 `json:"log_lines_per_s"`
}

// young is how old a queue must be to outlive its broker's being killed: RabbitMQ writes what was declared a little later.
const young = 5 * time.Second

// waiting is how many messages wait when a broker goes away.
const waiting = 4000

// Execute does it and returns what the checker says.
func (o *Outage) Execute(ctx context.Context) (Verdict, error) {
	r := o.Rig
	r.Route.Throttle = 2 * r.Rate
	link, err := r.Route.Link(o.Broker.Name)
	if err != nil {
		return Verdict{}, err
	}
	if err := r.Begin(); err != nil {
		return Verdict{}, err
	}
	defer r.End()
	late := o.Broker.Name == Rabbit && r.toQueue()
	if !late {
		if err := r.collect(); err != nil {
			return Verdict{}, err
		}
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
	if o.Broker.Name == Rabbit {
		p.WaitExit(young)
	}
	var calm Calm
	for i := range o.N {
		if err := o.once(ctx, p, link, &calm); err != nil {
			return Verdict{}, fmt.Errorf("outage %d: %w", i+1, err)
		}
		r.events[o.Event]++
		r.Say("%s %d of %d of %s: resumed after %.0f ms", o.Event, i+1, o.N, o.Broker.Name, r.resumed[len(r.resumed)-1])
	}
	if late {
		if err := r.collect(); err != nil {
			return Verdict{}, err
		}
	}
	v, err := r.Finish(p)
	v.Outage = &calm
	return v, err
}

// once is one outage.
func (o *Outage) once(ctx context.Context, p *Process, link *Link, calm *Calm) error {
	r := o.Rig
	p.WaitExit(time.Duration(300+r.Rand.IntN(700)) * time.Millisecond)
	if err := o.betweenFeeds(ctx, p, link, calm); err != nil {
		return err
	}
	ready := time.Now()
	before, _ := r.Route.Out.Seen()
	for before < 0 && time.Since(ready) < r.Patience {
		time.Sleep(5 * time.Millisecond)
		before, _ = r.Route.Out.Seen()
	}
	if err := r.Await(p, ready, before); err != nil {
		return err
	}
	if p.WaitExit(0) {
		return fmt.Errorf("the process ended by itself with %d\n%s", p.Code(), p.Log())
	}
	return nil
}

// betweenFeeds takes the broker away while messages wait and none are fed, so that what the generator has made is known to be in the source,
// once.
func (o *Outage) betweenFeeds(ctx context.Context, p *Process, link *Link, calm *Calm) error {
	r := o.Rig
	r.feed.Lock()
	defer r.feed.Unlock()
	if err := r.burst(waiting); err != nil {
		return err
	}
	p.WaitExit(time.Duration(r.Rand.IntN(500)) * time.Millisecond)
	return o.takeAway(ctx, p, link, calm)
}

// takeAway takes the broker away and brings it back; it returns when the broker says that it is ready.
func (o *Outage) takeAway(ctx context.Context, p *Process, link *Link, calm *Calm) error {
	first, second := "kill", "start"
	pause := time.Duration(o.Rig.Rand.IntN(2000)) * time.Millisecond
	if o.Event == EventFreeze {
		first, second, pause = "freeze", "thaw", o.Span
	}
	began, connects, cpu, lines := time.Now(), link.Accepted(), p.CPU(), p.Lines()
	if err := o.Broker.Do(ctx, first); err != nil {
		return err
	}
	p.WaitExit(pause)
	if o.Event == EventFreeze {
		calm.note(time.Since(began), link.Accepted()-connects, p.CPU()-cpu, p.Lines()-lines)
	}
	if err := o.Broker.Do(ctx, second); err != nil {
		return err
	}
	if o.Event == EventKill {
		calm.note(time.Since(began), link.Accepted()-connects, p.CPU()-cpu, p.Lines()-lines)
	}
	return nil
}

func (c *Calm) note(span time.Duration, connects int, cpu float64, lines int) {
	s := span.Seconds()
	c.Connects, c.CPU, c.Lines = max(c.Connects, float64(connects)/s), max(c.CPU, 100*cpu/s), max(c.Lines, float64(lines)/s)
}

func (r *Rig) toQueue() bool {
	_, ok := r.Route.Out.(*Queue)
	return ok
}
