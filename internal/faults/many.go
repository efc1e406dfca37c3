package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/internal/admin"
	"github.com/millstream/millstream/internal/revision"
)

// Many runs a directory of idle pipelines and changes one of them, again and again.
type Many struct {
	Binary string
	// Dir is an empty directory.
	Dir string
	// Pipelines is how many there are, Changes how often one of them is changed, Idle how long they are watched doing nothing.
	Pipelines, Changes int
	Idle               time.Duration
	Patience           time.Duration
}

// ManyVerdict is what was measured. Times are in milliseconds.
type ManyVerdict struct {
	// Start is how long it took until all ran; RSS and CPU are what the idle process took, in KiB and in part of one core.
	Start       float64 `json:"start_ms"`
	RSS         int64   `json:"rss_kib"`
	CPU         float64 `json:"cpu_of_a_core"`
	Descriptors int     `json:"descriptors"`
	// Command is how long the reloads took that were asked for, files and all; Live from a save to the receipt of the reload that the
	// process began by itself; Exchange the part of both in which pipelines were dealt with.
	Command  *Spread `json:"reload_ms"`
	Exchange *Spread `json:"reload_without_files_ms"`
	Live     *Spread `json:"save_to_receipt_ms"`
	// Touched are pipelines that a reload was to leave alone, and did not.
	Touched int `json:"touched"`
}

// name is that of one of the pipelines. Nobody reads what it would write, so its filter lets nothing pass.
func (*Many) name(i int) string { return fmt.Sprintf("p%03d", i) }

func (m *Many) text(i, version int) string {
	return fmt.Sprintf("name: %s\nfrom: { generate: { body: '{\"n\": n}', rate: 1/h } }\nsteps:\n  - filter: body.n > 1000\n  - transform: { body.v: %d }\n"+
		"to: { memory: { topic: %s } }\n", m.name(i), version, m.name(i))
}

func (m *Many) put(i, version int) error {
	next := filepath.Join(m.Dir, "next")
	if err := os.WriteFile(next, []byte(m.text(i, version)), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(m.Dir, "pipelines", m.name(i)+".yaml"))
}

// Execute does it all.
func (m *Many) Execute(ctx context.Context) (v ManyVerdict, err error) {
	if err := os.MkdirAll(filepath.Join(m.Dir, "pipelines"), 0o700); err != nil {
		return v, err
	}
	for i := range m.Pipelines {
		if err := m.put(i, 0); err != nil {
			return v, err
		}
	}
	began := time.Now()
	p, err := Start(m.Binary, m.Dir, "pipelines", "")
	if err != nil {
		return v, err
	}
	defer p.Kill()
	client, err := ready(ctx, p, m.Dir, m.Pipelines, m.Patience)
	if err != nil {
		return v, err
	}
	v.Start = milliseconds(time.Since(began))
	if err := m.changes(ctx, client, &v); err != nil {
		return v, fmt.Errorf("%w\n%s", err, p.Log())
	}
	time.Sleep(2 * time.Second)
	cpu, idle := p.CPU(), time.Now()
	time.Sleep(m.Idle)
	v.CPU = (p.CPU() - cpu) / time.Since(idle).Seconds()
	v.RSS, v.Descriptors = p.resident(), p.Files()
	p.Terminate()
	if !p.WaitExit(20*time.Second) || p.Code() != 0 {
		return v, fmt.Errorf("the process did not end well after SIGTERM\n%s", p.Dump())
	}
	return v, nil
}

// ready waits until a process runs so many pipelines.
func ready(ctx context.Context, p *Process, dir string, n int, patience time.Duration) (*admin.Client, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		client, err := admin.Find(filepath.Join(dir, ".millstream"), "")
		if err != nil {
			continue
		}
		if status, _, err := client.Status(ctx); err == nil && status.Ready && len(status.Pipelines) == n {
			return client, nil
		}
	}
	return nil, fmt.Errorf("the process never became ready\n%s", p.Dump())
}

// changes changes one pipeline after another; every second change is left to the process to see.
func (m *Many) changes(ctx context.Context, client *admin.Client, v *ManyVerdict) error {
	var command, live, exchange []float64
	for n := range m.Changes {
		changed := (n * 7) % m.Pipelines
		before, _, err := client.Status(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := m.put(changed, n+1); err != nil {
			return err
		}
		if n%2 == 0 {
			_, _, err = client.Reload(ctx)
		}
		if err != nil {
			return err
		}
		a, err := m.attempt(ctx, client, m.name(changed), before.Attempts[0].Number)
		if err != nil {
			return err
		}
		if a.Trigger == revision.ByWatch {
			live = append(live, milliseconds(a.Began.Add(a.Duration).Sub(began)))
		} else {
			command = append(command, milliseconds(a.Duration))
		}
		for _, s := range a.Steps {
			if s.Pipeline == m.name(changed) {
				exchange = append(exchange, milliseconds(s.Duration))
			}
		}
		if err := m.untouched(ctx, client, &before, &a, m.name(changed), v); err != nil {
			return err
		}
	}
	v.Command, v.Live, v.Exchange = NewSpread(command), NewSpread(live), NewSpread(exchange)
	return nil
}

// attempt waits for the receipt, later than the one numbered after, of what was done with a pipeline.
func (m *Many) attempt(ctx context.Context, client *admin.Client, name string, after int) (revision.Attempt, error) {
	for end := time.Now().Add(m.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		status, _, err := client.Status(ctx)
		if err != nil {
			return revision.Attempt{}, err
		}
		for _, a := range status.Attempts {
			for _, s := range a.Steps {
				if a.Number > after && s.Pipeline == name && s.Outcome == fleet.Done {
					return a, nil
				}
			}
		}
	}
	return revision.Attempt{}, errors.New("the change was never seen")
}

// untouched counts the other pipelines that are not as they were.
func (m *Many) untouched(ctx context.Context, client *admin.Client, before *admin.Status, a *revision.Attempt, changed string, v *ManyVerdict) error {
	now, _, err := client.Status(ctx)
	if err != nil {
		return err
	}
	was := map[string]admin.Pipeline{}
	for _, p := range before.Pipelines {
		was[p.Name] = p
	}
	for _, p := range now.Pipelines {
		if p.Name != changed && (p.Revision != was[p.Name].Revision || p.State != was[p.Name].State || p.Balance.In < was[p.Name].Balance.In) {
			v.Touched++
		}
	}
	for _, s := range a.Steps {
		if s.Pipeline != changed && s.Outcome != fleet.Kept {
			v.Touched++
		}
	}
	return nil
}
