package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Source is the configuration of the file source. It reads the files as they are when the pipeline starts, in the order of their names,
// and then ends. topic is the path of a record's file, source.offset the byte at which its line starts.
type Source struct {
	// Path is a file, or a pattern with *, ? and [a-z] for several; each * stays within a directory and
	// does not begin with a name's first dot. It is an error when no file matches.
	Path yamldoc.Text `yaml:"path" required:"true"`
	// Framing is lines: each line is a message, empty ones are skipped; or whole: each file is one.
	Framing string `yaml:"framing" oneof:"lines whole" default:"lines"`
	// Resume keeps how far each file has been settled in the state directory, and the next run goes on there: in the middle of a file
	// that has grown, or nowhere when all has been read. A file that was replaced, or has become shorter, is read from its beginning.
	// It needs framing: lines.
	Resume bool `yaml:"resume"`
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
	if c.Resume && c.Framing == framingWhole {
		b.Value.Finding(b.Findings, diag.ConflictingKey, "resume needs framing: lines", "leave resume out; each whole file is read at every run")
	}
	return config.Source{
		Traits: flow.Traits{Finite: true, Address: address(pattern)},
		Open: func(_ context.Context, host flow.Host) (flow.Source, error) {
			paths, err := find(pattern)
			if err != nil {
				return nil, err
			}
			s := &source{
				paths: paths, whole: c.Framing == framingWhole, limits: host.Limits(), log: host.Logger(),
				batcher: lines.Batcher{Lane: flow.NewLane(pattern), Limits: host.Limits()},
			}
			if c.Resume {
				if s.positions, err = openPositions(host.StateDir()); err != nil {
					return nil, err
				}
			}
			return s, nil
		},
	}
}

// find lists the files of a pattern. A name that exists as it stands is no pattern.
func find(pattern string) ([]string, error) {
	if info, err := os.Stat(pattern); err == nil {
		if info.IsDir() {
			return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "open %s: it is a directory; write %s for the files in it", pattern, filepath.Join(pattern, "*"))
		}
		return []string{pattern}, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, openError(err, flow.ConfigError)
	}
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "open %s: %w", pattern, err)
	}
	matches = slices.DeleteFunc(matches, func(path string) bool {
		info, err := os.Stat(path)
		return hidden(path) && !hidden(pattern) || err == nil && info.IsDir()
	})
	if len(matches) == 0 {
		return nil, flow.Errorf(flow.ConfigError, flow.CodeMissing, "open %s: no file matches", pattern)
	}
	slices.Sort(matches)
	return matches, nil
}

func hidden(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") }

type source struct {
	paths   []string
	whole   bool
	limits  flow.Limits
	batcher lines.Batcher
	pool    lines.Pool
	log     *slog.Logger
	// positions are nil when the source starts at the beginning each time.
	positions *positions
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
	s.batcher.Topic = path
	reader := lines.NewReader(f, &s.pool, func() int64 { return s.limits.MaxMessage })
	defer reader.Close()
	if s.positions != nil {
		if err := s.goOn(f, path, reader); err != nil {
			return err
		}
	}
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

// goOn starts reading where an earlier run has settled everything.
func (s *source) goOn(f *os.File, path string, reader *lines.Reader) error {
	info, err := f.Stat()
	if err != nil {
		return openError(err, flow.ConfigError)
	}
	offset := s.positions.start(path, info)
	if offset == 0 {
		return nil
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	reader.StartAt(offset)
	return nil
}

func (s *source) pushLines(ctx context.Context, in flow.Intake, segment *lines.Segment) error {
	arrived := time.Now().UnixNano()
	for {
		b := s.batcher.Cut(segment, arrived)
		if b == nil {
			return nil
		}
		if s.positions != nil {
			s.positions.push(b, s.batcher.Topic, segment.Offset)
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
	most := s.limits.MaxMessage
	body, err := io.ReadAll(io.LimitReader(f, most+1))
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

// Settle implements flow.Source. Files stay as they are; with resume the next run goes on behind what is settled.
func (s *source) Settle(b *flow.Batch) {
	if s.positions != nil {
		if err := s.positions.settle(b); err != nil {
			s.log.Error("the position could not be kept; a next run repeats what came since", "error", err)
		}
	}
	if b.Memory != nil {
		s.batcher.Settle(b)
	}
}

// Close implements flow.Source.
func (s *source) Close(context.Context) error {
	if s.positions == nil {
		return nil
	}
	return s.positions.close()
}
