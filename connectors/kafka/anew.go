package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A topic that is deleted and made again under its name is another one to the brokers, and the client goes on asking for the old one. A new
// client takes its place, and reads the new topic from its beginning: what the group has committed is about the old one. The brokers forget
// that when they delete a topic, but not what a member commits in the moment before it learns of that.

// place is what is known of a topic.
type place struct {
	id         [16]byte // zero where the brokers do not tell
	partitions int
}

// span are the offsets that may be what a member has committed last.
type span struct{ from, to int64 }

// places are what is known of a source's topics.
type places struct {
	known map[string]place
	// anew are topics that were made again, left is what was committed of the old ones, by the names of lanes.
	anew map[string]bool
	left map[string]span
	// failing is since when topics that nothing is known of cannot be read; looked is when the brokers were asked last.
	failing map[string]time.Time
	looked  time.Time
}

func newPlaces() places {
	return places{known: map[string]place{}, anew: map[string]bool{}, left: map[string]span{}, failing: map[string]time.Time{}}
}

// lookAt asks the brokers for topics; those that are not there are left out.
func lookAt(ctx context.Context, client *kgo.Client, topics *selection) (map[string]place, error) {
	request := metadataOf(topics.names)
	if len(topics.patterns) > 0 {
		request.Topics = nil // all of them
	}
	resp, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	found := map[string]place{}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if name := deref(t.Topic); t.ErrorCode == 0 && topics.reads(name) {
			found[name] = place{id: t.TopicID, partitions: len(t.Partitions)}
		}
	}
	return found, nil
}

// errAnew is why a client makes place for a new one.
var errAnew = errors.New("a topic was deleted and made again")

const (
	lookAgain = time.Second
	// strange is how long a topic that nothing is known of may not be known to a broker: one that has just been made is not at once.
	strange = 5 * time.Second
)

// sawTopics notes the topics of a fetch.
func (s *source) sawTopics(fetches kgo.Fetches) {
	fetches.EachTopic(func(t kgo.FetchTopic) {
		if t.TopicID == [16]byte{} || !hasRecords(&t) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if before := s.places.known[t.Topic]; before.id != t.TopicID {
			s.places.known[t.Topic] = place{id: t.TopicID, partitions: before.partitions}
		}
		if len(s.places.failing) > 0 {
			delete(s.places.failing, t.Topic)
		}
	})
}

func hasRecords(t *kgo.FetchTopic) bool {
	for i := range t.Partitions {
		if len(t.Partitions[i].Records) > 0 {
			return true
		}
	}
	return false
}

// madeAnew looks whether a topic that cannot be read any more is another one now.
func (s *source) madeAnew(ctx context.Context, topic string, err error) error {
	if !unknownTopic(err) || time.Since(s.places.looked) < lookAgain {
		return nil
	}
	s.places.looked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	probe, err := s.cluster.probe(s.host)
	if err != nil {
		return nil
	}
	defer probe.Close()
	found, err := lookAt(ctx, probe, &selection{names: []string{topic}})
	now, ok := found[topic]
	if err != nil || !ok || now.id == [16]byte{} {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.places.known[topic]
	if before.id == [16]byte{} {
		since, ok := s.places.failing[topic]
		if !ok {
			since = time.Now()
			s.places.failing[topic] = since
		}
		if time.Since(since) < strange {
			return nil
		}
	}
	if before.id == now.id {
		return nil
	}
	s.noteAnew(topic, now)
	return fmt.Errorf("%w: %s", errAnew, topic)
}

// noteAnew remembers that a topic was made again; the lock is held.
func (s *source) noteAnew(topic string, now place) {
	s.places.known[topic] = now
	s.places.anew[topic] = true
	delete(s.places.failing, topic)
	s.host.Logger().Error("a topic was deleted and made again; it is read from its beginning", "topic", topic, "group", s.cfg.Group)
}

// lookForAnew looks at all topics before a new client begins, which would not notice.
func (s *source) lookForAnew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	probe, err := s.cluster.probe(s.host)
	if err != nil {
		return
	}
	defer probe.Close()
	found, err := lookAt(ctx, probe, s.topics)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, now := range found {
		if before, ok := s.places.known[topic]; ok && before.id != now.id && before.id != [16]byte{} {
			s.noteAnew(topic, now)
		}
	}
}

// whereToBegin corrects what the group has committed: nothing of a topic that was made again, and the beginning of partitions and topics that
// were not there when the source was opened, whatever start says.
func (s *source) whereToBegin(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, numbers := range offsets {
		known := s.places.known[topic]
		for n, at := range numbers {
			lane := laneName(topic, n)
			committed := at.EpochOffset().Offset
			old, left := s.places.left[lane]
			delete(s.places.left, lane)
			anew := s.places.anew[topic]
			if committed < 0 && (anew || int(n) >= known.partitions) || anew && left && committed >= old.from && committed <= old.to {
				numbers[n] = kgo.NewOffset().AtStart()
			}
		}
	}
	return offsets, nil
}

// partAnew lets go of all that a client has read which is to make place for a new one.
func (s *source) partAnew(ctx context.Context, client *kgo.Client) {
	all := s.all()
	client.CloseAllowingRebalance()
	s.lost(ctx, client, partitionsOf(all))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range all {
		p.mu.Lock()
		if p.passed > 0 && s.places.anew[p.topic] {
			s.places.left[p.lane.Name] = span{min(p.first, p.next.Offset), p.next.Offset}
		}
		p.mu.Unlock()
	}
}

func partitionsOf(all []*partition) map[string][]int32 {
	numbers := map[string][]int32{}
	for _, p := range all {
		numbers[p.topic] = append(numbers[p.topic], p.number)
	}
	return numbers
}

// isAnew tells whether a client failed because a topic was made again.
func isAnew(err error) bool { return errors.Is(err, errAnew) }

// left notes what a transaction has committed of a lane.
func (s *source) left(lane string, committed int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places.left[lane] = span{committed, committed}
}
