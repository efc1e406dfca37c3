package fleet_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/engine/fleet"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// unreachable is a sink that connects for ever.
func unreachable(p *pipelines.Program) {
	p.Sinks[0].Opened = "unreachable"
	p.Sinks[0].Open = func(ctx context.Context, _ flow.Host) (flow.Sink, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	p.Hash += "unreachable"
}

func TestAReloadThatIsHurriedWaitsForNoBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.want(r.apply(r.program("changed", "1")), "changed start done")
		refusing := r.program("refused", "1")
		r.logs["refused"].Refuse = func(int) error { return flow.Errorf(flow.Transient, flow.CodeUnavailable, "connection refused") }
		applied := make(chan fleet.Receipt)
		began := time.Now()
		go func() {
			applied <- r.apply(r.program("changed", "2", unreachable), r.program("hangs", "1", unreachable), refusing, r.program("well", "1"))
		}()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		r.fleet.Hurry()
		got := <-applied
		if waited := time.Since(began); waited != 100*time.Millisecond {
			t.Errorf("it took %s", waited)
		}
		r.want(got, "changed replace failed, hangs start failed, refused start failed, well start done")
		for _, name := range []string{"changed", "hangs", "refused"} {
			if s := got.Step(name); !strings.Contains(s.Error, "not waited for any longer") {
				t.Errorf("%s: %s", name, s.Error)
			}
		}
		if s := got.Step("refused"); !strings.Contains(s.Error, "connection refused") {
			t.Errorf("what it waited for is not said: %s", s.Error)
		}
		r.logs["refused"].Refuse = nil
		r.want(r.apply(r.program("changed", "2"), r.program("hangs", "1"), refusing, r.program("well", "1")),
			"changed swap done, hangs start done, refused start done, well keep kept")
		r.fleet.Hurry() // nothing is under way
		r.end()
	})
}
