package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millstream/millstream/internal/admin"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/pipelines"
)

// StormRoute is a way from a source to a sink that is reloaded under load.
type StormRoute interface {
	// Pipeline is the file of a pipeline of this name. Its source and sink differ with source and sink, in something that lets messages
	// go where they went before; its nodes set body.v and body.w to nodes.
	Pipeline(name string, source, nodes, sink int) string
	// Feed and Received are those of a Route.
	Feed(payloads [][]byte, keys []string) error
	Received(take func(payload []byte)) error
}

// Storm reloads a pipeline again and again while messages flow, with files of which some are wrong, beside a pipeline that never changes.
type Storm struct {
	Binary string
	Dir    string
	Run    string
	Route  StormRoute
	// Reloads is how many there are, Invalid how many of them are of files that must be refused.
	Reloads, Invalid int
	// Messages is how many are fed in all; Keys how many keys they have.
	Messages, Keys int
	Rand           *rand.Rand
	// Patience bounds how long nothing new may come while messages are missing.
	Patience time.Duration

	taken net.Listener // a port that is in use
}

// StormVerdict is what came of it.
type StormVerdict struct {
	Verdict
	Applied int `json:"applied"`
	Refused int `json:"refused"`
	// Mixed are messages of no one version; Backwards those of an older version than one before of their key.
	Mixed     int `json:"mixed"`
	Backwards int `json:"backwards"`
	// SwapPause is the longest pause of a swap; ReplacePauses are all of the others, sorted.
	SwapPause     time.Duration   `json:"swap_pause_ns"`
	ReplacePauses []time.Duration `json:"-"`
	// FilesBefore and FilesAfter are the descriptors of the process after its start and after the last reload.
	FilesBefore int `json:"files_before"`
	FilesAfter  int `json:"files_after"`
}

// Quantile is the pause of replaces that a share of them does not exceed.
func (v *StormVerdict) Quantile(q float64) time.Duration {
	if len(v.ReplacePauses) == 0 {
		return 0
	}
	return v.ReplacePauses[min(len(v.ReplacePauses)-1, int(q*float64(len(v.ReplacePauses))))]
}

const stormName = "faults-storm"

// still is the pipeline that never changes.
const still = "name: still\nfrom: { generate: { body: n, rate: 100/s } }\nto: { drop: {} }\n"

// Execute does it all; the error says what must not be, beside what the verdict counts.
func (s *Storm) Execute(ctx context.Context) (v StormVerdict, err error) {
	if s.taken, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return v, err
	}
	defer s.taken.Close() //nolint:errcheck // nobody connects
	if err := os.MkdirAll(filepath.Join(s.Dir, "pipelines"), 0o700); err != nil {
		return v, err
	}
	if err := errors.Join(s.put("still.yaml", still), s.put("p.yaml", s.Route.Pipeline(stormName, 0, 0, 0))); err != nil {
		return v, err
	}
	p, err := Start(s.Binary, s.Dir, "pipelines", "")
	if err != nil {
		return v, err
	}
	defer p.Kill()
	client, err := s.client(ctx, p)
	if err != nil {
		return v, err
	}
	if err := s.reloads(ctx, p, client, &v); err != nil {
		return v, fmt.Errorf("%w\n%s", err, p.Log())
	}
	return v, s.finish(p, &v)
}

// client waits until the process has started everything.
func (s *Storm) client(ctx context.Context, p *Process) (*admin.Client, error) {
	for end := time.Now().Add(s.Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := admin.Find(filepath.Join(s.Dir, ".millstream"), "")
		if err != nil {
			continue
		}
		if status, _, err := c.Status(ctx); err == nil && status.Ready && len(status.Pipelines) == 2 {
			return c, nil
		}
	}
	return nil, fmt.Errorf("the process never became ready\n%s", p.Dump())
}

func (s *Storm) put(name, text string) error {
	next := filepath.Join(s.Dir, "next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(s.Dir, "pipelines", name))
}

// reloads feeds and reloads in turn.
func (s *Storm) reloads(ctx context.Context, p *Process, client *admin.Client, v *StormVerdict) error {
	all := Generate(s.Run, s.Messages, s.Keys)
	invalid := slices.Concat(slices.Repeat([]bool{true}, s.Invalid), make([]bool, s.Reloads-s.Invalid))
	s.Rand.Shuffle(len(invalid), func(i, j int) { invalid[i], invalid[j] = invalid[j], invalid[i] })
	version := [3]int{} // of source, nodes, sink
	for i := range s.Reloads {
		from, to := i*len(all)/s.Reloads, (i+1)*len(all)/s.Reloads
		if err := s.feed(all, from, to); err != nil {
			return err
		}
		if i == 0 {
			v.FilesBefore = p.Files()
		}
		next := version
		next[s.Rand.IntN(3)]++
		next[1] = max(next[1], i+1) // each version marks its messages
		text := s.Route.Pipeline(stormName, next[0], next[1], next[2])
		if invalid[i] {
			text = s.spoil(text)
		}
		if err := s.put("p.yaml", text); err != nil {
			return err
		}
		receipt, raw, err := client.Reload(ctx)
		if err != nil {
			return fmt.Errorf("reload %d: %w", i, err)
		}
		if err := v.count(&receipt, !invalid[i]); err != nil {
			return fmt.Errorf("reload %d: %w\n%s\nwith the file\n%s", i, err, raw, text)
		}
		if !invalid[i] {
			version = next
		}
	}
	time.Sleep(200 * time.Millisecond) // what the last one closes is closed
	v.FilesAfter = p.Files()
	return nil
}

func (s *Storm) feed(all [][]byte, from, to int) error {
	keys := make([]string, to-from)
	for i := range keys {
		keys[i] = KeyOf(from+i, s.Keys)
	}
	return s.Route.Feed(all[from:to], keys)
}

// count looks at the receipt of a reload that must or must not be applied.
func (v *StormVerdict) count(a *revision.Attempt, good bool) error {
	if good != a.OK() {
		return fmt.Errorf("the reload is %s", a.Outcome)
	}
	if !good {
		v.Refused++
	} else {
		v.Applied++
	}
	for _, step := range a.Steps {
		switch {
		case step.Pipeline == "still" && step.Action != pipelines.Keep:
			return errors.New("the pipeline that did not change was touched")
		case step.Pipeline == stormName && step.Action == pipelines.Swap:
			v.SwapPause = max(v.SwapPause, step.Pause)
		case step.Pipeline == stormName && step.Action == pipelines.Replace && good:
			v.ReplacePauses = append(v.ReplacePauses, step.Pause)
		}
	}
	return nil
}

// spoil makes a file wrong in one of many ways.
func (s *Storm) spoil(text string) string {
	node := func(step string) string { return strings.Replace(text, "steps:\n", "steps:\n  - "+step+"\n", 1) }
	sink := func(to string) string {
		at := strings.Index(text, "\nto: ")
		return text[:at+1] + "to: " + to + "\n"
	}
	switch s.Rand.IntN(9) {
	case 0:
		return text + "steps: [\n" // no YAML
	case 1:
		return text + "nonsense: 1\n" // an unknown field
	case 2:
		return node("filter: body.id >") // no expression
	case 3:
		return node(`filter: '"a" + 1 > true'`) // types
	case 4: // a circle
		return "name: " + stormName + "\nsources: { in: { generate: { body: n } } }\nnodes:\n  a: { from: [in, b], filter: body > 1 }\n" +
			"  b: { from: a, filter: body > 1 }\nsinks: { out: { from: b, drop: {} } }\n"
	case 5:
		return text + "vars: { secret: \"${file:/nowhere/secret}\" }\n" // a secret that is missing
	case 6: // a broker that is down
		return sink("{ amqp: { url: \"amqp://127.0.0.1:1\", exchange: e, routing_key: k } }")
	case 7: // a file that cannot be made
		return sink("{ file: { path: /dev/null/nowhere/out.ndjson } }")
	default: // a port that is in use
		return "name: " + stormName + "\nfrom: { http: { listen: \"" + s.taken.Addr().String() + "\", path: /in } }\nto: { drop: {} }\n"
	}
}

// finish waits until everything has come, ends the process in order, and looks at all that came.
func (s *Storm) finish(p *Process, v *StormVerdict) error {
	slices.Sort(v.ReplacePauses)
	missing, deadline := s.Messages, time.Now().Add(s.Patience)
	for {
		c := NewChecker(s.Run, s.Messages)
		if err := s.Route.Received(c.Take); err != nil {
			return err
		}
		if c.Complete() {
			break
		}
		if now := c.Verdict(); now.Lost < missing {
			missing, deadline = now.Lost, time.Now().Add(s.Patience)
		}
		if time.Now().After(deadline) {
			v.Verdict = c.Verdict()
			return fmt.Errorf("%d messages are missing\n%s", missing, p.Dump())
		}
		if p.WaitExit(50 * time.Millisecond) {
			return fmt.Errorf("the process ended by itself with %d\n%s", p.Code(), p.Log())
		}
	}
	p.Terminate()
	if !p.WaitExit(20 * time.Second) {
		return fmt.Errorf("the process did not end after SIGTERM\n%s", p.Log())
	}
	c, last := NewChecker(s.Run, s.Messages), map[string]int{}
	err := s.Route.Received(func(payload []byte) {
		c.Take(payload)
		var m struct {
			Key  string
			V, W int
		}
		if json.Unmarshal(payload, &m) != nil || m.V != m.W {
			v.Mixed++
		}
		if m.V < last[m.Key] {
			v.Backwards++
		}
		last[m.Key] = m.V
	})
	v.Verdict = c.Verdict()
	return err
}

// Files is how many descriptors the process has open.
func (p *Process) Files() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		return -1
	}
	return len(entries)
}

// FileStorm goes from a file that is followed to a file.
type FileStorm struct{ FileRoute }

// Pipeline implements StormRoute.
func (f *FileStorm) Pipeline(name string, source, nodes, sink int) string {
	return fmt.Sprintf(`name: %s
from: { file: { path: in.ndjson, follow: true, max_expansion: %d } }
steps:
  - transform: { body.v: %d }
  - filter: body.id >= 0
  - transform: { body.w: %d }
to: { file: { path: out.ndjson, sync: none, open_files: %d } }
`, name, 100+source, nodes, nodes, 64+sink)
}
