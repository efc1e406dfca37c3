package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Group runs several processes in one consumer group of Kafka and lets members come, leave and be killed.
type Group struct {
	Rig *Rig
	// Members is how many there are at most, Changes how often one comes or goes, Every the pause between.
	Members, Changes int
	Every            time.Duration

	dirs    []string
	members []*Process // nil where one is away
}

// What a member does.
const (
	memberJoins  = "join"
	memberLeaves = "leave"
	memberKilled = "kill"
)

// Execute does it and returns what the checker says. Resumed is not measured: other members go on meanwhile.
func (g *Group) Execute() (Verdict, error) {
	r := g.Rig
	g.members = make([]*Process, g.Members)
	defer g.killAll()
	if err := r.Begin(); err != nil {
		return Verdict{}, err
	}
	defer r.End()
	if err := r.collect(); err != nil {
		return Verdict{}, err
	}
	for i := range g.members {
		dir := filepath.Join(r.Dir, fmt.Sprintf("m%d", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return Verdict{}, err
		}
		if _, err := r.Route.Write(dir); err != nil {
			return Verdict{}, err
		}
		g.dirs = append(g.dirs, dir)
		if err := g.join(i); err != nil {
			return Verdict{}, err
		}
	}
	for i := range g.Changes {
		time.Sleep(g.Every)
		what, who, err := g.change()
		if err != nil {
			return Verdict{}, fmt.Errorf("change %d: %w", i+1, err)
		}
		r.events[what]++
		r.Say("change %d of %d: member %d: %s", i+1, g.Changes, who, what)
	}
	time.Sleep(g.Every) // who has just come can hear a signal
	return g.finish()
}

func (g *Group) join(i int) (err error) {
	r := g.Rig
	g.members[i], err = StartWith(Options{Binary: r.Binary, Dir: g.dirs[i], Pipelines: r.files, Instance: fmt.Sprintf("member-%d", i)})
	if err == nil {
		r.sampler.follow(g.members[i])
	}
	return err
}

// change lets a random member do what it can: at least one stays.
func (g *Group) change() (what string, who int, err error) {
	r := g.Rig
	alive := 0
	for _, p := range g.members {
		if p == nil {
			continue
		}
		alive++
		if p.WaitExit(0) {
			return "", 0, fmt.Errorf("a member ended by itself with %d\n%s", p.Code(), p.Log())
		}
	}
	for {
		who = r.Rand.IntN(len(g.members))
		switch p := g.members[who]; {
		case p == nil:
			return memberJoins, who, g.join(who)
		case alive == 1:
			continue
		case r.Rand.IntN(2) == 0:
			p.Kill()
			g.members[who] = nil
			return memberKilled, who, nil
		default:
			return memberLeaves, who, g.leave(who)
		}
	}
}

func (g *Group) leave(i int) error {
	p := g.members[i]
	g.members[i] = nil
	p.Terminate()
	if !p.WaitExit(20 * time.Second) {
		return fmt.Errorf("member %d did not end after SIGTERM\n%s", i, p.Dump())
	}
	if p.Code() != 0 {
		return fmt.Errorf("member %d left with exit code %d\n%s", i, p.Code(), p.Log())
	}
	return nil
}

// finish lets all but one leave, and waits until that one has brought the rest.
func (g *Group) finish() (Verdict, error) {
	last := -1
	for i, p := range g.members {
		switch {
		case p == nil:
		case last < 0:
			last = i
		default:
			if err := g.leave(i); err != nil {
				return Verdict{}, err
			}
		}
	}
	v, err := g.Rig.Finish(g.members[last])
	v.Kills = v.Events[memberKilled]
	return v, err
}

func (g *Group) killAll() {
	for _, p := range g.members {
		if p != nil {
			p.Kill()
		}
	}
}
