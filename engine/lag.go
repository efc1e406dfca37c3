package engine

import (
	"sync"

	"github.com/millstream/millstream/flow"
)

// SourceLag is how many records wait at a source, read or not: a gauge that may be some seconds old. It is nil when that is not known now.
type SourceLag struct {
	Name string `json:"name"`
	Lag  *int64 `json:"lag"`
}

// Lags are the gauges of the sources that know how far they are behind; none of a pipeline that has ended. A source in trouble does not know
// it any more. They are asked side by side, since some have to ask others.
func (h *Pipeline) Lags() []SourceLag {
	if h.hasEnded() {
		return nil
	}
	var asked []*sourceRun
	for _, s := range h.p.sourceList() {
		if _, ok := s.source.(flow.Lagged); ok {
			asked = append(asked, s)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	all := make([]SourceLag, len(asked))
	var ended sync.WaitGroup
	for i, s := range asked {
		ended.Go(func() { all[i] = s.lag() })
	}
	ended.Wait()
	return all
}

func (s *sourceRun) lag() SourceLag {
	lag := SourceLag{Name: s.name}
	lagged, ok := s.source.(flow.Lagged)
	if _, err := troubleOf(s.source); !ok || err != nil {
		return lag
	}
	records := int64(-1)
	if err := guard(func() error { records = lagged.Lag(); return nil }); err == nil && records >= 0 {
		lag.Lag = &records
	}
	return lag
}
