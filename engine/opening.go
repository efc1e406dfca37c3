package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// opening opens an optional sink beside its pipeline, which runs meanwhile. It tries until the sink is open or nobody wants it any more,
// whatever it fails with: a password may be put right at the broker as well as in the file.
type opening struct {
	sink *sinkRun
	spec *pipelines.Sink
	mask func(string) string

	// wanted ends when the sink is not to be opened any more.
	wanted context.Context
	began  time.Time
	stop   context.CancelFunc
	tried  chan struct{} // closed when the first attempt has ended
	done   chan struct{} // closed when the sink is open
	ended  chan struct{} // closed when nothing is tried any more

	mu       sync.Mutex
	opened   bool
	unwanted bool
	failure  *flow.Error     // of the last attempt; nil before one has failed
	told     map[string]bool // the reasons that the log was told of, without their digits: ports differ from attempt to attempt
}

const (
	// openMoment is how long a start or a reload waits for the first attempts of optional sinks, so that one that opens at once misses
	// nothing; and how long the end of a pipeline waits for an attempt that it has cut short.
	openMoment = time.Second
	// firstAttempt is how old a first attempt may be for the end of a pipeline to wait for it: as long as RabbitMQ takes to refuse a
	// password, and a little more.
	firstAttempt = 4 * time.Second
	// openAttempt is how long one attempt may take.
	openAttempt = 30 * time.Second
	// The pauses between attempts: at first, and at most where time may help, and where somebody has to change something.
	openPause, openPauseMost, openPauseConfig = 250 * time.Millisecond, 3 * time.Second, 30 * time.Second
	// openReasons is how many reasons are remembered that the log was told of; beyond that, it is told of them anew.
	openReasons = 16
)

func newOpening(s *sinkRun) *opening {
	return &opening{sink: s, tried: make(chan struct{}), done: make(chan struct{}), ended: make(chan struct{}), told: map[string]bool{}}
}

// begin begins to open the sink as a program says. It does not wait.
func (o *opening) begin(prog *pipelines.Program, spec *pipelines.Sink) {
	o.spec, o.mask = spec, prog.Mask
	o.began = time.Now()
	o.wanted, o.stop = context.WithCancel(o.sink.hard)
	go o.work()
}

func (o *opening) work() {
	defer close(o.ended)
	tried := sync.OnceFunc(func() { close(o.tried) })
	defer tried()
	for failed := 0; ; failed++ {
		sink, err := o.attempt()
		if err == nil {
			o.succeed(sink, failed)
			return
		}
		e := o.fail(err)
		tried()
		if !o.pause(e, failed) {
			return
		}
	}
}

func (o *opening) attempt() (flow.Sink, error) {
	ctx, cancel := context.WithTimeout(o.wanted, openAttempt)
	defer cancel()
	host := o.sink.host
	sink, err := guarded(func() (flow.Sink, error) { return o.spec.Open(ctx, host) })
	if err != nil {
		return nil, errors.Join(err, host.release())
	}
	return sink, nil
}

// succeed hands the open sink over, or closes it when it comes too late.
func (o *opening) succeed(sink flow.Sink, failed int) {
	s := o.sink
	o.mu.Lock()
	if o.unwanted {
		o.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := errors.Join(guard(func() error { return sink.Close(ctx) }), s.host.release()); err != nil {
			s.p.log.Error("close failed", "node", s.name, "error", err)
		}
		return
	}
	s.sink, o.opened, o.failure = sink, true, nil
	close(o.done)
	o.mu.Unlock()
	s.works()
	if failed > 0 {
		s.p.log.Info("the optional sink is open now", "node", s.name, "failed_attempts", failed)
	}
}

// fail notes why an attempt failed, and tells the log of each reason once: what time may heal as a warning, all else as an error.
func (o *opening) fail(err error) *flow.Error {
	e := *flow.AsError(err, flow.ConfigError, flow.CodeUnavailable)
	e.Node, e.Message = o.sink.name, o.mask(e.Message)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wanted.Err() != nil {
		return &e
	}
	o.failure = &e
	reason := strings.Map(withoutDigits, e.Message)
	if o.told[reason] {
		return &e
	}
	if len(o.told) == openReasons {
		clear(o.told)
	}
	o.told[reason] = true
	tell := o.sink.p.log.Error
	if e.Class == flow.Transient {
		tell = o.sink.p.log.Warn
	}
	tell("an optional sink cannot be opened; the pipeline runs without it, it is tried again, and what its queue cannot take is dropped",
		"node", o.sink.name, "class", e.Class.String(), "code", string(e.Code), "error", e.Message)
	return &e
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// pause waits before the next attempt. It returns false when there is to be none.
func (o *opening) pause(e *flow.Error, failed int) bool {
	most := openPauseMost
	if e.Class != flow.Transient {
		most = openPauseConfig
	}
	opts := &o.sink.p.engine.opts
	d := min(openPause<<min(failed, 10), most)
	d = d/2 + time.Duration(o.sink.p.engine.random(int64(d/2)))
	if opts.Pause != nil {
		opts.Pause(o.wanted, d)
		return o.wanted.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-o.wanted.Done():
		return false
	}
}

// wait waits until the sink is open. It returns false when it will not be.
func (o *opening) wait() bool {
	select {
	case <-o.done:
		return true
	case <-o.wanted.Done():
	}
	return o.why() == nil
}

// why says why the sink is not open; nil when it is.
func (o *opening) why() *flow.Error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.opened:
		return nil
	case o.failure != nil:
		return o.failure
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "it is being opened")
}

// close ends the trying, and reports whether the sink is open. With something queued, a first attempt may come to its end. An attempt
// that cannot be cut short is left behind, and closes what it opens.
func (o *opening) close(ctx context.Context, queued bool) bool {
	if queued {
		o.lastChance(ctx)
	}
	o.mu.Lock()
	o.unwanted = true
	opened := o.opened
	silent := queued && !opened && o.failure == nil
	o.mu.Unlock()
	if silent {
		o.sink.p.log.Warn("an optional sink was still being opened when it was closed", "node", o.sink.name)
	}
	o.stop()
	ctx, cancel := context.WithTimeout(ctx, openMoment)
	defer cancel()
	ends(ctx, o.ended)
	return opened
}

// lastChance waits for a first attempt that has just begun.
func (o *opening) lastChance(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, o.began.Add(firstAttempt))
	defer cancel()
	select {
	case <-o.tried:
	case <-o.wanted.Done():
	case <-ctx.Done():
	}
}

// awaitFirst gives the first attempts of optional sinks a moment.
func awaitFirst(ctx context.Context, sinks []*sinkRun) {
	ctx, cancel := context.WithTimeout(ctx, openMoment)
	defer cancel()
	for _, s := range sinks {
		if s.optional != nil && !ends(ctx, s.optional.opening.tried) {
			return
		}
	}
}
