package pipelines

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// connection is a named set of connector options.
type connection struct {
	key       yamldoc.Scalar
	connector string // "" when it has a finding
	options   *yamldoc.Value
	used      bool
}

func (l *loader) loadConnections() {
	l.connections = map[string]*connection{}
	v := l.file.Connections
	if v == nil {
		return
	}
	if v.Kind() != yamldoc.KindMapping {
		l.context.WrongType(v, "a mapping of names to connectors")
		return
	}
	for _, e := range v.Entries() {
		l.checkName(e.Key, "a connection")
		name, options, rest, _ := l.splitConnector(e.Value, nil, "connection")
		for _, extra := range rest.Entries() {
			l.findings.Add(extra.Key.Whole(diag.UnknownKey, fmt.Sprintf("unknown key %q in %s", extra.Key.Text, e.Key.Text),
				"a connection holds a connector with its options, and nothing else"))
		}
		l.connections[e.Key.Text] = &connection{key: e.Key, connector: name, options: options}
	}
}

type sourceCommon struct {
	Decode *config.Codecs `yaml:"decode"`
	Schema *yamldoc.Value `yaml:"schema"`
	Note   string         `yaml:"note,raw"`
}

type sinkCommon struct {
	From     *yamldoc.Value `yaml:"from"`
	Encode   *config.Codecs `yaml:"encode"`
	Optional bool           `yaml:"optional"`
	OnError  *onError       `yaml:"on_error"`
	Note     string         `yaml:"note,raw"`
}

func (l *loader) sourcePart(name string, v *yamldoc.Value) *part {
	p := &part{kind: sourcePart, name: name, key: place(v), value: v}
	defer l.tolerate()()
	var common sourceCommon
	known := yamldoc.KnownKeys(common)
	connector, options, rest, ok := l.splitConnector(v, known, "source")
	t, _ := l.opts.Registry.Connector(connector)
	if t.NewSource != nil {
		p.source = t.NewSource()
		options, rest = l.settle(options, rest, known, connector, p.source)
	}
	if rest.Kind() == yamldoc.KindMapping {
		yamldoc.Decode(rest, &common, l.context)
	}
	defer l.context.Enter(v, known...)()
	if !ok {
		return p
	}
	p.connector, p.codecs = connector, common.Decode
	if common.Schema != nil {
		p.schema = l.loadSchema(common.Schema)
	}
	if p.source == nil {
		l.wrongSide(v, connector, "source")
		return p
	}
	l.context.NoTemplate = "write the text out, or ${NAME} for a variable of the environment; templates are for sinks: a source has no message yet"
	p.settings, p.whole = l.decodeSettings(connector, options, p.source)
	l.context.NoTemplate = ""
	return p
}

func (l *loader) sinkPart(name string, v *yamldoc.Value) *part {
	p := &part{kind: sinkPart, name: name, key: place(v), value: v}
	defer l.tolerate()()
	var common sinkCommon
	known := yamldoc.KnownKeys(common)
	connector, options, rest, ok := l.splitConnector(v, known, "sink")
	t, _ := l.opts.Registry.Connector(connector)
	if t.NewSink != nil {
		p.sink = t.NewSink()
		options, rest = l.settle(options, rest, known, connector, p.sink)
	}
	if rest.Kind() == yamldoc.KindMapping {
		yamldoc.Decode(rest, &common, l.context)
	}
	defer l.context.Enter(v, known...)()
	p.connector, p.codecs, p.optional, p.onError = connector, common.Encode, common.Optional, common.OnError
	p.from, p.reading = l.refs(common.From), common.From != nil || v.Kind() != yamldoc.KindMapping
	if misspelled(rest, "from", known) && common.From == nil {
		p.reading, l.lost = true, true
	}
	if !ok {
		return p
	}
	if p.sink == nil {
		l.wrongSide(v, connector, "sink")
		return p
	}
	l.context.NoTemplate = "write the text out, or ${NAME} for a variable of the environment; it is the same for all messages"
	p.settings, p.whole = l.decodeSettings(connector, options, p.sink)
	l.context.NoTemplate = ""
	return p
}

// settle refuses beside a connector what belongs into it, and reads it as if it stood there.
func (l *loader) settle(options, rest *yamldoc.Value, common []string, connector string, config any) (inside, beside *yamldoc.Value) {
	known := append(yamldoc.KnownKeys(config), "use")
	misplaced := func(key string) bool { return !slices.Contains(common, key) && slices.Contains(known, key) }
	for _, e := range rest.Entries() {
		if misplaced(e.Key.Text) {
			l.context.Inside(e, connector)
		}
	}
	moved := rest.Without(func(key string) bool { return !misplaced(key) })
	return options.OrMapping().Over(moved), rest.Without(misplaced)
}

// tolerate lets undefined variables pass in what a test replaces, until it is called back.
func (l *loader) tolerate() (restore func()) {
	l.context.AllowUndefined = l.opts.ForTest
	return func() { l.context.AllowUndefined = false }
}

func (l *loader) wrongSide(v *yamldoc.Value, connector, side string) {
	hint := "connectors with a " + side + ": " + strings.Join(l.connectorNames(side), ", ")
	switch {
	case connector == "stdout" && side == "source":
		hint = "read with stdin, write with stdout"
	case connector == "stdin" && side == "sink":
		hint = "write with stdout, read with stdin"
	}
	key := v.Scalar()
	for _, e := range v.Entries() {
		if e.Key.Text == connector {
			key = e.Key
		}
	}
	l.findings.Add(key.Whole(diag.BadValue, fmt.Sprintf("%s cannot be a %s", connector, side), hint))
}

func (l *loader) connectorNames(side string) []string {
	var names []string
	for _, t := range l.opts.Registry.Connectors {
		if (side == "source" && t.NewSource == nil) || (side == "sink" && t.NewSink == nil) {
			continue
		}
		names = append(names, t.Name)
	}
	return names
}

// splitConnector finds the one key of v that is a connector; rest is v without it. When there is a finding, ok is false, and rest holds
// only the keys that a source or sink has in common with others.
func (l *loader) splitConnector(v *yamldoc.Value, common []string, side string) (name string, options, rest *yamldoc.Value, ok bool) {
	if v.Kind() != yamldoc.KindMapping || v.Broken() {
		l.lost = true
		l.context.WrongType(v, "a mapping with a connector, such as "+map[string]string{
			"source": "{ stdin: {} }", "sink": "{ stdout: {} }", "connection": "{ kafka: { brokers: […] } }",
		}[side])
		return "", nil, v, false
	}
	rest = v.Without(func(k string) bool { return !slices.Contains(common, k) })
	var found []yamldoc.Entry
	for _, e := range v.Entries() {
		if _, known := l.opts.Registry.Connector(e.Key.Text); known {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		l.noConnector(v, common, side)
		return "", nil, rest, false
	case 1:
		name = found[0].Key.Text
		return name, found[0].Value, v.Without(func(k string) bool { return k == name }), true
	}
	l.findings.Add(found[1].Key.Whole(diag.ConflictingKey, fmt.Sprintf("a %s has one connector, and this one has %s already", side,
		found[0].Key.Text), "write a second "+side))
	return "", nil, rest, false
}

// laterConnectors are in the language and not built yet.
var laterConnectors = []string{"mqtt", "nats", "rocketmq", "redis"}

// noConnector names the key that was probably meant as the connector.
func (l *loader) noConnector(v *yamldoc.Value, common []string, side string) {
	names := l.connectorNames(side)
	for _, e := range v.Entries() {
		if slices.Contains(common, e.Key.Text) {
			continue
		}
		if slices.Contains(laterConnectors, e.Key.Text) {
			l.findings.Add(e.Key.Whole(diag.NotAvailable, "the connector "+e.Key.Text+" is not available yet", "connectors: "+strings.Join(names, ", ")))
			return
		}
		hint := didYouMean(e.Key.Text, names)
		if hint == "" {
			hint = "connectors: " + strings.Join(names, ", ")
		}
		l.findings.Add(e.Key.Whole(diag.UnknownName, fmt.Sprintf("unknown connector %q", e.Key.Text), hint))
		return
	}
	if l.damaged {
		return
	}
	at := place(v)
	l.findings.Add(at.Whole(diag.MissingKey, "the "+side+" has no connector", "write one of "+strings.Join(names, ", ")))
}

// decodeSettings decodes a connector's options, with those of the connection that use names, and tells whether all of them are there.
func (l *loader) decodeSettings(connector string, options *yamldoc.Value, into any) (settings *yamldoc.Value, whole bool) {
	options = options.OrMapping()
	if use, ok := options.Lookup("use"); ok {
		if use.Kind() != yamldoc.KindScalar {
			l.context.WrongType(use, "the name of a connection")
			return options, false
		}
		own := options.Without(func(k string) bool { return k == "use" })
		merged, ok := l.useConnection(connector, use.Scalar(), own)
		if !ok {
			l.decodePart(merged, into)
			return options, false
		}
		options = merged
	}
	return options, yamldoc.Decode(options, into, l.context) && !l.damaged
}

// decodePart decodes options of which some are not known, so that none is missed.
func (l *loader) decodePart(options *yamldoc.Value, into any) {
	all := l.findings
	l.context.Findings = &diag.List{}
	yamldoc.Decode(options, into, l.context)
	for _, f := range l.context.Findings.All() {
		if f.Code != diag.MissingKey {
			all.Add(f)
		}
	}
	l.context.Findings = all
}

// useConnection gives the options of a part with those of its connection. When there is a finding, ok is false, and merged is what is known.
func (l *loader) useConnection(connector string, name yamldoc.Scalar, own *yamldoc.Value) (merged *yamldoc.Value, ok bool) {
	c, ok := l.connections[name.Text]
	if !ok {
		l.unknownConnection(name)
		return own, false
	}
	c.used = true
	switch c.connector {
	case connector:
	case "":
		return own, false
	default:
		l.findings.Add(name.Whole(diag.BadValue, fmt.Sprintf("connection %q is for %s, not for %s", name.Text, c.connector, connector),
			"define one for "+connector+" under connections:"))
		return own, false
	}
	base := c.options.OrMapping()
	before := l.findings.ErrorCount()
	for _, e := range own.Entries() {
		if _, twice := base.Lookup(e.Key.Text); twice {
			l.findings.Add(e.Key.Whole(diag.ConflictingKey, fmt.Sprintf("%s is given here and in connection %q", e.Key.Text, name.Text),
				"leave it out in one of the two places"))
		}
	}
	return own.Over(base), l.findings.ErrorCount() == before
}

func (l *loader) unknownConnection(name yamldoc.Scalar) {
	hint := "define it under connections:"
	if len(l.connections) > 0 {
		hint = "connections: " + strings.Join(keysOf(l.connections), ", ")
	}
	if near := l.suggest(name.Text, keysOf(l.connections)); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
		l.connections[near].used = true
	} else {
		for _, c := range l.connections {
			c.used = true // it may be any of them that was meant
		}
	}
	l.findings.Add(name.Whole(diag.UnknownName, fmt.Sprintf("unknown connection %q", name.Text), hint))
}
