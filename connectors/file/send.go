package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
)

// options are what a sink was configured with.
type options struct {
	constant string // the path when no message has a say in it
	literal  int
	head     string // the header line of each file; empty: none
	whole    bool
	sync     string
	rotate   rotation
	// openFiles is how many files the sink keeps open: the one that was not written for longest is closed for a new one. maxFiles is how
	// many different ones messages may lead to within forgetAfter.
	openFiles, maxFiles int
}

// forgetAfter is how long a file counts that is not written any more.
const forgetAfter = 24 * time.Hour

type sink struct {
	options
	host flow.Host

	mu     sync.Mutex
	open   map[string]*openFile
	known  map[string]time.Time // the files that messages have led to, and when last
	clock  int64
	writer wholeWriter
}

// openFile is a file that a sink has open.
type openFile struct {
	*appender
	release func() error
	users   int
	last    int64
}

func open(ctx context.Context, o options, host flow.Host) (flow.Sink, error) {
	s := &sink{options: o, host: host, open: map[string]*openFile{}, known: map[string]time.Time{}}
	s.writer.lasting = location.syncDirs
	s.writer.hidden = "." + host.Pipeline() + "." + host.Name() + "." + filepath.Base(host.Instance()) + ".tmp"
	if o.constant == "" {
		return s, nil
	}
	f, err := s.take(o.constant)
	if err != nil {
		return nil, err
	}
	err = f.probe()
	s.giveBack(f)
	if err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// Send implements flow.Sink.
func (s *sink) Send(ctx context.Context, outs []*flow.Outgoing, done func()) {
	defer done()
	if s.constant != "" {
		s.send(ctx, s.constant, outs)
		return
	}
	for _, group := range byDest(outs) {
		s.send(ctx, group[0].Dest, group)
	}
}

// byDest groups messages by their path, in the order in which the paths come up; within a group the order stays.
func byDest(outs []*flow.Outgoing) [][]*flow.Outgoing {
	var groups [][]*flow.Outgoing
	index := map[string]int{}
	for _, o := range outs {
		i, ok := index[o.Dest]
		if !ok {
			i = len(groups)
			index[o.Dest] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], o)
	}
	return groups
}

func (s *sink) send(ctx context.Context, path string, outs []*flow.Outgoing) {
	if ctx.Err() != nil {
		fail(outs, stopped(ctx))
		return
	}
	if s.whole {
		at, err := renderedLocation(path, s.literal)
		for _, o := range outs {
			if o.Err = err; err == nil {
				o.Err = s.writer.write(at, o.Body, s.sync)
			}
		}
		return
	}
	f, err := s.take(path)
	if err != nil {
		fail(outs, err)
		return
	}
	f.append(outs, manner{head: s.head, sync: s.sync, rotate: s.rotate, log: s.host.Logger()})
	s.giveBack(f)
}

// take lends the appender of a path until giveBack.
func (s *sink) take(path string) (*openFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(path); err != nil {
		return nil, err
	}
	f, ok := s.open[path]
	if !ok {
		var err error
		if f, err = s.share(path); err != nil {
			return nil, err
		}
		s.open[path] = f
	}
	s.clock++
	f.last = s.clock
	f.users++
	s.closeOldest()
	return f, nil
}

// admit bounds how many files messages can make.
func (s *sink) admit(path string) error {
	if s.constant != "" {
		return nil
	}
	now := time.Now()
	if _, ok := s.known[path]; !ok && len(s.known) >= s.maxFiles {
		maps.DeleteFunc(s.known, func(_ string, last time.Time) bool { return now.Sub(last) > forgetAfter })
		if len(s.known) >= s.maxFiles {
			return flow.Errorf(flow.Permanent, flow.CodeRefused, "the messages of a day lead to more than %d files, which is max_files", s.maxFiles)
		}
	}
	s.known[path] = now
	return nil
}

func (s *sink) giveBack(f *openFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.users--
}

// share opens the one appender of a path that the engine has.
func (s *sink) share(path string) (*openFile, error) {
	at, name := constantLocation(path), flow.ConfigError
	if s.constant == "" {
		var err error
		if at, err = renderedLocation(path, s.literal); err != nil {
			return nil, err
		}
		name = flow.Permanent
	}
	whole, err := at.identity()
	if err != nil {
		return nil, openError(err, flow.ConfigError)
	}
	shared, release, err := s.host.Share("file\x00"+whole, func() (io.Closer, error) { return &appender{at: at, name: name, now: time.Now}, nil })
	if err != nil {
		return nil, err
	}
	a, ok := shared.(*appender)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open %s: something else is shared under its name", path), release())
	}
	return &openFile{appender: a, release: release}, nil
}

// closeOldest closes the file that was used longest ago while there are too many.
func (s *sink) closeOldest() {
	for len(s.open) > s.openFiles {
		oldest := ""
		for path, f := range s.open {
			if f.users == 0 && (oldest == "" || f.last < s.open[oldest].last) {
				oldest = path
			}
		}
		if oldest == "" {
			return
		}
		if err := s.open[oldest].release(); err != nil {
			s.host.Logger().Warn("close a file", "path", oldest, "error", err)
		}
		delete(s.open, oldest)
	}
}

// Close implements flow.Sink.
func (s *sink) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for path, f := range s.open {
		errs = append(errs, f.release())
		delete(s.open, path)
	}
	return errors.Join(errs...)
}
