package engine

import "github.com/millstream/millstream/flow"

// SourceLag is how many records wait at a source, read or not: a gauge that may be some seconds old.
type SourceLag struct {
	Name string `json:"name"`
	Lag  int64  `json:"lag"`
}

// Lags are the gauges of the sources that know how far they are behind; none of a pipeline that has ended.
func (h *Pipeline) Lags() []SourceLag {
	if h.hasEnded() {
		return nil
	}
	var all []SourceLag
	for _, s := range h.p.sourceList() {
		lagged, ok := s.source.(flow.Lagged)
		if !ok {
			continue
		}
		one := SourceLag{Name: s.name}
		if err := guard(func() error { one.Lag = lagged.Lag(); return nil }); err == nil {
			all = append(all, one)
		}
	}
	return all
}
