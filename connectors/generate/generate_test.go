package generate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/generate"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/pipelines/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func build(t testing.TB, text string) config.Source {
	t.Helper()
	cfg := generate.Type().NewSource()
	var built config.Source
	if _, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSource(b) }); findings != nil {
		t.Fatal(findings)
	}
	return built
}

func open(t testing.TB, text string, host *connectortest.Host) flow.Source {
	t.Helper()
	s, err := build(t, text).Open(context.Background(), host)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGenerateKeepsTheContractOfSources(t *testing.T) {
	var want []string
	for n := range 2000 {
		want = append(want, fmt.Sprintf(`{"n":%d,"name":"veh-%d"}`, n, n%7))
	}
	text := "count: 2000\nbody: |\n  {n: n, name: sprintf(\"veh-%d\", n % 7)}\n"
	connectortest.Source(t, connectortest.SourceSuite{
		Finite: true, Want: want,
		Open: func(t *testing.T, host *connectortest.Host) flow.Source { return open(t, text, host) },
		Idle: func(t *testing.T, host *connectortest.Host) flow.Source {
			return open(t, "body: n\nrate: 1/h\n", host)
		},
	})
	connectortest.Source(t, connectortest.SourceSuite{
		Want: want[:1],
		Open: func(t *testing.T, host *connectortest.Host) flow.Source {
			return open(t, "count: 1\nbody: '{n: n, name: \"veh-0\"}'\n", host)
		},
	})
}

func TestGenerateIsFiniteWhenItCounts(t *testing.T) {
	if build(t, "body: n\n").Traits.Finite || !build(t, "body: n\ncount: 0\n").Traits.Finite {
		t.Error("count decides whether the source ends")
	}
	in := &connectortest.Intake{}
	s := open(t, "body: n\ncount: 0\n", connectortest.NewHost(t))
	in.Source = s
	if err := s.Run(t.Context(), in); err != nil || len(in.Got()) != 0 {
		t.Errorf("%v, %d records", err, len(in.Got()))
	}
}

func TestABodyThatFailsFailsItsRecordAlone(t *testing.T) {
	in := &connectortest.Intake{}
	s := open(t, "body: 'n == 1 ? fail(\"one\") : n'\ncount: 3\n", connectortest.NewHost(t))
	in.Source = s
	if err := s.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	got := in.Got()
	if diff := cmp.Diff([]string{"0", "", "2"}, in.Bodies()); diff != "" {
		t.Fatal(diff)
	}
	if got[0].Failure != nil || got[2].Failure != nil || got[1].Failure == nil || got[1].Failure.Code != flow.CodeFailed {
		t.Errorf("failures %v %v %v", got[0].Failure, got[1].Failure, got[2].Failure)
	}
	if got[1].Offset != 1 || got[1].Topic != "component" {
		t.Errorf("position %s@%d", got[1].Topic, got[1].Offset)
	}
}

func TestLargeBodiesStayWholeWhenTheBufferGrows(t *testing.T) {
	in := &connectortest.Intake{}
	s := open(t, "body: repeat(\"x\", n * 1000)\ncount: 100\n", connectortest.NewHost(t))
	in.Source = s
	if err := s.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for n, body := range in.Bodies() {
		if want := `"` + strings.Repeat("x", n*1000) + `"`; body != want {
			t.Fatalf("body %d has %d bytes, want %d", n, len(body), len(want))
		}
	}
	if err := in.Offence(); err != nil {
		t.Error(err)
	}
}

func TestTextIsNotQuotedWhereBodiesAreText(t *testing.T) {
	cfg := generate.Type().NewSource()
	var built config.Source
	_, findings := connectortest.Build(t, "body: '\"line \" + string(n)'\ncount: 2\n", cfg, func(b *config.Builder) {
		b.Scope.Format = document.Text
		built = cfg.BuildSource(b)
	})
	if findings != nil {
		t.Fatal(findings)
	}
	s, err := built.Open(t.Context(), connectortest.NewHost(t))
	if err != nil {
		t.Fatal(err)
	}
	in := &connectortest.Intake{Source: s}
	if err := s.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"line 0", "line 1"}, in.Bodies()); diff != "" {
		t.Error(diff)
	}
}

func TestTheRateIsKept(t *testing.T) {
	tests := []struct {
		rate  string
		after time.Duration
		want  int
	}{
		{"10/s", 3*time.Second + time.Millisecond, 31},
		{"1/m", 3*time.Minute + time.Millisecond, 4},
		{"5000/s", time.Second + time.Microsecond, 5001},
	}
	for _, test := range tests {
		t.Run(test.rate, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, "body: n\nrate: "+test.rate+"\n", connectortest.NewHost(t))
				in := &connectortest.Intake{Source: s}
				ctx, cancel := context.WithTimeout(t.Context(), test.after)
				defer cancel()
				if err := s.Run(ctx, in); err != nil {
					t.Fatal(err)
				}
				if got := len(in.Got()); got != test.want {
					t.Errorf("%d messages in %v, want %d", got, test.after, test.want)
				}
			})
		})
	}
}

func TestASlowPipelineIsNotFloodedAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "body: n\nrate: 10/s\n", connectortest.NewHost(t))
		in := &connectortest.Intake{Source: s}
		slow := true
		in.Pushed = func(*flow.Batch) error {
			if slow {
				slow = false
				time.Sleep(time.Hour)
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour+time.Second+time.Millisecond)
		defer cancel()
		if err := s.Run(ctx, in); err != nil {
			t.Fatal(err)
		}
		if got := len(in.Got()); got != 22 {
			t.Errorf("%d messages, want 1 before the hour, 11 right after it and 10 in the second that followed", got)
		}
	})
}

func TestMistakesInAGeneratorAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"count: 1\n":               "missing-key",
		"body: topic\n":            "topic",
		"body: n\nseed: 4\n":       "not-available",
		"body: n\ncount: -1\n":     "bad-value",
		"body: n\ncount: many\n":   "",
		"body: n\nrate: fast\n":    "bad-value",
		"body: n\nevery: 1s\n":     "unknown-key",
		"body: {a: n}\ncount: 1\n": "unquoted-braces",
	} {
		cfg := generate.Type().NewSource()
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { cfg.BuildSource(b) })
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}

// counter settles at once.
type counter struct{ source flow.Source }

func (c counter) Push(_ context.Context, b *flow.Batch) error {
	c.source.Settle(b)
	return nil
}

func BenchmarkGenerate(b *testing.B) {
	body := `{device_id: sprintf("veh-%d", n % 5000), type: n % 3 == 0 ? "alert" : "telemetry", speed: 72.5, temperature: 21.5}`
	s := open(b, fmt.Sprintf("count: %d\nbody: |\n  %s\n", b.N, body), connectortest.NewHost(b))
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.Run(b.Context(), counter{s}); err != nil {
		b.Fatal(err)
	}
}
