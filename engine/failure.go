package engine

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines"
)

// parkedTarget is what a parked message waits for: its source's way in, or a node or sink that is to be tried again.
type parkedTarget struct {
	source bool
	edge   pipelines.Edge
}

// parked is a message that could not pass a part of the graph: it is tried again later, under its key, or waits for a resume.
type parked struct {
	rec    int32
	order  int32
	target parkedTarget
	msg    *flow.Message
	letter *letter // set when it is a dead letter that its sink refused
	err    *flow.Error
	// then is what a final failure asked for, ThenPause or ThenStop; a failure that is tried again has final unset.
	final    bool
	then     pipelines.Then
	policy   pipelines.Policy
	attempts int
}

// failurePoint is where a message failed, with what the file says about it.
type failurePoint struct {
	name   string
	policy pipelines.Policy
	errors []pipelines.Edge
	// next are the edges that continue follows; where there are none, continue is pause.
	next   []pipelines.Edge
	target parkedTarget
	letter *letter
}

// fail decides about a message that failed at a node. m is as it entered the node.
func (w *worker) fail(node int, m *flow.Message, err error, depth int) {
	n := &w.g.prog.Nodes[node]
	e := flow.AsError(err, flow.Permanent, flow.CodeProcessing)
	at := failurePoint{name: n.Name, policy: n.OnError, errors: n.Errors, target: parkedTarget{edge: pipelines.Edge{Index: node}}}
	if len(n.Ports) > 0 {
		at.next = n.Ports[0]
	}
	if e.Class == flow.Transient && w.mayRetry(at) {
		w.park(at, m, w.g.named(e, n.Name), false)
		return
	}
	w.settleFailure(at, m, e, depth)
}

// failSink decides about a message that a sink's preparation refused.
func (w *worker) failSink(sink int, m *flow.Message, err error, lt *letter, depth int) {
	s := &w.g.prog.Sinks[sink]
	at := failurePoint{name: s.Name, policy: s.OnError, errors: s.Errors, letter: lt,
		target: parkedTarget{edge: pipelines.Edge{Sink: true, Index: sink}}}
	w.settleFailure(at, m, flow.AsError(err, flow.Permanent, flow.CodeEncode), depth)
}

// mayRetry says whether the policy allows one more attempt.
func (w *worker) mayRetry(at failurePoint) bool {
	if at.policy.Retries < 0 {
		return true
	}
	return w.attemptsAt(at.target) < at.policy.Retries
}

func (w *worker) attemptsAt(t parkedTarget) int {
	if w.retrying && w.again == t.edge && !t.source {
		return w.attempts
	}
	return 0
}

// named says where an error happened, and hides the secrets that others wrote into it.
func (g *graph) named(e *flow.Error, node string) *flow.Error {
	if e.Node != "" {
		return e
	}
	c := *e
	c.Node, c.Message = node, g.prog.Mask(c.Message)
	return &c
}

// settleFailure does what then says with a message that failed for good.
func (w *worker) settleFailure(at failurePoint, m *flow.Message, e *flow.Error, depth int) {
	e = w.g.named(e, at.name)
	if at.letter != nil {
		// A dead letter that its sink refuses must not get lost: it waits for somebody.
		at.policy.Then = pipelines.ThenPause
		w.park(at, m, e, true)
		return
	}
	if at.policy.Then == pipelines.ThenContinue && len(at.next) == 0 {
		at.policy.Then = pipelines.ThenPause // there is nowhere to go on to, and nobody said drop
	}
	lt := &letter{err: e, attempts: w.attemptsAt(at.target) + 1}
	switch at.policy.Then {
	case pipelines.ThenSink:
		m.SetFailure(e)
		m.Through(at.name + errorsPort)
		w.deliver(at.policy.Sink, m, lt, depth)
	case pipelines.ThenErrors:
		m.SetFailure(e)
		m.Through(at.name + errorsPort)
		w.followErrors(at.errors, m, lt, depth+1)
	case pipelines.ThenContinue:
		m.SetFailure(e)
		w.follow(at.next, m, depth+1)
	case pipelines.ThenDrop:
		w.run.ended(w.rec, flow.Dropped)
	case pipelines.ThenPause, pipelines.ThenStop:
		if !w.refuse(at.policy, e) {
			w.park(at, m, e, true)
		}
	}
}

// errorsPort is what a file writes behind a name to read what failed there.
const errorsPort = ".errors"

// refuse gives a message back to a sender that waits for an answer, where the file does not say what else is to become of it. A mistake
// in the configuration is not the sender's: it pauses the pipeline as ever.
func (w *worker) refuse(policy pipelines.Policy, e *flow.Error) bool {
	if !policy.Unsaid || w.g.finite || !w.run.in.spec.Traits.Answers || e.Class > flow.Poison {
		return false
	}
	w.run.refuse(w.rec, e)
	return true
}

// followErrors leads a failed message to the readers of name.errors: nodes get the message, a sink gets a dead letter.
func (w *worker) followErrors(edges []pipelines.Edge, m *flow.Message, lt *letter, depth int) {
	for i, edge := range edges {
		c := m
		if i < len(edges)-1 {
			c = m.Clone()
		}
		if edge.Sink {
			w.deliver(edge.Index, c, lt, depth)
			continue
		}
		w.run.ended(w.rec, flow.DeadLettered) // whatever these nodes make of it
		w.walk(edge, c, depth)
	}
}

func (w *worker) park(at failurePoint, m *flow.Message, e *flow.Error, final bool) {
	w.run.parked = append(w.run.parked, parked{
		rec: w.rec, order: w.run.place(), target: at.target, msg: m.Clone(), letter: at.letter, err: e,
		final: final, then: at.policy.Then, policy: at.policy, attempts: w.attemptsAt(at.target) + 1,
	})
}
