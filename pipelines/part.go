package pipelines

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// partKind says what a named part of a file is.
type partKind string

const (
	sourcePart partKind = "source"
	nodePart   partKind = "node"
	sinkPart   partKind = "sink"
)

// part is a source, node or sink of the file, on its way from text to program.
type part struct {
	kind  partKind
	name  string
	key   yamldoc.Scalar // where its name stands, or what stands for it
	value *yamldoc.Value
	// index is its place in the program's sources or sinks.
	index int

	// number is its place among all parts.
	number int

	from     []*ref
	reading  bool // a from was written, whatever became of it
	onError  *onError
	letters  bool // named in a then
	namedIn  int  // the line of the first then that names it
	readers  int  // how many parts read it
	erring   []*part
	optional bool

	connector string
	settings  *yamldoc.Value // the connector's options, with those of its connection
	source    config.SourceConfig
	sink      config.SinkConfig
	whole     bool // the settings are decoded without a finding
	// reads and transaction are what the connector says of itself beyond its traits.
	reads       func(address string) bool
	transaction config.Transaction
	// codecs are those of a source's decode or a sink's encode, chain what they compile to; codecHash covers both.
	codecs    *config.Codecs
	chain     *codec.Chain
	lined     *codec.Chain // chain for a sink whose payloads are lines; nil where that makes no difference
	codecHash string
	schema    *sourceSchema
	// bodyIn and bodyOut are what is known of the body before and behind it.
	bodyIn, bodyOut *expression.Shape

	steps []*step
	// first and last are the program's nodes of the first and last step.
	first, last int
	// built: the last step is compiled, and its ways out are ports. readCases are those that are read, as far as lost is unset.
	built     bool
	ports     []string
	readCases map[string]bool
	lost      bool
}

// step is one verb of a node.
type step struct {
	name    string
	owner   *part
	value   *yamldoc.Value
	verb    config.NodeType
	config  config.NodeConfig
	whole   bool // config is decoded without a finding
	cond    config.Expression
	onError *onError
	node    int
	erring  []*part
}

// ref is one entry of a from.
type ref struct {
	at     yamldoc.Scalar
	target *part
	step   *step // set when it reads the errors of a step
	port   string
	errors bool
}

// collectParts decodes every source, node and sink.
func (l *loader) collectParts(top *yamldoc.Value) {
	l.byName, l.count = map[string]*part{}, map[partKind]int{}
	f := &l.file
	linear := f.From != nil || f.Steps != nil || f.To != nil
	graph := f.Sources != nil || f.Nodes != nil
	switch {
	case linear && graph:
		first := f.From
		if first == nil {
			first = f.Steps
		}
		if first == nil {
			first = f.To
		}
		key, _ := first.Key()
		l.findings.Add(key.Whole(diag.ConflictingKey, "a file is either linear (from, steps, to) or a graph (sources, nodes, sinks), not both",
			"name the source under sources: and let nodes read it with from:"))
		l.lost, l.sinksLost = true, true
		for _, c := range l.connections {
			c.used = true
		}
	case linear:
		l.collectLinear(top)
	case graph || f.Sinks != nil:
		l.collectGraph(top)
	default:
		l.missing(top, "from", "the pipeline has no source", "write from: and to:, or sources: and sinks:")
	}
}

func (l *loader) collectLinear(top *yamldoc.Value) {
	f := &l.file
	source := &part{kind: sourcePart, name: "from", key: place(top), value: top}
	if f.From == nil {
		l.missing(top, "from", "the pipeline has no source", "write from: with a connector, such as from: { stdin: {} }")
	} else {
		source = l.sourcePart("from", f.From)
	}
	l.add(source)
	upstream := source
	if f.Steps != nil {
		p := l.stepsPart("steps", f.Steps)
		p.from = []*ref{{at: p.key, target: source}}
		if len(p.steps) > 0 {
			l.add(p)
			upstream = p
		}
	}
	switch {
	case f.To == nil:
		upstream.readers++
		l.missing(top, "to", "the pipeline has no sink", "write to: with a connector, such as to: { stdout: {} }")
	case f.To.Kind() == yamldoc.KindSequence && len(f.To.Items()) == 0:
		upstream.readers++
		f.To.Finding(l.findings, diag.MissingKey, "the pipeline has no sink", "write one, such as to: { stdout: {} }")
	case f.To.Kind() == yamldoc.KindSequence:
		for i, v := range f.To.Items() {
			name := "to"
			if i > 0 {
				name = "to." + strconv.Itoa(i+1)
			}
			l.linearSink(name, v, upstream)
		}
	default:
		l.linearSink("to", f.To, upstream)
	}
	l.collectNamed(f.Sinks, "a sink", l.sinkPart)
}

func (l *loader) linearSink(name string, v *yamldoc.Value, upstream *part) {
	if from, ok := v.Lookup("from"); ok {
		key, _ := from.Key()
		l.findings.Add(key.Whole(diag.MisplacedKey, "the sink of a linear pipeline has no from", "it gets what comes out of steps; leave from out"))
		v = v.Without(func(key string) bool { return key == "from" })
	}
	p := l.sinkPart(name, v)
	p.from, p.reading = []*ref{{at: p.key, target: upstream}}, true
	l.add(p)
}

func (l *loader) collectGraph(top *yamldoc.Value) {
	f := &l.file
	l.someOf(top, "sources", f.Sources, "write sources: { name: { connector: {…} } }")
	l.someOf(top, "sinks", f.Sinks, "write sinks: { name: { from: node, connector: {…} } }")
	l.collectNamed(f.Sources, "a source", l.sourcePart)
	l.collectNamed(f.Nodes, "a node", l.nodePart)
	l.collectNamed(f.Sinks, "a sink", l.sinkPart)
}

// someOf reports a graph without sources or sinks.
func (l *loader) someOf(top *yamldoc.Value, key string, v *yamldoc.Value, hint string) {
	switch {
	case v == nil:
		l.lost = true
		l.missing(top, key, "the pipeline has no "+key, hint)
	case v.Kind() == yamldoc.KindMapping && len(v.Entries()) == 0:
		l.lost = true
		if !l.damaged {
			v.Finding(l.findings, diag.MissingKey, "the pipeline has no "+key, hint)
		}
	}
}

func (l *loader) collectNamed(v *yamldoc.Value, what string, decode func(name string, v *yamldoc.Value) *part) {
	if v == nil || v.Broken() {
		return
	}
	if v.Kind() != yamldoc.KindMapping {
		l.context.WrongType(v, "a mapping of names to "+strings.TrimPrefix(what, "a ")+"s")
		l.lost, l.sinksLost = true, l.sinksLost || what == "a sink"
		return
	}
	for _, e := range v.Entries() {
		l.checkName(e.Key, what)
		p := decode(e.Key.Text, e.Value)
		p.key = e.Key
		l.add(p)
	}
}

// add registers a part under its name. One whose name is taken is compiled all the same, so that all its findings are found.
func (l *loader) add(p *part) {
	if old, taken := l.byName[p.name]; taken {
		l.lost, p.reading = true, true
		l.findings.Add(p.key.Whole(diag.DuplicateName, fmt.Sprintf("the name %q is taken", p.name),
			fmt.Sprintf("line %d has a %s of this name; choose another", old.key.Line, old.kind)))
	} else {
		l.byName[p.name] = p
	}
	p.number, p.index = len(l.parts), l.count[p.kind]
	l.count[p.kind]++
	l.parts = append(l.parts, p)
}

// place is where findings about a part as a whole point.
func place(v *yamldoc.Value) yamldoc.Scalar {
	if key, ok := v.Key(); ok {
		return key
	}
	return v.Scalar()
}
