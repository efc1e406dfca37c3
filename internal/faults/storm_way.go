package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// stormWay is the way that a storm reloads: a route, and how its ends can be said otherwise without another meaning.
type stormWay struct {
	*Route
	gen *Generator
}

func openStormWay(ctx context.Context, name string, w Where, dir string, keys int) (*stormWay, error) {
	w.Dir = dir
	route, err := OpenRoute(ctx, name, &w)
	if err != nil {
		return nil, err
	}
	return &stormWay{Route: route, gen: &Generator{Run: w.Run, Keys: keys}}, nil
}

// with adds an option to a source or sink.
func with(component, option string) string {
	return strings.TrimSuffix(component, " } }") + ", " + option + " } }"
}

// pipeline is the pipeline in one version of its source, nodes and sink. The nodes mark what passes, at their beginning and their end.
func (w *stormWay) pipeline(source, nodes, sink int) string {
	from, to := w.In.Source(), w.Out.Sink()
	switch w.In.(type) {
	case *Topic:
		from = with(from, fmt.Sprintf("session_timeout: %ds", 45+source))
	case *Queue:
		from = with(from, fmt.Sprintf("max_deliveries: %d", 1000+source))
	default:
		from = with(from, fmt.Sprintf("max_expansion: %d", 100+source))
	}
	switch w.Out.(type) {
	case *Topic:
		to = with(to, fmt.Sprintf("max_topics: %d", 1000+sink))
	case *Queue:
		to = with(to, fmt.Sprintf("confirm_timeout: %ds", 30+sink))
	default:
		to = with(to, fmt.Sprintf("open_files: %d", 64+sink))
	}
	return fmt.Sprintf("name: %s\nlimits: { in_flight: %d }\nfrom: %s\nsteps:\n  - transform: { body.v: %d }\n  - filter: body.id >= 0\n"+
		"  - transform: { body.w: %d }\nto: %s\n", stormName, InFlight, from, nodes, nodes, to)
}

// stormBacklog is how many messages may wait for the pipeline.
const stormBacklog = 5000

// feed feeds all the time, until it is told to stop.
func (w *stormWay) feed(ctx context.Context, rate int) (stop func() error) {
	whole := context.WithoutCancel(ctx) // what was made is fed
	ctx, cancel := context.WithCancel(ctx)
	fed := make(chan error, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if seen, _ := w.Out.Seen(); w.gen.Made()-seen < stormBacklog {
				payloads, keys := w.gen.Next(max(1, rate/50))
				if err := w.In.Feed(whole, payloads, keys); err != nil {
					fed <- fmt.Errorf("feed: %w", err)
					return
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		fed <- nil
	}()
	return func() error { cancel(); return <-fed }
}

// readers is who reads the queue, or is in the topic's group.
func (w *stormWay) readers(ctx context.Context) (int, error) {
	switch in := w.In.(type) {
	case *Queue:
		if err := in.connect(); err != nil {
			return 0, err
		}
		ch, err := in.conn.Channel()
		if err != nil {
			return 0, err
		}
		defer ch.Close() //nolint:errcheck // only one question was asked
		q, err := ch.QueueDeclarePassive(in.name, true, false, false, false, nil)
		return q.Consumers, err
	case *Topic:
		members, err := in.members(ctx)
		return len(members), err
	default:
		return 0, nil
	}
}

// members names who is in the group that reads the topic.
func (t *Topic) members(ctx context.Context) (ids []string, err error) {
	groups, err := kadm.NewClient(t.client).DescribeGroups(ctx, t.name)
	if err != nil {
		return nil, err
	}
	for _, m := range groups[t.name].Members {
		ids = append(ids, m.MemberID)
	}
	return ids, groups[t.name].Err
}
