package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// bystander is a pipeline that never changes, between ends of the same kinds, with a proxy of its own before each broker: it counts how
// often it connects.
type bystander struct {
	way    *stormWay
	stop   func() error
	before Still
	member []string
}

// Still is what came of a pipeline that did not change.
type Still struct {
	Verdict
	// Connects is how often it has connected to brokers since the first reload, Joins how often it has become another member of its group.
	Connects int `json:"connects"`
	Joins    int `json:"joins"`
	// Gaps are the times between messages that came, one after another.
	Gaps *Spread `json:"gaps_ms"`
}

const (
	stillName = "still"
	stillRate = 100
)

func newBystander(ctx context.Context, name string, w Where, dir string) (*bystander, error) {
	w.Run += ".still"
	w.Proxied = strings.Contains(name, "rabbitmq") || strings.Contains(name, "kafka")
	way, err := openStormWay(ctx, name, w, dir, 5)
	if err != nil {
		return nil, err
	}
	if _, file := way.In.(*Lines); file {
		way.In, way.Out, way.Dead = NewLines(dir, "still.in.ndjson"), NewLines(dir, "still.out.ndjson"), NewLines(dir, "still.dead.ndjson")
	}
	return &bystander{way: way}, nil
}

func (b *bystander) close() { b.way.Close() }

func (b *bystander) pipeline() string {
	return fmt.Sprintf("name: %s\nfrom: %s\nto: %s\n", stillName, b.way.In.Source(), b.way.Out.Sink())
}

// begin feeds it and waits until it flows, with all its connections.
func (b *bystander) begin(ctx context.Context, patience time.Duration) error {
	if err := b.way.Out.Collect(); err != nil {
		return err
	}
	b.stop = b.way.feed(ctx, stillRate)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if n, _ := b.way.Out.Seen(); n > stillRate {
			break
		}
		if time.Now().After(end) {
			return errors.Join(b.stop(), errors.New("nothing comes through the pipeline that does not change"))
		}
	}
	b.before.Connects = b.connects()
	var err error
	b.member, err = b.members(ctx)
	return err
}

func (b *bystander) connects() (n int) {
	for _, l := range b.way.brokers {
		n += l.Accepted()
	}
	return n
}

func (b *bystander) members(ctx context.Context) ([]string, error) {
	t, ok := b.way.In.(*Topic)
	if !ok {
		return nil, nil
	}
	return t.members(ctx)
}

// end stops feeding, and notes how things stand after the last reload.
func (b *bystander) end(ctx context.Context) error {
	if b.stop == nil {
		return nil
	}
	b.before.Connects = b.connects() - b.before.Connects
	now, err := b.members(ctx)
	for _, id := range now {
		if !slices.Contains(b.member, id) {
			b.before.Joins++
		}
	}
	return errors.Join(err, b.stop())
}

// judge looks at what came.
func (b *bystander) judge() Still {
	c := &follower{Checker: CheckerOf(b.way.gen)}
	c.catchUp(b.way.Route)
	still := b.before
	still.Verdict = c.Verdict()
	var gaps []float64
	all := b.way.Out.Arrivals(0)
	for i := 1; i < len(all); i++ {
		gaps = append(gaps, milliseconds(all[i].At.Sub(all[i-1].At)))
	}
	still.Gaps = NewSpread(gaps)
	return still
}
