package stdio_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/stdio"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

// header is the coder of lines under the header that it is.
type header string

func (h header) Decode(line []byte) (value.Value, error) {
	return value.String(string(h) + "|" + string(line)), nil
}

func (h header) Append(dst []byte, _ value.Value) ([]byte, error) { return dst, errors.ErrUnsupported }

func TestWhateverSourceReadsStdinItsFirstLineIsTheHeader(t *testing.T) {
	types := stdio.Types(strings.NewReader("\na,b\n1,2\n3,4\n5,6\n"), io.Discard)
	cfg := types[0].NewSource()
	var built config.Source
	if _, findings := connectortest.Build(t, "{}", cfg, func(b *config.Builder) {
		b.Under = func(line []byte) document.Coder { return header(line) }
		built = cfg.BuildSource(b)
	}); findings != nil {
		t.Fatal(findings)
	}
	var got []string
	for _, most := range []int{0, 1, 9} { // batches that are taken before a push fails
		host := connectortest.NewHost(t)
		host.Bounds = flow.Limits{MaxMessage: 100, InFlight: 4, InFlightBytes: 4}
		s := open(t, built, host)
		full := errors.New("full")
		in := &connectortest.Intake{Source: s, Pushed: func(b *flow.Batch) error {
			if most--; most < 0 {
				return full
			}
			v, _ := b.Coder.Decode(b.Records[0].Body)
			got = append(got, v.Str())
			return nil
		}}
		if err := s.Run(t.Context(), in); most < 0 != errors.Is(err, full) {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"a,b|1,2", "a,b|3,4", "a,b|5,6"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAHeaderLineGoesOutOnceAlsoWhenTheFirstWriteFails(t *testing.T) {
	var out bytes.Buffer
	w := &failing{to: &out, left: 2}
	types := stdio.Types(nil, w)
	cfg := types[1].NewSink()
	var built config.Sink
	connectortest.Build(t, "{}", cfg, func(b *config.Builder) {
		b.Head = []byte("a,b")
		built = cfg.BuildSink(b)
	})
	for range 2 { // as a reload opens it again
		s, err := built.Open(t.Context(), connectortest.NewHost(t))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			outs, err := connectortest.Outgoings(built.Preparer, "1,2")
			if err = errors.Join(err, connectortest.Send(t.Context(), s, outs)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := out.String(); got != "a,b\n1,2\n1,2\n1,2\n" {
		t.Errorf("%q", got)
	}
}

// failing writes a few bytes, fails once, and writes on.
type failing struct {
	to   io.Writer
	left int
}

func (f *failing) Write(b []byte) (int, error) {
	if f.left > 0 {
		n, _ := f.to.Write(b[:f.left])
		f.left = 0
		return n, errors.New("broken")
	}
	return f.to.Write(b)
}
