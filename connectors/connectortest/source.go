package connectortest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
)

// patience bounds every wait of the suites. Nothing that works comes near it.
const patience = 20 * time.Second

// SourceSuite says how to open a source for Source.
type SourceSuite struct {
	// Open opens a source that will give Want, in that order. A source that is not finite is stopped once it has given as many.
	Open   func(t *testing.T, host *Host) flow.Source
	Want   []string
	Finite bool
	// Idle opens a source that waits for input that does not come; nil when the source never waits.
	Idle func(t *testing.T, host *Host) flow.Source
}

// Source holds a source to the contract of flow.Source.
func Source(t *testing.T, suite SourceSuite) {
	t.Run("records come in order and are settled once", func(t *testing.T) {
		in := suite.run(t, &Intake{})
		if diff := cmp.Diff(suite.Want, in.Bodies()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("batches may be settled late and all at once", func(t *testing.T) {
		in := suite.run(t, &Intake{Held: true})
		if diff := cmp.Diff(suite.Want, in.Bodies()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("unsettled records are taken back without complaint", func(t *testing.T) { suite.run(t, &Intake{Leave: true}) })
	t.Run("batches keep to small limits", func(t *testing.T) {
		in := &Intake{}
		host := NewHost(t)
		host.Bounds.InFlight = 8
		suite.runOn(t, host, in)
		if most := slices.Max(append(in.Sizes(), 0)); most > 2 {
			t.Errorf("a batch of %d records, want 2 at most: a quarter of what may be in flight", most)
		}
	})
	t.Run("a refused batch ends Run", suite.refused)
	t.Run("Close may be called twice", func(t *testing.T) {
		s := suite.Open(t, NewHost(t))
		closeTwice(t, s.Close)
	})
	if suite.Idle != nil {
		t.Run("a waiting source stops when its context ends", suite.stops)
	}
}

func (suite SourceSuite) run(t *testing.T, in *Intake) *Intake { return suite.runOn(t, NewHost(t), in) }

func (suite SourceSuite) runOn(t *testing.T, host *Host, in *Intake) *Intake {
	t.Helper()
	s := suite.Open(t, host)
	in.Source = s
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	seen := 0
	in.Pushed = func(b *flow.Batch) error {
		if seen += len(b.Records); !suite.Finite && seen >= len(suite.Want) {
			cancel()
		}
		return nil
	}
	if err := s.Run(ctx, in); err != nil {
		t.Errorf("Run: %v", err)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("Run did not end in time")
	}
	in.SettleAll()
	if err := s.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := in.Offence(); err != nil {
		t.Error(err)
	}
	return in
}

func (suite SourceSuite) refused(t *testing.T) {
	s := suite.Open(t, NewHost(t))
	refusal := errors.New("refused")
	in := &Intake{Source: s, Pushed: func(*flow.Batch) error { return refusal }}
	if err := s.Run(t.Context(), in); !errors.Is(err, refusal) {
		t.Errorf("Run gave %v, want the error of Push", err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (suite SourceSuite) stops(t *testing.T) {
	s := suite.Idle(t, NewHost(t))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, &Intake{Source: s}) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Run did not return")
	}
	if err := s.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func closeTwice(t *testing.T, closing func(context.Context) error) {
	t.Helper()
	for range 2 {
		if err := closing(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
