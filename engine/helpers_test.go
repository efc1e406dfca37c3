package engine

import (
	"context"
	"time"

	"github.com/millstream/millstream/flow"
)

type ctxt = context.Context

func withTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// headerOf reads a header of delivery i at a sink.
func headerOf(r *rig, sink, i int, name string) string {
	d := r.sinks[sink].Delivered()
	if i >= len(d) {
		return "(no such delivery)"
	}
	for _, h := range d[i].Headers {
		if h.Name == name {
			return h.Text()
		}
	}
	return ""
}

// panicking is a source that breaks while it runs.
type panicking struct{ flow.Source }

func (panicking) Run(context.Context, flow.Intake) error { panic("boom") }

// panickingSink breaks in Send.
type panickingSink struct{ flow.Sink }

func (panickingSink) Send(context.Context, []*flow.Outgoing, func()) { panic("boom") }
