package stdio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/stdio"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func source(t *testing.T, types []config.ConnectorType) config.Source {
	t.Helper()
	cfg := types[0].NewSource()
	var built config.Source
	if _, findings := connectortest.Build(t, "{}", cfg, func(b *config.Builder) { built = cfg.BuildSource(b) }); findings != nil {
		t.Fatal(findings)
	}
	return built
}

func sink(t *testing.T, types []config.ConnectorType) config.Sink {
	t.Helper()
	cfg := types[1].NewSink()
	var built config.Sink
	if _, findings := connectortest.Build(t, "{}", cfg, func(b *config.Builder) { built = cfg.BuildSink(b) }); findings != nil {
		t.Fatal(findings)
	}
	return built
}

func open(t *testing.T, built config.Source, host *connectortest.Host) flow.Source {
	t.Helper()
	s, err := built.Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read runs a source over r to its end.
func read(t *testing.T, r io.Reader, limits flow.Limits) []connectortest.Got {
	t.Helper()
	host := connectortest.NewHost(t)
	host.Bounds = limits
	s := open(t, source(t, stdio.Types(r, io.Discard)), host)
	in := &connectortest.Intake{Source: s}
	if err := s.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := in.Offence(); err != nil {
		t.Error(err)
	}
	return in.Got()
}

func TestStdinKeepsTheContractOfSources(t *testing.T) {
	text, want := &strings.Builder{}, []string(nil)
	for i := range 3000 {
		line := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", i%300))
		want = append(want, line)
		fmt.Fprintln(text, line)
	}
	connectortest.Source(t, connectortest.SourceSuite{
		Finite: true,
		Want:   want,
		Open: func(t *testing.T, host *connectortest.Host) flow.Source {
			return open(t, source(t, stdio.Types(strings.NewReader(text.String()), io.Discard)), host)
		},
		Idle: func(t *testing.T, host *connectortest.Host) flow.Source {
			r, w := io.Pipe()
			t.Cleanup(func() { _ = w.Close() })
			return open(t, source(t, stdio.Types(r, io.Discard)), host)
		},
	})
}

func TestStdinReadsLines(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		offsets    []int64
	}{
		{name: "nothing", text: "", want: []string{}},
		{name: "one line", text: "a\n", want: []string{"a"}, offsets: []int64{0}},
		{name: "a last line without an end", text: "a\nb", want: []string{"a", "b"}, offsets: []int64{0, 2}},
		{name: "carriage returns at the ends go", text: "a\r\nb\r\nc\r", want: []string{"a", "b", "c"}, offsets: []int64{0, 3, 6}},
		{name: "a carriage return inside stays", text: "a\rb\n", want: []string{"a\rb"}, offsets: []int64{0}},
		{name: "empty lines are skipped", text: "\n\na\n\r\n\nb\n\n", want: []string{"a", "b"}, offsets: []int64{2, 7}},
		{name: "a line of blanks is not empty", text: "  \n", want: []string{"  "}, offsets: []int64{0}},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the end in the last read": iotest.DataErrReader,
	}
	for _, test := range tests {
		for how, wrap := range readers {
			t.Run(test.name+", "+how, func(t *testing.T) {
				bodies, offsets := []string{}, []int64(nil)
				for _, g := range read(t, wrap(strings.NewReader(test.text)), connectortest.DefaultLimits()) {
					bodies, offsets = append(bodies, string(g.Body)), append(offsets, g.Offset)
				}
				if diff := cmp.Diff(test.want, bodies); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(test.offsets, offsets); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestALineOverTheLimitFailsAloneWithItsBeginning(t *testing.T) {
	const limit = 100 << 10
	limits := connectortest.DefaultLimits()
	limits.MaxMessage = limit
	for _, size := range []int{limit - 1, limit, limit + 1, limit + 2, 300 << 10, 3 << 20} {
		for _, end := range []string{"\n", "\r\n"} {
			t.Run(fmt.Sprintf("%d bytes and %q", size, end), func(t *testing.T) {
				long := strings.Repeat("0123456789abcdef", size/16+1)[:size]
				got := read(t, strings.NewReader("before"+end+long+end+"after"), limits)
				if len(got) != 3 || string(got[0].Body) != "before" || string(got[2].Body) != "after" {
					t.Fatalf("%d records", len(got))
				}
				if at := int64(len("before") + len(end)); got[1].Offset != at || got[2].Offset != at+int64(size+len(end)) {
					t.Errorf("offsets %d and %d", got[1].Offset, got[2].Offset)
				}
				if size <= limit {
					if got[1].Failure != nil || string(got[1].Body) != long {
						t.Errorf("a line within the limit did not come whole: %v", got[1].Failure)
					}
					return
				}
				f := got[1].Failure
				if f == nil || f.Code != flow.CodeTooLarge || f.Class != flow.Permanent {
					t.Fatalf("failure %+v", f)
				}
				if string(got[1].Body) != long[:64<<10] {
					t.Errorf("the body has %d bytes, want the first 64 KiB of the line", len(got[1].Body))
				}
			})
		}
	}
}

func TestLongLinesWithinTheLimitComeWhole(t *testing.T) {
	limits := connectortest.DefaultLimits()
	limits.MaxMessage = 64 << 20
	var want []string
	for i, size := range []int{10, 1 << 20, 20, 5 << 20, 30, 300 << 10, 20 << 20, 1} {
		want = append(want, strings.Repeat(string(rune('a'+i)), size))
	}
	got := read(t, strings.NewReader(strings.Join(want, "\n")), limits)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if string(got[i].Body) != want[i] {
			t.Errorf("line %d has changed", i)
		}
	}
}

func TestStdinReportsABrokenStreamAfterWhatCameBefore(t *testing.T) {
	broken := errors.New("the cable is cut")
	types := stdio.Types(io.MultiReader(strings.NewReader("a\nb\nhalf"), iotest.ErrReader(broken)), io.Discard)
	s := open(t, source(t, types), connectortest.NewHost(t))
	in := &connectortest.Intake{Source: s}
	if err := s.Run(t.Context(), in); !errors.Is(err, broken) {
		t.Errorf("Run gave %v", err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, in.Bodies()); diff != "" {
		t.Error(diff)
	}
}

func TestTheNextSourceGoesOnWhereTheLastOneStopped(t *testing.T) {
	r, w := io.Pipe()
	types := stdio.Types(r, io.Discard)
	var want []string
	for i := range 2000 {
		want = append(want, fmt.Sprint(i))
	}
	go func() {
		for _, line := range want {
			_, _ = fmt.Fprintln(w, line)
		}
		_ = w.Close()
	}()
	refusal := errors.New("the pipeline stops")
	var all []string
	for round := 0; len(all) < len(want); round++ {
		s := open(t, source(t, types), connectortest.NewHost(t))
		batches := 0
		in := &connectortest.Intake{Source: s, Pushed: func(*flow.Batch) error {
			if batches++; batches > round {
				return refusal
			}
			return nil
		}}
		if err := s.Run(t.Context(), in); err != nil && !errors.Is(err, refusal) {
			t.Fatal(err)
		}
		all = append(all, in.Bodies()...)
		_ = s.Close(t.Context())
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

func TestOneSourceReadsStdinAtATime(t *testing.T) {
	built := source(t, stdio.Types(strings.NewReader(""), io.Discard))
	first := open(t, built, connectortest.NewHost(t))
	if _, err := built.Open(t.Context(), connectortest.NewHost(t)); err == nil || !strings.Contains(err.Error(), "reads it already") {
		t.Errorf("the second source was opened: %v", err)
	}
	_ = first.Close(t.Context())
	_ = open(t, built, connectortest.NewHost(t)).Close(t.Context())
}

func TestStdoutKeepsTheContractOfSinks(t *testing.T) {
	connectortest.Sink(t, connectortest.SinkSuite{
		Open: func(t *testing.T, host *connectortest.Host) (flow.Sink, flow.Preparer, func() []string) {
			out := &bytes.Buffer{}
			built := sink(t, stdio.Types(nil, out))
			s, err := built.Open(t.Context(), host)
			if err != nil {
				t.Fatal(err)
			}
			return s, built.Preparer, func() []string { return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") }
		},
	})
}

func TestStdoutRefusesWhatIsNoLine(t *testing.T) {
	built := sink(t, stdio.Types(nil, io.Discard))
	for name, body := range map[string][]byte{"a newline": []byte("a\nb"), "no payload": nil} {
		_, err := connectortest.Outgoing(built.Preparer, flow.Record{Body: body, Attempt: 1}, nil)
		var e *flow.Error
		if !errors.As(err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeEncode {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := connectortest.Outgoing(built.Preparer, flow.Record{Body: []byte{}, Attempt: 1}, nil); err != nil {
		t.Errorf("an empty payload is an empty line: %v", err)
	}
}

// shortWriter takes some bytes of a write and then fails, once.
type shortWriter struct {
	bytes.Buffer
	room int
	err  error
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if w.err == nil || len(p) <= w.room {
		return w.Buffer.Write(p)
	}
	n, _ := w.Buffer.Write(p[:w.room])
	err := w.err
	w.err = nil
	return n, err
}

func TestAFailedWriteConfirmsWholeLinesAndTearsNone(t *testing.T) {
	for room := range 9 {
		t.Run(fmt.Sprintf("after %d bytes", room), func(t *testing.T) {
			w := &shortWriter{room: room, err: syscall.ENOSPC}
			built := sink(t, stdio.Types(nil, w))
			s, err := built.Open(t.Context(), connectortest.NewHost(t))
			if err != nil {
				t.Fatal(err)
			}
			outs, err := connectortest.Outgoings(built.Preparer, "aa", "bb", "cc")
			if err != nil {
				t.Fatal(err)
			}
			if err := connectortest.Send(t.Context(), s, outs); err != nil {
				t.Fatal(err)
			}
			var again []*flow.Outgoing
			for i, o := range outs {
				if (o.Err == nil) != ((i+1)*3 <= room) {
					t.Errorf("message %d: %v", i, o.Err)
				}
				if o.Err != nil {
					if e := flow.AsError(o.Err, flow.Poison, ""); e.Class != flow.Transient {
						t.Errorf("message %d: class %s", i, e.Class)
					}
					again = append(again, o)
				}
			}
			if err := connectortest.Send(t.Context(), s, again); err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n") {
				if line != "aa" && line != "bb" && line != "cc" {
					t.Errorf("torn line %q in %q", line, w.String())
				}
			}
			for _, line := range []string{"aa\n", "bb\n", "cc\n"} {
				if !strings.Contains(w.String(), line) {
					t.Errorf("%q is missing in %q", line, w.String())
				}
			}
		})
	}
}

func TestAClosedPipeIsNotRetried(t *testing.T) {
	r, w := io.Pipe()
	_ = r.Close()
	built := sink(t, stdio.Types(nil, w))
	s, err := built.Open(t.Context(), connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	outs, err := connectortest.Outgoings(built.Preparer, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := connectortest.Send(t.Context(), s, outs); err != nil {
		t.Fatal(err)
	}
	if e := flow.AsError(outs[0].Err, flow.Transient, ""); e == nil || e.Class != flow.ConfigError {
		t.Errorf("got %v", outs[0].Err)
	}
}

func TestSendDoesNotOutliveItsContextWhenNobodyReads(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }()
	built := sink(t, stdio.Types(nil, w))
	s, err := built.Open(t.Context(), connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	outs, err := connectortest.Outgoings(built.Preparer, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		one := make([]byte, 1)
		_, _ = r.Read(one)
		cancel()
	}()
	if err := connectortest.Send(ctx, s, outs); err != nil {
		t.Fatal(err)
	}
	for i, o := range outs {
		if o.Err == nil {
			t.Errorf("message %d is confirmed", i)
		}
	}
}
