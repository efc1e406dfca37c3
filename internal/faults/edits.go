package faults

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millstream/millstream/internal/admin"
)

// Edits changes the file of a pipeline in one style, again and again, and looks when the running process has taken the change over.
type Edits struct {
	Binary string
	// Dir is an empty directory.
	Dir   string
	Style string
	N     int
	// Patience bounds how long a change may take.
	Patience time.Duration
}

// editStyles are the ways to change what dir/pipelines/p.yaml holds. The first edit, with n 0, makes it.
var editStyles = map[string]func(dir string, n int, text func(n int) string) error{
	"rename": func(dir string, n int, text func(int) string) error {
		next := filepath.Join(dir, "pipelines", "sed")
		if err := write(next, text(n)); err != nil {
			return err
		}
		return os.Rename(next, filepath.Join(dir, "pipelines", "p.yaml"))
	},
	"truncate": func(dir string, n int, text func(int) string) error {
		return write(filepath.Join(dir, "pipelines", "p.yaml"), text(n))
	},
	"symbolic link": func(dir string, n int, text func(int) string) error {
		d := filepath.Join(dir, "pipelines")
		now := fmt.Sprintf("..%d", n)
		if err := write(filepath.Join(d, now, "p.yaml"), text(n)); err != nil {
			return err
		}
		if err := os.Symlink(now, filepath.Join(d, "..next")); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(d, "..next"), filepath.Join(d, "..data")); err != nil {
			return err
		}
		if n == 0 {
			return os.Symlink("..data/p.yaml", filepath.Join(d, "p.yaml"))
		}
		return os.RemoveAll(filepath.Join(d, fmt.Sprintf("..%d", n-1)))
	},
	"directory": func(dir string, n int, text func(int) string) error {
		if err := write(filepath.Join(dir, "next", "p.yaml"), text(n)); err != nil {
			return err
		}
		if n > 0 {
			if err := os.Rename(filepath.Join(dir, "pipelines"), filepath.Join(dir, "old")); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "pipelines")); err != nil {
			return err
		}
		return os.RemoveAll(filepath.Join(dir, "old"))
	},
	"ten in a second": func(dir string, n int, text func(int) string) error {
		for i := range 9 {
			if err := write(filepath.Join(dir, "pipelines", "p.yaml"), text(1_000_000+10*n+i)); err != nil {
				return err
			}
			if n > 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		return write(filepath.Join(dir, "pipelines", "p.yaml"), text(n))
	},
}

// EditStyles lists the styles.
func EditStyles() []string { return slices.Sorted(maps.Keys(editStyles)) }

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// version is the pipeline with the number of its version in the name of a node, which the status tells.
func (*Edits) version(n int) string {
	return fmt.Sprintf("name: edited\nsources: { in: { generate: { body: n, rate: 10/s } } }\nnodes: { v%07d: { from: in, filter: body >= 0 } }\n"+
		"sinks: { out: { from: v%07d, drop: {} } }\n", n, n)
}

// Execute edits, and returns how long each change took to run, in milliseconds from the last write.
func (e *Edits) Execute(ctx context.Context) (*Spread, error) {
	edit, ok := editStyles[e.Style]
	if !ok {
		return nil, fmt.Errorf("no style is named %q", e.Style)
	}
	if err := edit(e.Dir, 0, e.version); err != nil {
		return nil, err
	}
	p, err := Start(e.Binary, e.Dir, "pipelines", "")
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	client, err := ready(ctx, p, e.Dir, 1, 20*time.Second)
	if err != nil {
		return nil, err
	}
	var took []float64
	for n := 1; n <= e.N; n++ {
		if err := edit(e.Dir, n, e.version); err != nil {
			return nil, err
		}
		began := time.Now()
		for !e.runs(ctx, client, n) {
			if time.Since(began) > e.Patience {
				return NewSpread(took), fmt.Errorf("edit %d does not run after %s\n%s", n, e.Patience, p.Log())
			}
			time.Sleep(10 * time.Millisecond)
		}
		took = append(took, milliseconds(time.Since(began)))
	}
	p.Terminate()
	if !p.WaitExit(20*time.Second) || p.Code() != 0 {
		return NewSpread(took), fmt.Errorf("the process did not end well after SIGTERM\n%s", p.Dump())
	}
	return NewSpread(took), nil
}

func (*Edits) runs(ctx context.Context, client *admin.Client, n int) bool {
	status, _, err := client.Status(ctx)
	if err != nil || len(status.Pipelines) != 1 {
		return false
	}
	for _, node := range status.Pipelines[0].Nodes {
		if node.Name == fmt.Sprintf("v%07d", n) {
			return true
		}
	}
	return false
}
