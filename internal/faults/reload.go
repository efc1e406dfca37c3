package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millstream/millstream/internal/failpoint"
)

// ReloadPlaces lists the places in which a reload can be killed, in their order.
func ReloadPlaces() []string {
	places := append([]string{failpoint.ReloadLoaded}, failpoint.Reloads()...)
	return append(places, failpoint.ReloadApplied, failpoint.ReloadKept)
}

// Change is what a reload changes of a pipeline.
type Change string

// The changes.
const (
	ChangeNodes  Change = "nodes"
	ChangeSink   Change = "sink"
	ChangeSource Change = "source"
)

// Changes lists all of them.
func Changes() []Change { return []Change{ChangeNodes, ChangeSink, ChangeSource} }

// ReloadPlan is a kill test of reloads: while a file grows and is followed into another, the pipeline is changed again and again, and the
// process killed in the middle of it. Each version of the pipeline marks its messages in two nodes, so that a message that went through
// half of one and half of another shows.
type ReloadPlan struct {
	Binary string
	Dir    string
	Run    string
	Place  string
	Change Change
	Kills  int
	// PerRound is how many messages are added for each start; Keys how many keys they have.
	PerRound, Keys int
	Rand           *rand.Rand
	// Patience bounds how long nothing new may come while messages are missing.
	Patience time.Duration
}

// text is a version of the pipeline. What does not change stays at its first value.
func (k *ReloadPlan) text(version int) string {
	source, sink := 0, 0
	switch k.Change {
	case ChangeSource:
		source = version
	case ChangeSink:
		sink = version
	case ChangeNodes:
	}
	return fmt.Sprintf(`name: faults-reload
limits: { in_flight: %d }
from: { file: { path: in.ndjson, follow: true, max_expansion: %d } }
steps:
  - transform: { body.v: %d }
  - filter: body.id >= 0
  - transform: { body.w: %d }
to: { file: { path: out.ndjson, sync: none, open_files: %d } }
`, InFlight, 100+source, version, version, 64+sink)
}

// put saves a version as editors do.
func (k *ReloadPlan) put(version int) error {
	next := filepath.Join(k.Dir, "pipelines", "next")
	if err := os.WriteFile(next, []byte(k.text(version)), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(k.Dir, "pipelines", "p.yaml"))
}

// Execute kills the process in the middle of a reload Kills times, lets a last one finish, and returns what the checker says.
func (k *ReloadPlan) Execute() (Verdict, error) {
	if err := os.MkdirAll(filepath.Join(k.Dir, "pipelines"), 0o700); err != nil {
		return Verdict{}, err
	}
	if err := k.put(0); err != nil {
		return Verdict{}, err
	}
	all := Generate(k.Run, k.PerRound*(k.Kills+1), k.Keys)
	route := &FileRoute{Dir: k.Dir}
	kills := 0
	for round := range k.Kills {
		killed, err := k.round(route, all[round*k.PerRound:(round+1)*k.PerRound], round+1)
		if err != nil {
			return Verdict{}, fmt.Errorf("round %d: %w", round, err)
		}
		if killed {
			kills++
		}
	}
	if err := route.Feed(all[k.Kills*k.PerRound:], nil); err != nil {
		return Verdict{}, err
	}
	p, err := Start(k.Binary, k.Dir, "pipelines", "")
	if err != nil {
		return Verdict{}, err
	}
	defer p.Kill()
	v, err := k.finish(p, route, len(all))
	v.Kills = kills
	return v, err
}

// round starts the process, changes the pipeline while messages flow, and sees the process die.
func (k *ReloadPlan) round(route *FileRoute, messages [][]byte, version int) (killed bool, err error) {
	p, err := Start(k.Binary, k.Dir, "pipelines", k.failpoint())
	if err != nil {
		return false, err
	}
	defer p.Kill()
	before := k.size()
	if err := route.Feed(messages[:len(messages)/2], nil); err != nil {
		return false, err
	}
	for deadline := time.Now().Add(k.Patience); k.size() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false, fmt.Errorf("nothing comes out\n%s", p.Dump())
		}
	}
	if err := k.put(version); err != nil {
		return false, err
	}
	if k.Rand.IntN(2) == 0 { // at once, and not when the watcher finds it
		_ = p.cmd.Process.Signal(syscall.SIGHUP)
	}
	step := max(1, len(messages)/40)
	for at := len(messages) / 2; at < len(messages); at += step {
		if err := route.Feed(messages[at:min(at+step, len(messages))], nil); err != nil {
			return false, err
		}
		p.WaitExit(5 * time.Millisecond)
	}
	switch {
	case k.Place == Random:
		p.WaitExit(time.Duration(k.Rand.IntN(300)) * time.Millisecond)
		p.Kill()
	case !p.WaitExit(k.Patience):
		return false, fmt.Errorf("failpoint %s was never reached\n%s", k.Place, p.Dump())
	}
	if !p.Killed() {
		return false, fmt.Errorf("exit code %d\n%s", p.Code(), p.Log())
	}
	return true, k.keptWhole(version)
}

// failpoint is the place, with how often the start passes it.
func (k *ReloadPlan) failpoint() string {
	switch k.Place {
	case Random:
		return ""
	case failpoint.ReloadLoaded, failpoint.ReloadPlan, failpoint.ReloadApplied, failpoint.ReloadKept:
		return k.Place + ":2"
	}
	return k.Place
}

func (k *ReloadPlan) size() int64 {
	info, err := os.Stat(filepath.Join(k.Dir, "out.ndjson"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// keptWhole looks at the last good revision: it is the old text or the new one. A kill at any time may come before it was kept.
func (k *ReloadPlan) keptWhole(version int) error {
	b, err := os.ReadFile(filepath.Join(k.Dir, ".millstream", "faults-reload", "revision.json"))
	if k.Place == Random && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept struct{ Text string }
	if err := json.Unmarshal(b, &kept); err != nil {
		return fmt.Errorf("the last good revision is torn: %w", err)
	}
	oldest := version - 1
	if k.Place == Random {
		oldest = 0
	}
	for v := oldest; v <= version; v++ {
		if kept.Text == k.text(v) {
			return nil
		}
	}
	return fmt.Errorf("the last good revision is neither version %d nor the one before:\n%s", version, kept.Text)
}

// finish waits until everything has come, ends the process in order, and looks at all that came: each message whole from one version, and
// no version after a newer one but for what a kill made come again.
func (k *ReloadPlan) finish(p *Process, route *FileRoute, total int) (Verdict, error) {
	missing, deadline := total, time.Now().Add(k.Patience)
	for {
		c := NewChecker(k.Run, total)
		if err := route.Received(c.Take); err != nil {
			return Verdict{}, err
		}
		if c.Complete() {
			break
		}
		if v := c.Verdict(); v.Lost < missing {
			missing, deadline = v.Lost, time.Now().Add(k.Patience)
		}
		if time.Now().After(deadline) {
			return c.Verdict(), fmt.Errorf("%d messages are missing\n%s", missing, p.Dump())
		}
		if p.WaitExit(50 * time.Millisecond) {
			return Verdict{}, fmt.Errorf("the process ended by itself with %d\n%s", p.Code(), p.Log())
		}
	}
	p.Terminate()
	if !p.WaitExit(20*time.Second) || p.Code() != 0 {
		return Verdict{}, fmt.Errorf("the process did not end well after SIGTERM\n%s", p.Log())
	}
	c, last := NewChecker(k.Run, total), 0
	var mixed []string
	err := route.Received(func(payload []byte) {
		c.Take(payload)
		var m struct{ V, W int }
		if json.Unmarshal(payload, &m) != nil || m.V != m.W || m.V < last {
			mixed = append(mixed, string(payload))
		}
		last = m.V
	})
	if err == nil && last != k.Kills {
		err = fmt.Errorf("version %d runs at the end, want %d\n%s", last, k.Kills, p.Log())
	}
	if err == nil && len(mixed) > 0 {
		err = fmt.Errorf("%d messages are of no version, or of an old one after a new one, the first of them:\n%s", len(mixed),
			strings.Join(mixed[:min(len(mixed), 3)], "\n"))
	}
	return c.Verdict(), err
}
