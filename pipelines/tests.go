package pipelines

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// testEntry is one entry of tests as written.
type testEntry struct {
	Name   string                    `yaml:"name,raw" required:"true"`
	Clock  string                    `yaml:"clock,raw"`
	Send   []sendEntry               `yaml:"send" required:"true"`
	Stub   map[string][]stubEntry    `yaml:"stub"`
	Expect map[string]*yamldoc.Value `yaml:"expect" required:"true"`
}

type payloadEntry struct {
	Body   *yamldoc.Value `yaml:"body"`
	Text   *yamldoc.Value `yaml:"text"`
	Hex    *yamldoc.Value `yaml:"hex"`
	Base64 *yamldoc.Value `yaml:"base64"`
}

type sendEntry struct {
	Source       yamldoc.Scalar            `yaml:"source"`
	Key          *yamldoc.Value            `yaml:"key"`
	Meta         map[string]*yamldoc.Value `yaml:"meta"`
	Topic        string                    `yaml:"topic,raw"`
	Time         string                    `yaml:"time,raw"`
	payloadEntry `yaml:",inline"`
}

type stubEntry struct {
	Status  int               `yaml:"status" default:"200"`
	Headers map[string]string `yaml:"headers"`
	Body    *yamldoc.Value    `yaml:"body"`
	Error   string            `yaml:"error" oneof:"transient permanent"`
}

type expectEntry struct {
	Key          *yamldoc.Value            `yaml:"key"`
	Topic        *yamldoc.Scalar           `yaml:"topic"`
	Meta         map[string]*yamldoc.Value `yaml:"meta"`
	Match        string                    `yaml:"match,raw" oneof:"exact subset" default:"exact"`
	Ignore       []string                  `yaml:"ignore,raw"`
	payloadEntry `yaml:",inline"`
}

type expectError struct {
	Node    string `yaml:"node,raw"`
	Code    string `yaml:"code,raw"`
	Class   string `yaml:"class,raw"`
	Message string `yaml:"message,raw"`
}

// defaultClock is what now() gives in tests that set no clock.
var defaultClock = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (l *loader) loadTests() {
	v := l.file.Tests
	if v == nil || v.Broken() {
		return
	}
	if v.Kind() != yamldoc.KindSequence {
		l.context.WrongType(v, "a list of tests, each beginning with - name:")
		return
	}
	l.sound = !l.findings.HasErrors()
	for _, item := range v.Items() {
		if item.Kind() != yamldoc.KindMapping {
			l.context.WrongType(item, "a test with name, send and expect")
			continue
		}
		if l.noVariables(item) {
			t := l.test(item)
			l.checkTestName(item, t.Name)
			l.prog.Tests = append(l.prog.Tests, t)
		}
	}
}

// checkTestName reports a second test of one name: what fails could be either.
func (l *loader) checkTestName(v *yamldoc.Value, name string) {
	for i := range l.prog.Tests {
		if at, ok := v.Lookup("name"); ok && name != "" && l.prog.Tests[i].Name == name {
			at.Finding(l.findings, diag.DuplicateName, fmt.Sprintf("a test is called %q already", name),
				fmt.Sprintf("line %d has it; choose another name", l.prog.Tests[i].Line))
			return
		}
	}
}

// literal reads a JSON literal of a test; $${ stands for ${ in its texts.
func (l *loader) literal(v *yamldoc.Value) (any, bool) {
	x, ok := l.context.JSONLiteral(v)
	return unescape(x), ok
}

func unescape(x any) any {
	switch x := x.(type) {
	case string:
		return strings.ReplaceAll(x, "$${", "${")
	case []any:
		for i := range x {
			x[i] = unescape(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = unescape(x[k])
		}
	}
	return x
}

// noVariables refuses ${…} anywhere in a test: what a test says does not depend on where it runs.
func (l *loader) noVariables(v *yamldoc.Value) bool {
	good := true
	switch v.Kind() {
	case yamldoc.KindMapping:
		for _, e := range v.Entries() {
			good = l.noVariables(e.Value) && good
		}
	case yamldoc.KindSequence:
		for _, item := range v.Items() {
			good = l.noVariables(item) && good
		}
	case yamldoc.KindScalar:
		return l.context.NoVariable(v.Scalar())
	case yamldoc.KindNull:
	}
	return good
}

func (l *loader) test(v *yamldoc.Value) Test {
	var e testEntry
	good := yamldoc.Decode(v, &e, l.context)
	t := Test{Name: e.Name, Line: v.Line(), Clock: l.instant(v, "clock", e.Clock, defaultClock), Expect: map[string][]Expectation{}}
	for name, want := range e.Expect {
		l.expect(&t, name, want)
	}
	if !good {
		return t
	}
	sends, _ := v.Lookup("send")
	for i := range e.Send {
		t.Send = append(t.Send, l.testMessage(sends.Items()[i], &e.Send[i]))
	}
	for name, stubs := range e.Stub {
		l.checkStub(v, name)
		if t.Stub == nil {
			t.Stub = map[string][]StubAnswer{}
		}
		for i := range stubs {
			a := StubAnswer{Status: stubs[i].Status, Headers: stubs[i].Headers, Error: stubs[i].Error}
			if stubs[i].Body != nil {
				a.Body, _ = l.literal(stubs[i].Body)
			}
			t.Stub[name] = append(t.Stub[name], a)
		}
	}
	return t
}

// checkStub finds a stub for a node that is not there, or asks nobody.
func (l *loader) checkStub(v *yamldoc.Value, name string) {
	stub, ok := lookup(v, "stub", name)
	if !ok || !l.sound {
		return
	}
	var names, callers []string
	for i := range l.prog.Nodes {
		n := &l.prog.Nodes[i]
		names = append(names, n.Name)
		if _, asks := n.Processor.(flow.Caller); asks {
			callers = append(callers, n.Name)
		}
	}
	key := place(stub)
	hint := didYouMean(name, callers)
	switch {
	case slices.Contains(callers, name):
		return
	case len(callers) == 0:
		hint = "no node of this file asks anybody; leave stub out"
	case hint == "":
		hint = "nodes with call: " + strings.Join(callers, ", ")
	}
	if slices.Contains(names, name) {
		l.findings.Add(key.Whole(diag.UnknownName, fmt.Sprintf("%q asks nobody, so it needs no stub", name), hint))
		return
	}
	l.findings.Add(key.Whole(diag.UnknownName, fmt.Sprintf("stub names no node %q", name), hint))
}

func (l *loader) instant(v *yamldoc.Value, field, text string, fallback time.Time) time.Time {
	if text == "" {
		return fallback
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		if place, ok := v.Lookup(field); ok {
			place.Finding(l.findings, diag.BadValue, fmt.Sprintf("%q is no point in time", text), "write it as 2026-01-02T03:04:05Z")
		}
		return fallback
	}
	return at.UTC()
}

func (l *loader) testMessage(v *yamldoc.Value, e *sendEntry) TestMessage {
	m := TestMessage{Line: v.Line(), Topic: e.Topic, Time: l.instant(v, "time", e.Time, time.Time{})}
	m.Source = l.testSource(v, e.Source)
	if e.Key != nil {
		if x, ok := l.literal(e.Key); ok && x != nil {
			k := textOf(x)
			m.Key = &k
		}
	}
	for _, name := range keysOf(e.Meta) {
		x, ok := l.literal(e.Meta[name])
		if !ok {
			continue
		}
		val, err := value.FromAny(x)
		if err != nil {
			e.Meta[name].Finding(l.findings, diag.BadValue, err.Error(), "")
			continue
		}
		m.Meta = append(m.Meta, flow.Header{Name: name, Value: val})
	}
	m.Payload, _ = l.payload(v, &e.payloadEntry, m.Source)
	return m
}

// testSource names the source a message enters by; with one source it need not be written.
func (l *loader) testSource(v *yamldoc.Value, s yamldoc.Scalar) string {
	if s.Text == "" {
		if len(l.prog.Sources) == 1 {
			return l.prog.Sources[0].Name
		}
		if len(l.prog.Sources) > 1 {
			v.Finding(l.findings, diag.MissingKey, "the message does not say by which source it enters", "write source: with one of "+strings.Join(l.sourceNames(), ", "))
		}
		return ""
	}
	for _, name := range l.sourceNames() {
		if name == s.Text {
			return name
		}
	}
	hint := didYouMean(s.Text, l.sourceNames())
	if hint == "" {
		hint = "sources: " + strings.Join(l.sourceNames(), ", ")
	}
	l.findings.Add(s.Whole(diag.UnknownName, fmt.Sprintf("unknown source %q", s.Text), hint))
	return ""
}

func (l *loader) sourceNames() []string {
	names := make([]string, len(l.prog.Sources))
	for i := range l.prog.Sources {
		names[i] = l.prog.Sources[i].Name
	}
	return names
}

func textOf(x any) string {
	v, err := value.FromAny(x)
	if err != nil {
		return fmt.Sprint(x)
	}
	return flow.Header{Value: v}.Text()
}

// payload reads body, text, hex or base64. parsed is the literal of body; nil payload is none. source is the one that reads it, if any does.
func (l *loader) payload(v *yamldoc.Value, e *payloadEntry, source string) (payload []byte, parsed any) {
	given := 0
	for _, f := range []*yamldoc.Value{e.Body, e.Text, e.Hex, e.Base64} {
		if f == nil {
			continue
		}
		if given++; given > 1 {
			key := place(f)
			l.findings.Add(key.Whole(diag.ConflictingKey, "a message has one payload", "write one of body, text, hex and base64"))
			return nil, nil
		}
	}
	for _, f := range []*yamldoc.Value{e.Text, e.Hex, e.Base64} {
		if f != nil && f.Kind() != yamldoc.KindScalar {
			l.context.WrongType(f, "a text")
			return nil, nil
		}
	}
	at := v
	var err error
	switch {
	case e.Body != nil:
		x, ok := l.literal(e.Body)
		if !ok {
			return nil, nil
		}
		var val value.Value
		if val, err = value.FromAny(x); err == nil {
			payload, err = l.sent(e.Body, source, val)
		}
		parsed = x
	case e.Text != nil:
		text, _ := unescape(e.Text.Scalar().Text).(string)
		payload = []byte(text)
	case e.Hex != nil:
		at = e.Hex
		payload, err = hex.DecodeString(strings.Join(strings.Fields(e.Hex.Scalar().Text), ""))
	case e.Base64 != nil:
		at = e.Base64
		payload, err = base64.StdEncoding.DecodeString(e.Base64.Scalar().Text)
	default:
		return nil, nil
	}
	if err != nil {
		at.Finding(l.findings, diag.BadValue, "cannot read the payload: "+err.Error(), "")
	}
	if payload == nil {
		payload = []byte{}
	}
	return payload, parsed
}

func (l *loader) expect(t *Test, name string, v *yamldoc.Value) {
	if name == "error" {
		var e expectError
		if yamldoc.Decode(v, &e, l.context) {
			t.Error = &ExpectedError{Node: e.Node, Code: e.Code, Class: e.Class, Message: e.Message}
			l.checkErrorNode(v, e.Node)
			checkWord(l, v, "code", e.Code, flow.Codes())
			checkWord(l, v, "class", e.Class, classWords())
		}
		return
	}
	if p := l.byName[name]; p == nil || p.kind != sinkPart {
		if len(l.prog.Sinks) == 0 {
			return // that has been said
		}
		var sinks []string
		for i := range l.prog.Sinks {
			sinks = append(sinks, l.prog.Sinks[i].Name)
		}
		key, _ := v.Key()
		hint := didYouMean(name, append(sinks, "error"))
		if hint == "" {
			hint = "sinks: " + strings.Join(sinks, ", ")
		}
		l.findings.Add(key.Whole(diag.UnknownName, fmt.Sprintf("expect names no sink %q", name), hint))
		return
	}
	var entries []expectEntry
	if !yamldoc.Decode(v, &entries, l.context) {
		return
	}
	t.Expect[name] = []Expectation{}
	for i, item := range v.Items() {
		t.Expect[name] = append(t.Expect[name], l.expectation(item, &entries[i]))
	}
}

// checkWord finds an expected code or class that no error has: the test could never pass.
func checkWord[T ~string](l *loader, v *yamldoc.Value, key, word string, known []T) {
	at, ok := v.Lookup(key)
	if !ok || slices.Contains(known, T(word)) {
		return
	}
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	hint := didYouMean(word, words)
	if hint == "" {
		hint = "there are: " + strings.Join(words, ", ")
	}
	at.Finding(l.findings, diag.BadValue, fmt.Sprintf("no error has the %s %q", key, word), hint)
}

func classWords() []string {
	var words []string
	for _, c := range flow.Classes() {
		words = append(words, c.String())
	}
	return words
}

// checkErrorNode finds an expected error at a part that is not there: the test could never pass.
func (l *loader) checkErrorNode(v *yamldoc.Value, name string) {
	var names []string
	for _, p := range l.parts {
		if p.kind != nodePart {
			names = append(names, p.name)
		}
		for _, s := range p.steps {
			names = append(names, s.name)
		}
	}
	at, ok := v.Lookup("node")
	if !ok || slices.Contains(names, name) || !l.sound {
		return
	}
	hint := didYouMean(name, names)
	if hint == "" {
		hint = "errors happen at: " + strings.Join(names, ", ")
	}
	at.Finding(l.findings, diag.UnknownName, fmt.Sprintf("no source, node, step or sink is called %q", name), hint)
}

// checkIgnore finds paths that can name nothing.
func (l *loader) checkIgnore(v *yamldoc.Value, paths []string) {
	list, _ := v.Lookup("ignore")
	for i, path := range paths {
		if path != "body" && !strings.HasPrefix(path, "body.") && !strings.HasPrefix(path, "body[") {
			list.Items()[i].Finding(l.findings, diag.BadValue, fmt.Sprintf("%q is no path of the body", path), "write it from the body on, such as body.seen_at")
		}
	}
}

func (l *loader) expectation(v *yamldoc.Value, e *expectEntry) Expectation {
	x := Expectation{Line: v.Line(), Subset: e.Match == "subset", Ignore: e.Ignore}
	l.checkIgnore(v, e.Ignore)
	if e.Key != nil {
		if k, ok := l.literal(e.Key); ok {
			text := textOf(k)
			x.Key, x.NoKey = &text, k == nil
		}
	}
	if e.Topic != nil {
		x.Topic = &e.Topic.Text
	}
	for name, m := range e.Meta {
		if x.Meta == nil {
			x.Meta = map[string]any{}
		}
		x.Meta[name], _ = l.literal(m)
	}
	payload, parsed := l.payload(v, &e.payloadEntry, "")
	switch {
	case e.Body != nil:
		x.HasBody, x.Body = true, parsed
	case payload != nil:
		x.Payload = payload
	}
	return x
}
