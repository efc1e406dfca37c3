package faults

import (
	"fmt"
	"time"

	"github.com/millstream/millstream/internal/failpoint"
)

// Random is the place of kills at any time.
const Random = "random"

// Kill kills processes of a rig with SIGKILL again and again, starts the next one, and lets a last one finish.
type Kill struct {
	Rig *Rig
	// Place is a failpoint, or Random.
	Place string
	Kills int
}

// Places lists where a route's process can be killed.
func Places(r *Route) []string {
	places := append(failpoint.Places(), failpoint.AfterLetter)
	if _, ok := r.In.(*Lines); ok {
		places = append(places, failpoint.Positions()...)
	}
	if r.Once {
		places = append(places, failpoint.Transactions()...)
	}
	return append(places, Random)
}

// Execute does it and returns what the checker says.
func (k *Kill) Execute() (Verdict, error) {
	r := k.Rig
	if err := r.Begin(); err != nil {
		return Verdict{}, err
	}
	defer r.End()
	if err := r.collect(); err != nil {
		return Verdict{}, err
	}
	kills := 0
	for round := 0; kills < k.Kills; round++ {
		killed, err := k.round()
		if err != nil {
			return Verdict{}, fmt.Errorf("after %d kills: %w", kills, err)
		}
		if killed {
			kills++
			r.Say("kill %d of %d at %s", kills, k.Kills, k.Place)
		}
		if round > 20*k.Kills+20 {
			return Verdict{}, fmt.Errorf("%d of %d processes ended before they could be killed at %s", round-kills, round, k.Place)
		}
	}
	before := r.quiet()
	p, err := r.Start("")
	if err != nil {
		return Verdict{}, err
	}
	if err := r.Await(p, p.began, before); err != nil {
		return Verdict{}, err
	}
	v, err := r.Finish(p)
	v.Kills = kills
	return v, err
}

// fill is how much waits for a process at its start: more than it may have in flight, and much more where it ends when it has read
// everything. Nothing can wait where a process must be there to take it.
func (r *Rig) fill() int {
	if _, ok := r.Route.In.(*Posts); ok {
		return 0
	}
	if r.Route.Finite {
		return 20 * InFlight
	}
	return InFlight + InFlight/2
}

// round starts a process and sees it die; false when it ended by itself before.
func (k *Kill) round() (killed bool, err error) {
	r, point := k.Rig, ""
	switch k.Place {
	case Random:
	case failpoint.InDrain:
		point = k.Place
	default:
		point = fmt.Sprintf("%s:%d", k.Place, 1+r.Rand.IntN(6))
	}
	if n := r.fill(); n > 0 {
		if err := r.Burst(n); err != nil {
			return false, err
		}
	}
	before := r.quiet()
	p, err := r.Start(point)
	if err != nil {
		return false, err
	}
	defer p.Kill()
	switch {
	case k.Place == Random && r.Route.Finite:
		p.WaitExit(time.Duration(10+r.Rand.IntN(120)) * time.Millisecond)
		p.Kill()
	case k.Place == Random:
		err = k.anyTime(p, before)
		p.Kill()
	case k.Place == failpoint.InDrain && !r.Route.Finite:
		err = r.started(p)
		p.WaitExit(time.Duration(r.Rand.IntN(600)) * time.Millisecond)
		p.Terminate()
	}
	if err != nil {
		return false, err
	}
	if !p.WaitExit(r.Patience) {
		return false, fmt.Errorf("failpoint %s was never reached\n%s", point, p.Dump())
	}
	if !p.Killed() && (p.Code() != 0 || !r.Route.Finite) {
		return false, fmt.Errorf("the process was not killed, its exit code is %d\n%s", p.Code(), p.Log())
	}
	return p.Killed(), nil
}

// anyTime waits a random time: since the start in one of four cases, since the first message came in the others.
func (k *Kill) anyTime(p *Process, before int) error {
	r := k.Rig
	if r.Rand.IntN(4) == 0 {
		p.WaitExit(time.Duration(10+r.Rand.IntN(1000)) * time.Millisecond)
		return nil
	}
	if err := r.Await(p, p.began, before); err != nil {
		return err
	}
	p.WaitExit(time.Duration(r.Rand.IntN(800)) * time.Millisecond)
	return nil
}
