package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

var errNo = errors.New("no")

func TestWhatCannotOpenLeavesTheOldRevisionUntouched(t *testing.T) {
	for name, spoil := range map[string]func(p *pipelines.Program){
		"a sink": func(p *pipelines.Program) {
			p.Sinks[0].Opened = "b"
			p.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return nil, errNo }
		},
		"a source": func(p *pipelines.Program) {
			p.Sources[0].Opened = "b"
			p.Sources[0].Open = func(context.Context, flow.Host) (flow.Source, error) { return nil, errNo }
		},
		"a source of which there can be one": func(p *pipelines.Program) {
			p.Sources[0].Opened, p.Sources[0].Traits.Single = "b", true
			p.Sources[0].Connect = func(context.Context, flow.Host) error { return errNo }
		},
		"a sink that panics": func(p *pipelines.Program) {
			p.Sinks[0].Opened = "b"
			p.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { panic(errNo) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReloadRig(t)
			r.start(r.program("v0", "a", "a"))
			r.feed(200)
			next := r.program("v1", "a", "a")
			spoil(next)
			did, err := r.reload(next)
			if err == nil || !strings.Contains(err.Error(), "no") || did.RolledBack || did.Pause != 0 {
				t.Fatalf("the reload did %+v: %v", did, err)
			}
			r.feed(200)
			r.finish(false)
			if r.log.Opened() != 1 || r.sink("a").Opened() != 1 || r.p.Revision() != "v0aa" {
				t.Errorf("opened %d, %d; %s runs", r.log.Opened(), r.sink("a").Opened(), r.p.Revision())
			}
		})
	}
}

func TestASourceThatCannotTakeOverIsRolledBack(t *testing.T) {
	rollBack := func(t *testing.T, refused int) (*reloadRig, Reloaded, error) {
		r := newReloadRig(t)
		r.log.Refuse = func(n int) error {
			if n > 1 && n <= 1+refused {
				return errNo
			}
			return nil
		}
		first, next := r.program("v0", "a", "a"), r.program("v1", "b", "a")
		first.Sources[0].Traits.Single, next.Sources[0].Traits.Single = true, true
		r.start(first)
		r.feed(200)
		did, err := r.reload(next)
		r.feed(200)
		return r, did, err
	}
	t.Run("to the old one, which is tried until it opens", func(t *testing.T) {
		r, did, err := rollBack(t, 3)
		if !errors.Is(err, errNo) || !did.RolledBack || r.p.Revision() != "v0aa" {
			t.Errorf("the reload did %+v: %v", did, err)
		}
		r.finish(false)
	})
	t.Run("and when that fails too, the pipeline has failed", func(t *testing.T) {
		r, did, err := rollBack(t, 1000)
		if !errors.Is(err, errNo) || did.RolledBack {
			t.Errorf("the reload did %+v: %v", did, err)
		}
		<-r.p.Done()
		if r.p.State() != Failed || !strings.Contains(r.p.Err().Error(), "roll back") {
			t.Errorf("%s: %v", r.p.State(), r.p.Err())
		}
	})
}

func TestASinkThatCannotTakeOverIsRolledBack(t *testing.T) {
	r := newReloadRig(t)
	first, next := r.program("v0", "a", "a"), r.program("v1", "a", "b")
	first.Sinks[0].Traits.Single, next.Sinks[0].Traits.Single = true, true
	next.Sinks[0].Open = func(context.Context, flow.Host) (flow.Sink, error) { return nil, errNo }
	r.start(first)
	r.feed(200)
	did, err := r.reload(next)
	if !errors.Is(err, errNo) || !did.RolledBack {
		t.Errorf("the reload did %+v: %v", did, err)
	}
	r.feed(200)
	r.finish(false)
	if r.log.Opened() != 1 || r.sink("a").Opened() != 2 || r.sink("a").Closed() != 2 {
		t.Errorf("the source was opened %d times, the sink %d", r.log.Opened(), r.sink("a").Opened())
	}
}

func TestAStalledSinkHoldsAReloadNoLongerThanItsDrain(t *testing.T) {
	t.Run("what it holds is read again by the new revision", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newReloadRig(t)
			r.sink("a").Gate = make(chan struct{})
			r.start(r.program("v0", "a", "a"))
			r.feed(200)
			synctest.Wait()
			began := time.Now()
			did := r.mustReload(r.program("v1", "a", "b"))
			if took := time.Since(began); took != time.Second {
				t.Errorf("the reload took %s", took)
			}
			if len(did.KeptSources) != 0 || did.Drained != 0 {
				t.Errorf("the reload did %+v", did)
			}
			r.feed(200)
			r.finish(false)
			if r.log.Opened() != 2 || r.sink("a").Closed() != 1 {
				t.Errorf("the source was opened %d times, the sink closed %d", r.log.Opened(), r.sink("a").Closed())
			}
		})
	})
	t.Run("a source that cannot be read again goes on under the old one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newReloadRig(t)
			r.sink("a").Gate = make(chan struct{})
			first, next := r.program("v0", "a", "a"), r.program("v1", "a", "b")
			first.Sources[0].Traits.Stream, next.Sources[0].Traits.Stream = true, true
			r.start(first)
			r.feed(200)
			synctest.Wait()
			if _, err := r.reload(next); !errors.Is(err, ErrStalled) {
				t.Errorf("the reload: %v", err)
			}
			close(r.sink("a").Gate)
			r.feed(200)
			r.finish(false)
			if r.log.Opened() != 1 || r.sink("b").Opened() != 1 || r.sink("b").Closed() != 1 {
				t.Errorf("opened %d, %d", r.log.Opened(), r.sink("b").Opened())
			}
		})
	})
	t.Run("a swap does not wait for it at all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newReloadRig(t)
			r.sink("a").Gate = make(chan struct{})
			r.start(r.program("v0", "a", "a"))
			r.feed(200)
			synctest.Wait()
			began := time.Now()
			r.mustReload(r.program("v1", "a", "a"))
			if took := time.Since(began); took != 0 {
				t.Errorf("the swap took %s", took)
			}
			close(r.sink("a").Gate)
			r.finish(false)
		})
	})
}
