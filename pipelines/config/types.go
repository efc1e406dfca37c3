package config

import (
	"context"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/expression"
)

// NodeType describes a verb.
type NodeType struct {
	// Name is the verb, which is also the key that its value stands under.
	Name string
	// Doc is one line for lists and the reference.
	Doc string
	// New makes a configuration with nothing set. It is a pointer to a struct with yaml tags: one field is tagged with the verb, the
	// others are the options that stand beside it.
	New func() NodeConfig
	// StepOnly and NodeOnly restrict where the verb may stand: route is a node, never a step.
	NodeOnly bool
}

// NodeConfig is a verb's decoded configuration.
type NodeConfig interface {
	// Build compiles the configuration, without any I/O. What is wrong goes to b.Findings; the result is then not used.
	Build(b *Builder) Node
}

// Node is a built processor.
type Node struct {
	Processor flow.Processor
	// Ports are the names of the ways out; nil is one way out without a name.
	Ports []string
	// Body is what is known of the body of what comes out. A node that leaves the body alone gives its scope's; nil knows nothing.
	Body *expression.Shape
}

// ConnectorType describes a technology; NewSource or NewSink is nil when it has no such side.
type ConnectorType struct {
	Name string
	Doc  string
	// NewSource and NewSink make a configuration with nothing set: a pointer to a struct with yaml tags.
	NewSource func() SourceConfig
	NewSink   func() SinkConfig
}

// SourceConfig is a source's decoded configuration.
type SourceConfig interface {
	// BuildSource checks and compiles, without any I/O.
	BuildSource(b *Builder) Source
}

// Source is a source that can be opened.
type Source struct {
	Traits flow.Traits
	Open   func(ctx context.Context, host flow.Host) (flow.Source, error)
	// Extra are the connector's own entries of `source` in expressions; may be nil.
	Extra func(r *flow.Record) map[string]any
	// Lines: each payload is one line of a file or stream.
	Lines bool
	// Reads tells of an address, as Traits has them, whether the source reads there: of a source that reads several places. May be nil.
	Reads func(address string) bool
	// Transaction is what sinks must have in common with the source for exactly_once; zero when the source cannot do that.
	Transaction Transaction
	// Connect tries what Open would need, and changes and reads nothing: it dials, authenticates, and looks whether the queue or topic is
	// there. `validate --connect` calls it, and a reload before it lets go of what runs. nil: nothing can be tried.
	Connect func(ctx context.Context, host flow.Host) error
}

// SinkConfig is a sink's decoded configuration.
type SinkConfig interface {
	// BuildSink checks and compiles, without any I/O.
	BuildSink(b *Builder) Sink
}

// Sink is a sink that can be opened. What Open gives and Preparer work together also when each was built for itself from equal
// configurations: a reload keeps an open sink, and takes the Preparer of the new revision.
type Sink struct {
	Traits   flow.Traits
	Preparer flow.Preparer
	Open     func(ctx context.Context, host flow.Host) (flow.Sink, error)
	// Lines: each payload becomes one line of a file or stream.
	Lines bool
	// Connect tries what Open would need, as that of a Source; may be nil.
	Connect func(ctx context.Context, host flow.Host) error
	// Transaction is what the sink's writing can be one transaction with; zero when it can with nothing.
	Transaction Transaction
}

// Transaction says with what a source or sink can share a transaction, in which what is written and what is acknowledged take effect
// together or not at all. It holds no secrets in clear.
type Transaction struct {
	// Where is what keeps the transaction: equal for parts that can share one.
	Where string
	// Show names it to people.
	Show string
	// Terms are settings that sinks of one transaction must have in common, as name: value.
	Terms string
}

// Registry is the set of types that a program is built from.
type Registry struct {
	Nodes      []NodeType
	Connectors []ConnectorType
}

// Node finds a verb.
func (r *Registry) Node(name string) (NodeType, bool) {
	for _, t := range r.Nodes {
		if t.Name == name {
			return t, true
		}
	}
	return NodeType{}, false
}

// Connector finds a technology.
func (r *Registry) Connector(name string) (ConnectorType, bool) {
	for _, t := range r.Connectors {
		if t.Name == name {
			return t, true
		}
	}
	return ConnectorType{}, false
}
