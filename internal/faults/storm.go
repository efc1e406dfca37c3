package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millstream/millstream/internal/admin"
)

// Storm reloads a pipeline again and again while messages flow, with files of which some are wrong, beside a pipeline that never changes.
type Storm struct {
	Binary string
	// Dir is an empty directory.
	Dir string
	// Name is that of the route; Where says where its brokers are.
	Name  string
	Where Where
	// Reloads is how many there are, Invalid how many of them are of files that must be refused.
	Reloads, Invalid int
	// Rate is how many messages are fed in a second, Keys how many keys they have.
	Rate, Keys int
	Rand       *rand.Rand
	// Patience bounds how long nothing new may come while messages are missing.
	Patience time.Duration

	taken    net.Listener // a port that is in use
	way      *stormWay
	still    *bystander
	process  *Process
	client   *admin.Client
	stopFeed func() error
}

const stormName = "faults-storm"

// Execute does it all; the error says what must not be, beside what the verdict counts.
func (s *Storm) Execute(ctx context.Context) (v StormVerdict, err error) {
	if s.taken, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return v, err
	}
	defer s.taken.Close() //nolint:errcheck // nobody connects
	if err := os.MkdirAll(filepath.Join(s.Dir, "pipelines"), 0o700); err != nil {
		return v, err
	}
	if s.way, err = openStormWay(ctx, s.Name, s.Where, s.Dir, s.Keys); err != nil {
		return v, err
	}
	defer s.way.Close()
	if s.still, err = newBystander(ctx, s.Name, s.Where, s.Dir); err != nil {
		return v, err
	}
	defer s.still.close()
	if err := errors.Join(s.put("still.yaml", s.still.pipeline()), s.put("p.yaml", s.way.pipeline(0, 0, 0))); err != nil {
		return v, err
	}
	if err := s.start(ctx); err != nil {
		return v, err
	}
	defer func() { s.process.Kill() }()
	if err := errors.Join(s.way.Out.Collect(), s.still.begin(ctx, s.Patience)); err != nil {
		return v, err
	}
	s.stopFeed = s.way.feed(ctx, s.Rate)
	err = s.reloads(ctx, &v)
	if err = errors.Join(err, s.stopFeed(), s.still.end(ctx)); err != nil {
		return v, fmt.Errorf("%w\n%s", err, s.process.Log())
	}
	if err := s.finish(&v); err != nil {
		return v, err
	}
	return v, s.compare(ctx, &v)
}

// start runs the process and waits until it has started everything.
func (s *Storm) start(ctx context.Context) (err error) {
	if s.process, err = Start(s.Binary, s.Dir, "pipelines", ""); err != nil {
		return err
	}
	s.client, err = ready(ctx, s.process, s.Dir, 2, s.Patience)
	return err
}

func (s *Storm) put(name, text string) error {
	next := filepath.Join(s.Dir, "next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(s.Dir, "pipelines", name))
}

// reloads changes the file and reloads, again and again.
func (s *Storm) reloads(ctx context.Context, v *StormVerdict) (err error) {
	// The last one is right: a process that ends on a file that could not be taken over says so with its exit code.
	invalid := slices.Concat(slices.Repeat([]bool{true}, s.Invalid), make([]bool, s.Reloads-s.Invalid))
	last := len(invalid) - 1
	s.Rand.Shuffle(last, func(i, j int) { invalid[i], invalid[j] = invalid[j], invalid[i] })
	if err := s.flows(ctx); err != nil {
		return err
	}
	if v.ReadersBefore, err = s.way.readers(ctx); err != nil {
		return err
	}
	v.FilesBefore = s.process.Files()
	version := [3]int{} // of source, nodes, sink
	for i := range s.Reloads {
		time.Sleep(time.Duration(s.Rand.IntN(100)) * time.Millisecond)
		next := version
		next[s.Rand.IntN(3)]++
		next[1] = max(next[1], i+1) // each version marks its messages
		text, wrong := s.way.pipeline(next[0], next[1], next[2]), ""
		if invalid[i] {
			text, wrong = s.spoil(text, v.Refused)
		}
		if err := s.put("p.yaml", text); err != nil {
			return err
		}
		receipt, raw, err := s.client.Reload(ctx)
		if err != nil {
			return fmt.Errorf("reload %d: %w", i, err)
		}
		if err := v.count(&receipt, wrong); err != nil {
			return fmt.Errorf("reload %d, with %q: %w\n%s\nwith the file\n%s", i, wrong, err, raw, text)
		}
		if invalid[i] {
			continue
		}
		version = next
		status, _, err := s.client.Status(ctx)
		if err == nil {
			err = v.exchanged(status.Attempts)
		}
		if err != nil {
			return fmt.Errorf("reload %d: %w\n%s", i, err, raw)
		}
	}
	if err := s.put("p.yaml", s.way.pipeline(version[0], version[1], version[2])); err != nil {
		return err
	}
	return s.settle(ctx, v)
}

// flows waits until messages come.
func (s *Storm) flows(ctx context.Context) error {
	before, _ := s.way.Out.Seen()
	for end := time.Now().Add(s.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if n, _ := s.way.Out.Seen(); n > before {
			return ctx.Err()
		}
	}
	return fmt.Errorf("nothing comes\n%s", s.process.Dump())
}

// settle looks at what the process and its brokers have open after the last reload, once what it closed is closed.
func (s *Storm) settle(ctx context.Context, v *StormVerdict) (err error) {
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		v.FilesAfter = s.process.Files()
		if v.ReadersAfter, err = s.way.readers(ctx); err != nil {
			return err
		}
		if v.FilesAfter <= v.FilesBefore && v.ReadersAfter == v.ReadersBefore {
			return nil
		}
	}
	return nil
}

// compare starts another process on the files as they are at the end, which has seen no reload, and notes how many goroutines it has.
func (s *Storm) compare(ctx context.Context, v *StormVerdict) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	s.process.Terminate()
	if !s.process.WaitExit(20 * time.Second) {
		return fmt.Errorf("the process did not end after SIGTERM\n%s", s.process.Dump())
	}
	v.GoroutinesFresh = s.process.goroutines()
	return nil
}
