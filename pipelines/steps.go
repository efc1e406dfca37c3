package pipelines

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// reservedVerbs belong to the stateful release.
var reservedVerbs = []string{"dedupe", "window", "join", "delay", "batch"}

type nodeCommon struct {
	From    *yamldoc.Value `yaml:"from"`
	OnError *onError       `yaml:"on_error"`
	Note    string         `yaml:"note,raw"`
}

type nodeSteps struct {
	nodeCommon `yaml:",inline"`
	Steps      *yamldoc.Value `yaml:"steps"`
}

type stepCommon struct {
	Name    *yamldoc.Scalar   `yaml:"name"`
	If      config.Expression `yaml:"if"`
	OnError *onError          `yaml:"on_error"`
	Note    string            `yaml:"note,raw"`
}

// nodePart decodes an entry of nodes: a verb, or steps.
func (l *loader) nodePart(name string, v *yamldoc.Value) *part {
	p := &part{kind: nodePart, name: name, key: place(v), value: v}
	if v.Kind() != yamldoc.KindMapping {
		l.lost = true
		l.context.WrongType(v, "a mapping with from and a verb")
		return p
	}
	if _, ok := v.Lookup("steps"); ok {
		return l.nodeWithSteps(name, v)
	}
	verb, ok := l.findVerb(v, append(yamldoc.KnownKeys(nodeCommon{}), "steps"), "node")
	if !ok {
		l.nodeFrom(p, v)
		return p
	}
	v = l.withoutStepKeys(v, verb.Name)
	p.value = v
	var common nodeCommon
	cfg, whole := l.decodeVerb(v, verb, &common)
	p.onError = common.OnError
	l.nodeFrom(p, v)
	p.steps = []*step{{name: name, owner: p, value: v, verb: verb, config: cfg, whole: whole}}
	return p
}

// withoutStepKeys refuses on a node what only a step can have.
func (l *loader) withoutStepKeys(v *yamldoc.Value, verb string) *yamldoc.Value {
	for _, key := range []string{"if", "name"} {
		if found, ok := v.Lookup(key); ok {
			at := place(found)
			l.findings.Add(at.Whole(diag.MisplacedKey, key+" belongs to a step, and this is a node", "write "+verb+" and "+key+" as one of the node's steps:"))
			v = v.Without(func(k string) bool { return k == key })
		}
	}
	return v
}

func (l *loader) nodeWithSteps(name string, v *yamldoc.Value) *part {
	for _, e := range v.Entries() {
		if _, isVerb := l.opts.Registry.Node(e.Key.Text); isVerb {
			l.findings.Add(e.Key.Whole(diag.ConflictingKey, "a node has a verb or steps, and this one has both", "write "+e.Key.Text+" as one of the steps"))
			v = v.Without(func(key string) bool { return key == e.Key.Text })
		}
	}
	var common nodeSteps
	yamldoc.Decode(v, &common, l.context)
	leave := l.context.Enter(v, yamldoc.KnownKeys(common)...)
	steps, _ := v.Lookup("steps") // common has none when they have a finding
	p := l.stepsPart(name, steps)
	leave()
	p.value, p.onError = v, common.OnError
	l.nodeFrom(p, v)
	if s := common.Steps; s != nil && s.Kind() == yamldoc.KindSequence && len(s.Items()) == 0 {
		common.Steps.Finding(l.findings, diag.MissingKey, "steps is empty", "write the steps, or leave the node out and read from what it reads")
	}
	return p
}

func (l *loader) nodeFrom(p *part, v *yamldoc.Value) {
	from, ok := v.Lookup("from")
	if !ok {
		l.lost = true
		if !l.damaged && !misspelled(v, "from", yamldoc.KnownKeys(nodeSteps{})) {
			at := place(v)
			l.findings.Add(at.Whole(diag.MissingKey, fmt.Sprintf("node %q does not say what it reads", p.name), "write from: with the name of a source or node"))
		}
		return
	}
	p.from, p.reading = l.refs(from), true
}

// misspelled tells whether v has a key that was reported as probably meaning the given one.
func misspelled(v *yamldoc.Value, key string, known []string) bool {
	for _, e := range v.Entries() {
		if yamldoc.SuggestKey(e.Key.Text, known) == key {
			return true
		}
	}
	return false
}

// stepsPart decodes a list of steps.
func (l *loader) stepsPart(name string, v *yamldoc.Value) *part {
	p := &part{kind: nodePart, name: name, key: place(v), value: v}
	if v.Broken() {
		return p
	}
	if v.Kind() != yamldoc.KindSequence {
		l.context.WrongType(v, "a list of steps, each beginning with -")
		return p
	}
	for i, item := range v.Items() {
		if s := l.decodeStep(p, name+"."+strconv.Itoa(i+1), item); s != nil {
			p.steps = append(p.steps, s)
		}
	}
	return p
}

func (l *loader) decodeStep(owner *part, name string, v *yamldoc.Value) *step {
	if v.Broken() {
		return nil
	}
	if v.Kind() != yamldoc.KindMapping {
		l.context.WrongType(v, "a step, such as filter: body.temp > 30")
		return nil
	}
	s := &step{name: name, owner: owner, value: v}
	verb, ok := l.findVerb(v, yamldoc.KnownKeys(stepCommon{}), "step")
	if !ok {
		return s
	}
	if verb.NodeOnly {
		key := keyOf(v, verb.Name)
		l.findings.Add(key.Whole(diag.MisplacedKey, verb.Name+" is not a step",
			"write it as a node of its own under nodes:, with from: and readers for its cases"))
		return s
	}
	var common stepCommon
	s.verb = verb
	s.config, s.whole = l.decodeVerb(v, verb, &common)
	s.cond, s.onError = common.If, common.OnError
	if common.Name != nil && common.Name.Line > 0 && l.checkName(*common.Name, "a step") {
		s.name = common.Name.Text
	}
	return s
}

// findVerb finds the one key of v that is a verb.
func (l *loader) findVerb(v *yamldoc.Value, common []string, what string) (config.NodeType, bool) {
	var found []yamldoc.Entry
	for _, e := range v.Entries() {
		if _, ok := l.opts.Registry.Node(e.Key.Text); ok {
			found = append(found, e)
		}
	}
	if len(found) == 1 {
		t, _ := l.opts.Registry.Node(found[0].Key.Text)
		return t, true
	}
	if len(found) > 1 {
		l.findings.Add(found[1].Key.Whole(diag.ConflictingKey, fmt.Sprintf("a %s has one verb, and this one has %s already", what, found[0].Key.Text),
			"write "+found[1].Key.Text+" as a "+what+" of its own"))
		return config.NodeType{}, false
	}
	l.noVerb(v, common, what)
	return config.NodeType{}, false
}

func (l *loader) noVerb(v *yamldoc.Value, common []string, what string) {
	names := l.verbNames()
	for _, e := range v.Entries() {
		key := e.Key
		switch {
		case slices.Contains(common, key.Text):
		case slices.Contains(reservedVerbs, key.Text):
			l.findings.Add(key.Whole(diag.NotAvailable, key.Text+" is reserved for the stateful release", ""))
			return
		default:
			hint := didYouMean(key.Text, names)
			if hint == "" {
				hint = "verbs: " + strings.Join(names, ", ")
			}
			l.findings.Add(key.Whole(diag.UnknownName, fmt.Sprintf("unknown verb %q", key.Text), hint))
			return
		}
	}
	at := place(v)
	l.findings.Add(at.Whole(diag.MissingKey, "the "+what+" has no verb", "write one of "+strings.Join(names, ", ")))
}

func (l *loader) verbNames() []string {
	names := make([]string, 0, len(l.opts.Registry.Nodes))
	for _, t := range l.opts.Registry.Nodes {
		names = append(names, t.Name)
	}
	return names
}

// decodeVerb decodes v as the common keys and those of the verb together, so that each knows the other's, and tells whether all of them
// are there.
func (l *loader) decodeVerb(v *yamldoc.Value, verb config.NodeType, common any) (cfg config.NodeConfig, whole bool) {
	cfg = verb.New()
	c, k := reflect.ValueOf(common).Elem(), reflect.ValueOf(cfg).Elem()
	both := reflect.New(reflect.StructOf([]reflect.StructField{
		{Name: "Common", Type: c.Type(), Tag: `yaml:",inline"`},
		{Name: "Verb", Type: k.Type(), Tag: `yaml:",inline"`},
	}))
	both.Elem().Field(1).Set(k)
	whole = yamldoc.Decode(v, both.Interface(), l.context) && !l.damaged
	c.Set(both.Elem().Field(0))
	k.Set(both.Elem().Field(1))
	return cfg, whole
}

func keyOf(v *yamldoc.Value, name string) yamldoc.Scalar {
	for _, e := range v.Entries() {
		if e.Key.Text == name {
			return e.Key
		}
	}
	return v.Scalar()
}
