package kafka

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

// metadataAge is how old what is known of topics may be: that long a new partition, or a new topic that a pattern matches, is not read.
const metadataAge = 10 * time.Second

// selection is which topics a source reads.
type selection struct {
	names    []string
	patterns []*regexp.Regexp // each matches whole names
}

// selectTopics reads the option topics; what is wrong goes to the findings.
func selectTopics(b *config.Builder, topics []string) *selection {
	s := &selection{}
	for _, topic := range topics {
		pattern, ok := patternOf(topic)
		if !ok {
			if err := checkTopic(topic); err != nil {
				transport.FindingWithCode(b, diag.BadName, "topics", err.Error(), topicHint)
				continue
			}
			s.names = append(s.names, topic)
			continue
		}
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil || pattern == "" {
			transport.Finding(b, "topics", fmt.Sprintf("the pattern %s cannot be read: %s", topic, reason(err)), "write a regular expression (RE2) between slashes")
			continue
		}
		s.patterns = append(s.patterns, re)
	}
	return s
}

func reason(err error) string {
	if err == nil {
		return "it is empty"
	}
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

// patternOf takes a pattern out of its slashes, which no topic's name can hold.
func patternOf(topic string) (pattern string, ok bool) {
	if len(topic) < 2 || topic[0] != '/' || topic[len(topic)-1] != '/' {
		return "", false
	}
	return topic[1 : len(topic)-1], true
}

// reads tells whether a topic is one of them.
func (s *selection) reads(topic string) bool {
	for _, name := range s.names {
		if name == topic {
			return true
		}
	}
	for _, p := range s.patterns {
		if p.MatchString(topic) {
			return true
		}
	}
	return false
}

// options make a client consume the selection.
func (s *selection) options() []kgo.Opt {
	if len(s.patterns) == 0 {
		return []kgo.Opt{kgo.ConsumeTopics(s.names...)}
	}
	all := make([]string, 0, len(s.names)+len(s.patterns))
	for _, name := range s.names {
		all = append(all, "^"+regexp.QuoteMeta(name)+"$")
	}
	for _, p := range s.patterns {
		all = append(all, p.String())
	}
	return []kgo.Opt{kgo.ConsumeTopics(all...), kgo.ConsumeRegex()}
}

// extra are the entries of `source` in expressions: several_topics, where messages of more than one topic come.
func (s *selection) extra() func(*flow.Record) map[string]any {
	if len(s.names) < 2 && len(s.patterns) == 0 {
		return nil
	}
	several := map[string]any{"several_topics": true} // the same for all records; nobody writes to it
	return func(*flow.Record) map[string]any { return several }
}
