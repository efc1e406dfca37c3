package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// commitInterval is the least time between two commits while records are being settled.
	commitInterval = 200 * time.Millisecond
	// commitTimeout bounds one commit.
	commitTimeout = 10 * time.Second
)

// committing is the name of a trouble.
const committing = "commits"

// commitNowAndThen commits what is settled, a few times a second while something changes.
func (s *source) commitNowAndThen() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-s.dirty:
		case <-s.closing:
			return
		}
		if answered, err := s.commit(ctx, nil); err == nil {
			if answered {
				s.log.over("it works again", committing)
			}
		} else {
			s.log.warn(committing, "commit failed; it is tried again", "group", s.cfg.Group, "error", err)
			select {
			case s.dirty <- struct{}{}:
			default:
			}
		}
		select {
		case <-time.After(commitInterval):
		case <-s.urgent:
		case <-s.closing:
			return
		}
	}
}

// commit commits the settled prefix of those partitions; nil stands for all that are assigned when the commit begins. Without an error,
// answered tells whether there was something to commit.
func (s *source) commit(ctx context.Context, of []*partition) (answered bool, err error) {
	s.committing.Lock()
	defer s.committing.Unlock()
	if of == nil {
		of = s.all()
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	changed := map[*partition]reached{}
	for _, p := range of {
		upTo, ok := p.uncommitted()
		if !ok {
			continue
		}
		changed[p] = upTo
		if offsets[p.topic] == nil {
			offsets[p.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.topic][p.number] = upTo.at
	}
	if len(changed) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var failure error
	s.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if failure = err; err == nil {
			failure = noteCommits(resp, changed, offsets)
		}
	})
	return true, failure
}

// noteCommits reads the broker's answer for each partition.
func noteCommits(resp *kmsg.OffsetCommitResponse, changed map[*partition]reached, offsets map[string]map[int32]kgo.EpochOffset) error {
	var errs []error
	for _, t := range resp.Topics {
		for _, r := range t.Partitions {
			if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
				errs = append(errs, fmt.Errorf("%s/%d: %w", t.Topic, r.Partition, err))
				delete(offsets[t.Topic], r.Partition)
			}
		}
	}
	for p, upTo := range changed {
		if _, ok := offsets[p.topic][p.number]; ok {
			p.wasCommitted(upTo)
		}
	}
	return errors.Join(errs...)
}

// assigned begins a lane for each new partition.
func (s *source) assigned(_ context.Context, client *kgo.Client, assigned map[string][]int32) {
	client.ResumeFetchPartitions(assigned)
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, numbers := range assigned {
		if s.partitions[topic] == nil {
			s.partitions[topic] = map[int32]*partition{}
		}
		for _, n := range numbers {
			s.partitions[topic][n] = newPartition(s, topic, n)
		}
	}
	s.countAssigned()
	for topic, numbers := range assigned {
		for _, n := range numbers {
			go s.partitions[topic][n].push(s.in)
		}
	}
}

// countAssigned counts the partitions that share in_flight; the lock is held.
func (s *source) countAssigned() {
	n := 0
	for _, numbers := range s.partitions {
		n += len(numbers)
	}
	s.assignedNow.Store(int32(n))
}

// revoked lets go of partitions: it stops handing out, waits for what is in flight, commits the settled prefix, and only then returns,
// so that the next owner begins where this one ended. What takes too long is abandoned and comes again from the next owner.
func (s *source) revoked(ctx context.Context, _ *kgo.Client, revoked map[string][]int32) {
	gone := s.stopHandingOut(revoked)
	if len(gone) == 0 {
		return
	}
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), revokePatience)
	defer stop()
	for _, p := range gone {
		s.waitOrAbandon(patience, p)
	}
	if s.gaveUp.Load() {
		s.forget(gone)
		return
	}
	if _, err := s.commit(ctx, gone); err != nil {
		s.host.Logger().Warn("commit of revoked partitions failed; their new owner repeats what was not committed", "group", s.cfg.Group, "error", err)
	}
	s.forget(gone)
}

// waitOrAbandon waits as long as the patience with all partitions lasts.
func (s *source) waitOrAbandon(patience context.Context, p *partition) {
	defer p.lane.Abandon()
	settled := p.settled()
	select {
	case <-settled:
		return
	case <-s.closing:
	case <-patience.Done():
		s.host.Logger().Warn("a revoked partition has records in flight that are given up; its new owner repeats them", "lane", p.lane.Name)
	}
	// What the engine has not sent yet comes back at once; what a sink has is not waited for.
	p.lane.Abandon()
	select {
	case <-settled:
	case <-s.closing:
	case <-time.After(time.Second):
	}
}

// lost lets go of partitions that have another owner already: nothing may be committed.
func (s *source) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	gone := s.stopHandingOut(lost)
	for _, p := range gone {
		p.lane.Abandon()
	}
	s.forget(gone)
}

// stopHandingOut ends the pushing of partitions, and returns them once no further batch can be pushed.
func (s *source) stopHandingOut(from map[string][]int32) []*partition {
	var all []*partition
	for topic, numbers := range from {
		for _, n := range numbers {
			if p := s.partition(topic, n); p != nil {
				p.stop()
				all = append(all, p)
			}
		}
	}
	for _, p := range all {
		<-p.ended
	}
	return all
}

func (s *source) forget(gone []*partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range gone {
		if s.partitions[p.topic][p.number] == p {
			delete(s.partitions[p.topic], p.number)
		}
	}
	s.countAssigned()
}
