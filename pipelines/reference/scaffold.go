package reference

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millstream/millstream/pipelines/diag"
)

// snippets are what a new file says of a connector or verb. Where there is none, the required options are written with values that
// show their kind.
var (
	sourceSnippets = map[string]string{
		"file":     `file: { path: "in/*.ndjson" }`,
		"generate": "generate:\n  body: '{n: n}'\n  count: 10\n  rate: 1/s",
		"memory":   "memory: { topic: input }",
		"http":     `http: { listen: "${LISTEN:-127.0.0.1:8080}", path: /input }`,
		"kafka":    `kafka: { brokers: ["${KAFKA:-localhost:9092}"], topics: [input], group: NAME }`,
		"amqp":     `amqp: { url: "${AMQP_URL:-amqp://localhost:5672/}", queue: input }`,
	}
	sinkSnippets = map[string]string{
		"file":   "file: { path: out.ndjson }",
		"memory": "memory: { topic: output }",
		"http":   `http: { url: "${TARGET:-http://localhost:8081}/output" }`,
		"kafka":  `kafka: { brokers: ["${KAFKA:-localhost:9092}"], topic: output }`,
		"amqp":   `amqp: { url: "${AMQP_URL:-amqp://localhost:5672/}", exchange: output, routing_key: "kind.{{ body.kind }}" }`,
	}
	verbSnippets = map[string]string{
		"filter":     "filter: body.value > 0",
		"transform":  "transform:\n  body.seen_at: now()\n  meta.kind: body.kind ?? \"none\"",
		"route":      "route:\n  large: body.value > 100\n  small: body.value > 0\nunmatched: drop",
		"split":      "split: body.items",
		"decode":     "decode: [base64, gzip, json]",
		"encode":     "encode: [json, gzip, base64]",
		"schema":     "schema:\n  type: object\n  required: [value]",
		"sample":     "sample:\n  ratio: 0.1\n  by: body.device",
		"throttle":   "throttle: { rate: 100/s }",
		"call":       "call:\n  http: { url: \"https://api.example.com/devices/{{ body.device }}\" }\n  into: tmp.answer",
		"cloudevent": "cloudevent:\n  type: com.example.changed\n  source: /example",
		"log":        `log: { message: "{{ id }} arrived" }`,
	}
)

// Scaffold writes a file that validates: a source, verbs, a sink. It is linear unless a verb must be a node of its own.
func (g *Grammar) Scaffold(name, source string, verbs []string, sink string) (string, error) {
	from, err := g.component(source, sourceSnippets, "source")
	if err != nil {
		return "", err
	}
	to, err := g.component(sink, sinkSnippets, "sink")
	if err != nil {
		return "", err
	}
	from = strings.ReplaceAll(from, "NAME", name)
	var found []*Verb
	linear := true
	for _, verb := range readable(verbs) {
		v, ok := g.verb(verb)
		if !ok {
			return "", unknown("verb", verb, namesOf(g.Verbs, func(v *Verb) string { return v.Name }))
		}
		found = append(found, v)
		linear = linear && !v.NodeOnly
	}
	if linear {
		return linearFile(name, from, found, to), nil
	}
	return graphFile(name, from, found, to), nil
}

// readable puts a decode behind each encode that something follows, which could not read a body of text.
func readable(verbs []string) []string {
	var out []string
	for i, verb := range verbs {
		out = append(out, verb)
		if verb == "encode" && i+1 < len(verbs) && verbs[i+1] != "decode" {
			out = append(out, "decode")
		}
	}
	return out
}

func (g *Grammar) verb(name string) (*Verb, bool) {
	for i := range g.Verbs {
		if g.Verbs[i].Name == name {
			return &g.Verbs[i], true
		}
	}
	return nil, false
}

func (g *Grammar) component(name string, snippets map[string]string, side string) (string, error) {
	for _, c := range g.Connectors {
		if c.Name != name {
			continue
		}
		t := c.Source
		if side == "sink" {
			t = c.Sink
		}
		if t == nil {
			return "", fmt.Errorf("%s cannot be a %s", name, side)
		}
		if s, ok := snippets[name]; ok {
			return s, nil
		}
		return name + ": " + placeholder(t), nil
	}
	return "", unknown("connector", name, namesOf(g.Connectors, func(c *Connector) string { return c.Name }))
}

func namesOf[T any](list []T, name func(*T) string) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = name(&list[i])
	}
	return names
}

// unknown says that there is nothing of a name, and which name was probably meant.
func unknown(kind, name string, names []string) error {
	if near := diag.Suggest(name, names); near != "" {
		return fmt.Errorf("there is no %s %q, did you mean %q", kind, name, near)
	}
	return fmt.Errorf("there is no %s %q", kind, name)
}

// placeholder is a value of a type.
func placeholder(t *Type) string {
	if len(t.Words) > 0 {
		return t.Words[0]
	}
	switch t.Kind {
	case Struct:
		var parts []string
		for i := range t.Fields {
			if t.Fields[i].Required {
				parts = append(parts, t.Fields[i].Name+": "+placeholder(t.Fields[i].Type))
			}
		}
		if len(parts) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case List:
		return "[" + placeholder(t.Elem) + "]"
	case Either:
		return placeholder(t.Types[0])
	case Expression:
		return "body.value"
	case Assignments, Cases:
		return "{ value: body.value }"
	default:
	}
	scalars := map[Kind]string{
		Bool: "true", Int: "1", Float: "1", Duration: "5s", Span: "200ms..30s", Size: "1MiB", Rate: "100/s", Map: "{}",
	}
	if s, ok := scalars[t.Kind]; ok {
		return s
	}
	return "example"
}

func snippetOf(v *Verb) string {
	if s, ok := verbSnippets[v.Name]; ok {
		return s
	}
	var lines []string
	for _, f := range v.Fields {
		if f.Required || f.Name == v.Name {
			lines = append(lines, f.Name+": "+placeholder(f.Type))
		}
	}
	return strings.Join(lines, "\n")
}

// under writes lines under a key, or beside a dash, with an indentation.
func under(text string, indent int) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", indent))
}

func linearFile(name, from string, verbs []*Verb, to string) string {
	var b strings.Builder
	b.WriteString("name: " + name + "\nfrom:\n  " + under(from, 2) + "\n")
	if len(verbs) > 0 {
		b.WriteString("steps:\n")
	}
	for _, v := range verbs {
		b.WriteString("  - " + under(snippetOf(v), 4) + "\n")
	}
	b.WriteString("to:\n  " + under(to, 2) + "\n")
	return b.String()
}

// graphFile makes a node of each verb, one after another; a router's cases go to sinks of their own but for the first, which the next
// node reads.
func graphFile(name, from string, verbs []*Verb, to string) string {
	var nodes, sinks strings.Builder
	last, count := "input", map[string]int{}
	for i, v := range verbs {
		node := v.Name
		if count[v.Name]++; count[v.Name] > 1 {
			node += "-" + strconv.Itoa(count[v.Name])
		}
		nodes.WriteString("  " + node + ":\n    from: " + last + "\n    " + under(snippetOf(v), 4) + "\n")
		last = node
		if !v.NodeOnly {
			continue
		}
		cases := caseNames(snippetOf(v))
		last = node + "." + cases[0]
		for _, c := range cases[1:] {
			sinks.WriteString(sinkEntry(node+"-"+c, node+"."+c, to))
		}
		if i == len(verbs)-1 {
			sinks.WriteString(sinkEntry(node+"-"+cases[0], last, to))
			last = ""
		}
	}
	if last != "" {
		sinks.WriteString(sinkEntry("output", last, to))
	}
	return "name: " + name + "\nsources:\n  input:\n    " + under(from, 4) + "\nnodes:\n" + nodes.String() + "sinks:\n" + sinks.String()
}

func sinkEntry(name, from, to string) string {
	return "  " + name + ":\n    from: " + from + "\n    " + under(to, 4) + "\n"
}

// caseNames are the keys under the first key of a snippet.
func caseNames(snippet string) []string {
	var names []string
	for line := range strings.SplitSeq(snippet, "\n") {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "  "), ":"); ok && strings.HasPrefix(line, "  ") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return []string{"value"}
	}
	return names
}
