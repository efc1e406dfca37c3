package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// lagInterval is how often a member asks where its partitions end: a partition that is paused is not fetched, and its lag is what
// matters most.
const lagInterval = 5 * time.Second

// Lag implements flow.Lagged: the records of the assigned partitions that are not settled.
func (s *source) Lag() (records int64) {
	for _, p := range s.all() {
		records += p.lag()
	}
	return records
}

// lag is how far the partition's end is ahead of what is settled; 0 while nothing is known.
func (p *partition) lag() int64 {
	p.mu.Lock()
	at := p.first
	if p.passed > 0 {
		at = p.next.Offset
	}
	p.mu.Unlock()
	if ends := p.ends.Load(); at >= 0 && ends > at {
		return ends - at
	}
	return 0
}

// watchEnds looks where the partitions end until the source is closed.
func (s *source) watchEnds() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ticker := time.NewTicker(lagInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.closing:
			return
		}
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			s.lookAtEnds(ctx)
		}()
		select {
		case <-asked:
		case <-s.closing:
			cancel()
			<-asked
			return
		}
	}
}

func (s *source) lookAtEnds(ctx context.Context) {
	var topics []string
	seen := map[string]bool{}
	for _, p := range s.all() {
		if !seen[p.topic] {
			seen[p.topic] = true
			topics = append(topics, p.topic)
		}
	}
	if len(topics) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lagInterval)
	defer cancel()
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	admin := kadm.NewClient(client)
	list := admin.ListCommittedOffsets
	if s.cfg.Isolation == "read_uncommitted" {
		list = admin.ListEndOffsets
	}
	ends, err := list(ctx, topics...)
	if err != nil {
		return // the gauge stays where it is
	}
	ends.Each(func(o kadm.ListedOffset) {
		if p := s.partition(o.Topic, o.Partition); o.Err == nil && p != nil {
			p.ends.Store(o.Offset)
		}
	})
}
