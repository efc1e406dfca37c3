package trial

import (
	"context"
	"fmt"
	"mime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines"
)

// stubbed puts the answers of a test in the place of those whom the nodes of the program ask. Nothing is ever sent.
func stubbed(nodes []pipelines.Node, test *pipelines.Test, got *outcome) []pipelines.Node {
	nodes = slices.Clone(nodes)
	for i := range nodes {
		if c, ok := nodes[i].Processor.(flow.Caller); ok {
			s := &stub{node: nodes[i].Name, answers: test.Stub[nodes[i].Name], got: got}
			nodes[i].Processor = c.Answering(s.answer)
		}
	}
	return nodes
}

// stub gives one answer after another; the last one is given again and again.
type stub struct {
	node    string
	answers []pipelines.StubAnswer
	got     *outcome

	mu   sync.Mutex
	next int
}

func (s *stub) answer(_ context.Context, q flow.Question) (*flow.Answer, error) {
	if len(s.answers) == 0 {
		s.got.missing(fmt.Sprintf("%s asks %s %s, and tests have no network: write stub: { %s: [{ status: 200, body: { … } }] } beside send",
			s.node, q.Method, q.URL, s.node))
		return nil, flow.Errorf(flow.Permanent, flow.CodeUnavailable, "the test has no stub for %s", s.node)
	}
	s.mu.Lock()
	a := &s.answers[s.next]
	s.next = min(s.next+1, len(s.answers)-1)
	s.mu.Unlock()
	switch a.Error {
	case "transient":
		return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "the stub of %s fails", s.node)
	case "permanent":
		return nil, flow.Errorf(flow.Permanent, flow.CodeRefused, "the stub of %s refuses", s.node)
	}
	body, err := payload(a)
	return &flow.Answer{Status: a.Status, Headers: a.Headers, Body: body}, err
}

// payload is the body of an answer: JSON, or a text as it is where the answer has another content type.
func payload(a *pipelines.StubAnswer) ([]byte, error) {
	if a.Body == nil {
		return nil, nil
	}
	for name, kind := range a.Headers {
		media, _, err := mime.ParseMediaType(kind)
		text, ok := a.Body.(string)
		if strings.EqualFold(name, "content-type") && err == nil && !strings.HasSuffix(media, "json") && ok {
			return []byte(text), nil
		}
	}
	v, err := value.FromAny(a.Body)
	if err != nil {
		return nil, err
	}
	return value.AppendJSON(nil, v)
}

// missing notes what a test lacks, once.
func (o *outcome) missing(what string) {
	o.mu.Lock()
	if !slices.Contains(o.lacks, what) {
		o.lacks = append(o.lacks, what)
	}
	o.mu.Unlock()
}

// lacking is what missing noted.
func (o *outcome) lacking() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lacks
}

// maxPauses is how often a test waits, for retries above all, before it is given up: the clock stands still, so that nothing can change.
const maxPauses = 1000

// pauser lets waits pass at once, but not for ever.
type pauser struct {
	mu    sync.Mutex
	count int
	stop  func()
	got   *outcome
}

func (p *pauser) pause(context.Context, time.Duration) {
	p.mu.Lock()
	p.count++
	over := p.count == maxPauses
	p.mu.Unlock()
	if over {
		p.got.missing(fmt.Sprintf("something was tried again %d times, and nothing would change that: give on_error a retry with max", maxPauses))
		p.stop()
	}
}
