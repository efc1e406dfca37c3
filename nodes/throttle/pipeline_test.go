package throttle_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
)

// slowly gives one text a second.
type slowly []string

func (s *slowly) Read(p []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := copy(p, (*s)[0])
	*s = (*s)[1:]
	return n, nil
}

// clocked notes when what was written.
type clocked struct {
	start time.Time
	at    map[string][]time.Duration
}

func (c *clocked) Write(p []byte) (int, error) {
	for _, key := range string(p) {
		if key != '\n' {
			c.at[string(key)] = append(c.at[string(key)], time.Since(c.start))
		}
	}
	return len(p), nil
}

func TestARateHoldsWhereMessagesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &clocked{time.Now(), map[string][]time.Duration{}}
		in := &slowly{"a\na\n", "b\n", "b\n"} // batches that are computed side by side
		registry := &config.Registry{Nodes: nodes.Types(), Connectors: connectors.Types(in, out)}
		p, findings := pipelines.Compile("x.yaml", []byte(`name: x
from: { stdin: {}, decode: text }
steps:
  - throttle: { rate: 1/m, by: body }
to: { stdout: {} }
`), pipelines.Options{Registry: registry})
		if p == nil {
			t.Fatalf("%+v", findings.All())
		}
		e, err := engine.New(engine.Options{Logger: slog.New(slog.DiscardHandler)}).Start(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		<-e.Done()
		for key, at := range out.at {
			if len(at) != 2 || at[1]-at[0] < time.Minute {
				t.Errorf("%s left after %v", key, at)
			}
		}
		if len(out.at) != 2 {
			t.Errorf("what left is %v", out.at)
		}
	})
}
