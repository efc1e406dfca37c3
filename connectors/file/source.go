package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Source is the configuration of the file source. It reads the files as they are when the pipeline starts, in the order of their names,
// and then ends; with follow it goes on and on. Of a file whose name ends in .gz or .zst it reads what is compressed there. topic is the
// path of a record's file, source.offset the byte at which its line starts (of what comes out of a compressed file). With follow or
// resume, source.partition is a number that tells the files apart that have had the path.
type Source struct {
	// Path is a file, or a pattern with *, ? and [a-z] for several; each * stays within a directory and
	// does not begin with a name's first dot. It is an error when no file matches, but not with follow, which waits for one.
	Path yamldoc.Text `yaml:"path" required:"true"`
	// Framing is lines: each line is a message, empty ones are skipped; or whole: each file is one. With lines and decode: csv, the first
	// line of each file is its header, unless header says otherwise.
	Framing string `yaml:"framing" oneof:"lines whole" default:"lines"`
	// Follow goes on as files grow, and with files that come to match the pattern; the pipeline does not end. A file that is renamed
	// (log rotation) is read to its end before the next one of its path, one that is cut is read from its beginning. How far each file
	// has been settled is kept as with resume. A line counts when its end is there. Each path is a lane of its own, which keeps its order. A
	// file that was renamed or removed is done when it has not grown for a minute. A file that is rotated twice while nobody looks is
	// missed unless the pattern names what it is renamed to (app.log*); that pattern must not name compressed copies.
	Follow bool `yaml:"follow"`
	// Start says where the first run with follow begins in files that are there: at their beginning, or at their end. Later runs go on
	// where the last one stopped, and files that come later are read from their beginning.
	Start string `yaml:"start" oneof:"beginning end"`
	// Resume keeps how far each file has been settled in the state directory, and the next run goes on there: in the middle of a file
	// that has grown, or nowhere when all has been read. A file is known by its number, its first bytes and those before the position: one
	// that was renamed in its directory is read to its end, one that was replaced or cut from its beginning. A last line that has no end
	// may be half written; it is left for the next run, and that is logged. It needs framing: lines, as follow does.
	Resume bool `yaml:"resume"`
	// MaxExpansion is how many times as large as itself a compressed file of more than 16 MiB content may become; more is an error.
	MaxExpansion int `yaml:"max_expansion" default:"100"`
}

// BuildSource implements config.SourceConfig.
func (c *Source) BuildSource(b *config.Builder) config.Source {
	pattern := c.Path.Text
	if _, err := filepath.Match(pattern, ""); err != nil {
		b.Findings.Add(c.Path.Whole(diag.BadValue, "the pattern is not complete", "close the bracket, or write \\[ for the bracket itself"))
	}
	if pattern == "" && !c.Path.Undefined {
		b.Findings.Add(c.Path.Whole(diag.BadValue, "path is empty", "write a file or a pattern such as in/*.ndjson"))
	}
	transport.CheckSecret(b, &c.Path)
	c.check(b)
	whole, traits := c.Framing == framingWhole, flow.Traits{Finite: !c.Follow, Single: c.Follow || c.Resume, Address: address(pattern)}
	connect := func(context.Context, flow.Host) error { return connectSource(pattern, c.Follow) }
	reads := func(at string) bool { return covers(pattern, at) }
	if c.Follow || c.Resume {
		k := keeping{pattern: pattern, under: b.Under, follow: c.Follow, fromEnd: c.Start == startEnd, ratio: c.MaxExpansion, patience: letGoAfter}
		return config.Source{
			Traits: traits, Connect: connect, Reads: reads, Lines: true,
			Open: func(_ context.Context, host flow.Host) (flow.Source, error) { return openFollower(k, host) },
		}
	}
	under := b.Under
	return config.Source{
		Traits: traits, Connect: connect, Reads: reads, Lines: !whole,
		Open: func(_ context.Context, host flow.Host) (flow.Source, error) {
			paths, err := find(pattern)
			if err != nil {
				return nil, err
			}
			return &source{
				paths: paths, whole: whole, ratio: c.MaxExpansion, limits: host.Limits(), under: under,
				batcher: lines.Batcher{Lane: flow.NewLane(pattern), Limits: host.Limits()},
			}, nil
		},
	}
}

const startEnd = "end"

// check reports options that do not go together.
func (c *Source) check(b *config.Builder) {
	whole := c.Framing == framingWhole
	if c.Follow && whole {
		b.Value.Finding(b.Findings, diag.ConflictingKey, "follow needs framing: lines", "leave follow out: one cannot see whether a file is whole while it may grow")
	} else if c.Resume && whole {
		b.Value.Finding(b.Findings, diag.ConflictingKey, "resume needs framing: lines", "leave resume out; each whole file is read at every run")
	}
	if c.Start != "" && !c.Follow {
		b.Value.Finding(b.Findings, diag.ConflictingKey, "start is for follow: true", "leave start out: without follow, files are read from their beginning")
	}
	if c.MaxExpansion < 1 {
		b.Value.Finding(b.Findings, diag.BadValue, "max_expansion is below 1", "leave it out for 100")
	}
}

// connectSource looks whether the files can be read.
func connectSource(pattern string, follow bool) error {
	paths, err := find(pattern)
	if e := (*flow.Error)(nil); follow && errors.As(err, &e) && e.Code == flow.CodeMissing {
		return nil
	}
	if err != nil {
		return err
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue // opening a named pipe would take part in it
		}
		f, err := os.Open(path)
		if err != nil {
			return openError(err, flow.ConfigError)
		}
		_ = f.Close()
	}
	return nil
}

// source reads files once, from their beginning to their end.
type source struct {
	paths   []string
	whole   bool
	ratio   int
	limits  flow.Limits
	under   func(header []byte) document.Coder // nil: no line is a header
	batcher lines.Batcher
	pool    lines.Pool
}

// Run implements flow.Source.
func (s *source) Run(ctx context.Context, in flow.Intake) error {
	var err error
	if s.whole {
		err = s.readWhole(ctx, in)
	} else {
		for _, path := range s.paths {
			if err = s.readLines(ctx, in, path); err != nil || ctx.Err() != nil {
				break
			}
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // a source that is told to stop has not failed
	}
	return err
}

// openToRead opens a file. A read that waits, as on a named pipe, ends with ctx.
func openToRead(ctx context.Context, path string) (f *os.File, closing func(), err error) {
	f, err = os.Open(path)
	if err != nil {
		return nil, nil, openError(err, flow.ConfigError)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	return f, func() {
		stop()
		_ = f.Close()
	}, nil
}

func (s *source) readLines(ctx context.Context, in flow.Intake, path string) error {
	f, closing, err := openToRead(ctx, path)
	if err != nil {
		return err
	}
	defer closing()
	from, end, err := expand(path, f, s.ratio)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer end()
	s.batcher.Topic, s.batcher.Heading = path, headingOf(s.under)
	reader := lines.NewReader(from, &s.pool, func() int64 { return s.limits.MaxMessage })
	defer reader.Close()
	for ctx.Err() == nil {
		segment, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		err = s.pushLines(ctx, in, &segment)
		segment.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *source) pushLines(ctx context.Context, in flow.Intake, segment *lines.Segment) error {
	arrived := time.Now().UnixNano()
	for {
		b := s.batcher.Cut(segment, arrived)
		if b == nil {
			return nil
		}
		if err := in.Push(ctx, b); err != nil {
			s.Settle(b)
			return err
		}
	}
}

// readWhole makes batches of small files; a large one travels alone.
func (s *source) readWhole(ctx context.Context, in flow.Intake) error {
	for at := 0; at < len(s.paths) && ctx.Err() == nil; {
		b := &flow.Batch{Lane: s.batcher.Lane, Arrived: time.Now().UnixNano()}
		for room := s.limits.BatchBytes(); at < len(s.paths) && len(b.Records) < s.limits.BatchRecords() && room > 0; at++ {
			r, err := s.readFile(ctx, s.paths[at])
			if err != nil {
				return err
			}
			room -= int64(len(r.Body))
			b.Records = append(b.Records, r)
		}
		if err := in.Push(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// headBytes is how much of a file over the limit is kept, to show it.
const headBytes = 64 << 10

func (s *source) readFile(ctx context.Context, path string) (flow.Record, error) {
	f, closing, err := openToRead(ctx, path)
	if err != nil {
		return flow.Record{}, err
	}
	defer closing()
	from, end, err := expand(path, f, s.ratio)
	if err != nil {
		return flow.Record{}, fmt.Errorf("read %s: %w", path, err)
	}
	defer end()
	most := s.limits.MaxMessage
	body, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return flow.Record{}, fmt.Errorf("read %s: %w", path, err)
	}
	r := flow.Record{Body: body, Topic: path, Partition: flow.NoPartition, Attempt: 1}
	if int64(len(body)) > most {
		r.Body = slices.Clone(body[:min(len(body), headBytes)])
		r.Failure = flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the file has more than %d bytes, which is max_message", most)
	}
	return r, nil
}

// Settle implements flow.Source. Files stay as they are.
func (s *source) Settle(b *flow.Batch) {
	if b.Memory != nil {
		s.batcher.Settle(b)
	}
}

// Close implements flow.Source.
func (s *source) Close(context.Context) error { return nil }
