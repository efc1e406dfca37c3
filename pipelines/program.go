package pipelines

import (
	"context"
	"log/slog"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Program is a checked pipeline, immutable and ready to run. Its parts refer to each other by index.
type Program struct {
	Name        string
	Description string
	// Path is the file it came from.
	Path string
	name yamldoc.Scalar
	// places are where each source and sink says its connector.
	places map[string]yamldoc.Scalar
	mask   *mask
	// vars, tables and bodies, by source, are what expressions see.
	vars   map[string]any
	tables *tables
	bodies []*expression.Shape
	// Hash is equal for two programs exactly when running one is running the other: it covers everything after interpolation but notes,
	// descriptions, comments, layout and tests.
	Hash string

	Sources []Source
	// Nodes are in an order in which every node comes after all it reads from.
	Nodes []Node
	Sinks []Sink

	Order Order
	// ExactlyOnce: what the sinks write and what the source acknowledges is one transaction.
	ExactlyOnce bool
	Limits      flow.Limits
	Paths       *document.Paths
	Tests       []Test
	// Background is what goes on beside the messages while the pipeline lives, such as reading tables again. Each is run once and returns
	// when ctx has ended.
	Background []func(ctx context.Context, log *slog.Logger)
}

// Mask puts *** in place of every secret of the file that stands in a text: for whatever is shown that others wrote, such as errors.
func (p *Program) Mask(text string) string { return p.mask.text(text) }

// Finding makes a finding about the pipeline as a whole; it points at the name.
func (p *Program) Finding(code diag.Code, message, hint string) diag.Finding {
	return p.name.Whole(code, message, hint)
}

// FindingAt is Finding for the source or sink of that name: it points at its connector.
func (p *Program) FindingAt(part string, code diag.Code, message, hint string) diag.Finding {
	at, ok := p.places[part]
	if !ok {
		at = p.name
	}
	return at.Whole(code, message, hint)
}

// Order is what the pipeline keeps of the order of its sources.
type Order uint8

// The orders.
const (
	// ByKey keeps the order of records with the same key; records without a key are kept in the order of their lane.
	ByKey Order = iota
	// BySource keeps the order of each lane.
	BySource
	// Unordered keeps nothing.
	Unordered
)

// String gives the word of the file.
func (o Order) String() string { return [...]string{"by_key", "source", "none"}[o] }

// Edge leads to a node or a sink.
type Edge struct {
	Sink  bool
	Index int
	// Way is what the file calls the edge (a node, node.case) where one record can come to the same place on several; else it is empty.
	Way string
}

// Source is one source of a program.
type Source struct {
	Name      string
	Connector string
	Traits    flow.Traits
	Format    document.Format
	Coder     document.Coder // where Format is document.Coded
	// Under is set where payloads are lines below a header line, of which it makes their coder.
	Under func(header []byte) document.Coder
	// Order is the pipeline's, or this source's default.
	Order Order
	Out   []Edge
	// Errors are the readers of name.errors; OnError holds for records that fail before the first node.
	Errors  []Edge
	OnError Policy
	// Check is nil, or judges each message before it enters the graph, after it has undone what the source's byte codecs did.
	Check func(m *flow.Message) error
	// Extra are the connector's own entries of `source` in expressions; may be nil.
	Extra func(r *flow.Record) map[string]any
	Open  func(ctx context.Context, host flow.Host) (flow.Source, error)
	// Connect tries what Open needs, and changes nothing; may be nil.
	Connect func(ctx context.Context, host flow.Host) error
	// Hash covers the source's own configuration; Opened what of it Open depends on.
	Hash, Opened string
	// Fields are hashes of each field that stands in the file.
	Fields map[string]string
}

// Node is one processor of a program.
type Node struct {
	// Name is what metrics, logs and errors show: clean, steps.1, clean.2.
	Name string
	// Owner is the name the file gives to the node that this is a step of; equal to Name for a node without steps.
	Owner     string
	Verb      string
	Processor flow.Processor
	// If is nil, or decides whether the node is run; when it is not, the message goes on at port 0.
	If func(m *flow.Message) (bool, error)
	// Ports are the edges of each way out, PortNames their names where they have one.
	Ports     [][]Edge
	PortNames []string
	Errors    []Edge
	OnError   Policy
	Hash      string
	// Fields are hashes of each field that stands in the file.
	Fields map[string]string
}

// Sink is one sink of a program.
type Sink struct {
	Name      string
	Connector string
	Traits    flow.Traits
	Optional  bool
	// Encode writes the body: appends the payload of m to dst. none reports a message without a payload. nil: as the document says.
	Encode func(dst []byte, m *flow.Message) (payload []byte, none bool, err error)
	// Decode reads what Encode has written; nil where Encode is.
	Decode func(payload []byte) (value.Value, error)
	// Content is what Encode makes; nil where there is none, or it cannot say.
	Content  *flow.Content
	Preparer flow.Preparer
	Open     func(ctx context.Context, host flow.Host) (flow.Sink, error)
	// Connect tries what Open needs, and changes nothing; may be nil.
	Connect func(ctx context.Context, host flow.Host) error
	Errors  []Edge
	OnError Policy
	// Letters is set when the sink is named in a then: it also gets dead letters.
	Letters bool
	// Hash, Opened and Fields are as those of a Source.
	Hash, Opened string
	Fields       map[string]string
}

// Policy is an on_error with all defaults filled in.
type Policy struct {
	// Retries of a transient failure after the first attempt; negative is for ever.
	Retries    int
	MinBackoff time.Duration
	MaxBackoff time.Duration
	Then       Then
	// Unsaid: the file does not say what comes then; a source whose senders wait for an answer gives the message back to them.
	Unsaid bool
	// Sink is the index of the sink that gets the dead letter when Then is ThenSink.
	Sink int
}

// Then is what happens to a message that failed for good.
type Then uint8

// The ends of an on_error.
const (
	// ThenPause stops reading and leaves the message at its source until resume, reload or restart.
	ThenPause Then = iota
	// ThenStop drains the pipeline, which counts as failed.
	ThenStop
	// ThenDrop counts the message and lets it go.
	ThenDrop
	// ThenContinue sends the message on as it entered the node, with error set.
	ThenContinue
	// ThenSink sends a dead letter.
	ThenSink
	// ThenErrors: nodes or sinks read name.errors.
	ThenErrors
)

// DefaultPolicy holds where a file says nothing: retry for ever, then pause.
func DefaultPolicy() Policy {
	return Policy{Retries: -1, MinBackoff: 200 * time.Millisecond, MaxBackoff: 30 * time.Second, Then: ThenPause, Unsaid: true}
}

// DefaultLimits hold where a file says nothing.
func DefaultLimits() flow.Limits {
	return flow.Limits{MaxMessage: 1 << 20, InFlight: 4096, InFlightBytes: 32 << 20}
}

// Test is one entry of a file's tests, checked but not run.
type Test struct {
	Name  string
	Line  int
	Clock time.Time
	Send  []TestMessage
	// Expect lists what each named sink gets, in order.
	Expect map[string][]Expectation
	// Error is an error that no on_error handled; nil when none is expected.
	Error *ExpectedError
	// Stub are the answers of call nodes by node name.
	Stub map[string][]StubAnswer
}

// TestMessage is one message that a test sends.
type TestMessage struct {
	Line   int
	Source string
	Key    *string
	Meta   []flow.Header
	// Payload is nil for no payload.
	Payload []byte
	Topic   string
	Time    time.Time
}

// Expectation is one message that a test wants at a sink. Only the parts that are set are compared.
type Expectation struct {
	Line    int
	Key     *string
	NoKey   bool
	Topic   *string
	Meta    map[string]any
	Body    any
	HasBody bool
	Payload []byte
	// Subset compares only the parts of Body that are given; Ignore names body paths that are not compared.
	Subset bool
	Ignore []string
}

// ExpectedError is what a test wants to fail with.
type ExpectedError struct {
	Node    string
	Code    string
	Class   string
	Message string
}

// StubAnswer is what a stubbed call gives back.
type StubAnswer struct {
	Status  int
	Headers map[string]string
	Body    any
	Error   string
}
