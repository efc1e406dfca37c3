package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/millstream/millstream/internal/failpoint"
)

// Route is a way from a source to a sink that a kill test drives.
type Route interface {
	// Pipeline is the file to run.
	Pipeline() string
	// Feed adds messages to the source, in order; keys holds the key of each.
	Feed(payloads [][]byte, keys []string) error
	// Received reads all that is in the sink so far, in order, from the beginning.
	Received(take func(payload []byte)) error
	// Finite tells that the process ends by itself when it has read everything.
	Finite() bool
}

// KillPlan is a kill test of one route.
type KillPlan struct {
	Binary string
	Dir    string
	Run    string
	Route  Route
	// Place is a failpoint, or "random".
	Place string
	Kills int
	// PerRound is how many messages are added before each start; Keys how many keys they have.
	PerRound, Keys int
	Rand           *rand.Rand
	// Patience bounds how long nothing new may come while messages are missing.
	Patience time.Duration
}

// Random is the place of kills at any time.
const Random = "random"

// Execute kills the process Kills times, lets a last one finish, and returns what the checker says.
func (k *KillPlan) Execute() (Verdict, error) {
	file := filepath.Join(k.Dir, "pipeline.yaml")
	if err := os.WriteFile(file, []byte(k.Route.Pipeline()), 0o600); err != nil {
		return Verdict{}, err
	}
	total := k.PerRound * (k.Kills + 1)
	all := Generate(k.Run, total, k.Keys)
	kills := 0
	for round := range k.Kills {
		if err := k.feed(all, round); err != nil {
			return Verdict{}, err
		}
		killed, err := k.round(file)
		if err != nil {
			return Verdict{}, fmt.Errorf("round %d: %w", round, err)
		}
		if killed {
			kills++
		}
	}
	if err := k.feed(all, k.Kills); err != nil {
		return Verdict{}, err
	}
	c, err := k.finish(file, total)
	if err != nil {
		return Verdict{}, err
	}
	v := c.Verdict()
	v.Kills = kills
	return v, nil
}

func (k *KillPlan) feed(all [][]byte, round int) error {
	from := round * k.PerRound
	keys := make([]string, k.PerRound)
	for i := range keys {
		keys[i] = KeyOf(from+i, k.Keys)
	}
	return k.Route.Feed(all[from:from+k.PerRound], keys)
}

// round starts the process and sees it die; false when it ended by itself before the kill.
func (k *KillPlan) round(file string) (killed bool, err error) {
	point := ""
	if k.Place != Random {
		point = k.Place
		if k.Place != failpoint.InDrain {
			point = fmt.Sprintf("%s:%d", k.Place, 1+k.Rand.IntN(3))
		}
	}
	p, err := Start(k.Binary, k.Dir, file, point)
	if err != nil {
		return false, err
	}
	switch {
	case k.Place == Random:
		most := 1200
		if k.Route.Finite() {
			most = 60 // it is done soon
		}
		p.WaitExit(time.Duration(10+k.Rand.IntN(most)) * time.Millisecond)
		p.Kill()
		return p.Killed(), nil
	case k.Place == failpoint.InDrain && !k.Route.Finite():
		time.Sleep(time.Duration(500+k.Rand.IntN(700)) * time.Millisecond)
		p.Terminate()
	}
	if !p.WaitExit(30 * time.Second) {
		p.Kill()
		return true, fmt.Errorf("failpoint %s was never reached\n%s", k.Place, p.Log())
	}
	if !p.Killed() && p.Code() != 0 {
		return false, fmt.Errorf("exit code %d\n%s", p.Code(), p.Log())
	}
	return p.Killed(), nil
}

// finish runs without faults until everything has come, then ends the process in order.
func (k *KillPlan) finish(file string, total int) (*Checker, error) {
	p, err := Start(k.Binary, k.Dir, file, "")
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	missing, deadline := total, time.Now().Add(k.Patience)
	for {
		c := NewChecker(k.Run, total)
		if err := k.Route.Received(c.Take); err != nil {
			return nil, err
		}
		if c.Complete() {
			break
		}
		v := c.Verdict()
		if v.Lost < missing {
			missing, deadline = v.Lost, time.Now().Add(k.Patience)
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d messages are missing and none came for %s, the first is %d\n%s", v.Lost, k.Patience, v.FirstLost, p.Dump())
		}
		if !p.WaitExit(300 * time.Millisecond) {
			continue
		}
		if p.Code() != 0 {
			return nil, fmt.Errorf("exit code %d\n%s", p.Code(), p.Log())
		}
		break
	}
	p.Terminate()
	if !p.WaitExit(20 * time.Second) {
		return nil, fmt.Errorf("the process did not end after SIGTERM\n%s", p.Log())
	}
	if code := p.Code(); code != 0 {
		return nil, fmt.Errorf("exit code %d after SIGTERM\n%s", code, p.Log())
	}
	c := NewChecker(k.Run, total)
	return c, k.Route.Received(c.Take)
}
