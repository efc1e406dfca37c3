package expression

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

func checkProblems(t *testing.T, text string, problems []Problem) {
	n := utf8.RuneCountInString(text)
	for _, p := range problems {
		if p.From < 0 || p.To > n || p.From > p.To || p.Code == "" || p.Message == "" {
			t.Fatalf("%q: problem %+v lies outside the text", text, p)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`body.temp > 30 and meta.site != "lab"`, `map(body.xs, it.v ?? try(int(it), 0))`, `let x = 1; x ? delete : keep`,
		`meta.user-id`, `"é" + tpoic`, `{{ x }}`, `${x}`, `1 < 2 < body.x`, `captures(topic, "(a)")`, `body?.a?.[0].b[1:2]`, `reduce(1..3, #acc + #index, 0)`,
		`b"\xff" == raw`, `if a { b } else { c }`, `findLast(body.xs, # > 1)`, `/* x */ 1 // y`, "`raw`", `groupBy(sortBy(body.xs, it.v), it.v)`} {
		f.Add(seed, byte(0))
	}
	f.Fuzz(func(t *testing.T, text string, want byte) {
		s := testScope()
		p, problems := Compile(text, s, Want(want%5))
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("%q: program %v, problems %v", text, p, problems)
		}
		checkProblems(t, text, problems)
		if p == nil {
			return
		}
		_, err := p.Eval(message(s, sample))
		if err != nil && strings.Contains(err.Error(), "runtime error") {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{`vip.{{ body.name }}`, `{{ "}}" }}`, `{{`, `}}`, `{{ {a: 1}.a }}`, `é{{boyd}}`, "{{ `}}` }}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := testScope()
		tmpl, problems := CompileTemplate(text, s)
		if (tmpl == nil) != (len(problems) > 0) {
			t.Fatalf("%q: template %v, problems %v", text, tmpl, problems)
		}
		checkProblems(t, text, problems)
		if tmpl == nil {
			return
		}
		out, err := tmpl.Render(message(s, sample), nil)
		if k, ok := tmpl.Constant(); ok && (err != nil || string(out) != k) {
			t.Fatalf("%q: constant %q renders %q, %v", text, k, out, err)
		}
		if err == nil && !strings.HasPrefix(string(out), tmpl.Prefix()) {
			t.Fatalf("%q: %q lacks the prefix %q", text, out, tmpl.Prefix())
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, seed := range []string{`body.a["b c"][0]`, `meta['x']`, `body[*].x`, `topic`, `body["\u00e9`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, problems := ParseTarget(text)
		checkProblems(t, text, problems)
	})
}

// grower makes expressions and bodies out of fuzzed bytes.
type grower struct {
	seed []byte
	at   int
	loop int
}

func (g *grower) pick(n int) int {
	if g.at >= len(g.seed) {
		return 0
	}
	g.at++
	return int(g.seed[g.at-1]) % n
}

func (g *grower) of(options ...string) string { return options[g.pick(len(options))] }

func (g *grower) leaf() string {
	leaves := []string{"body.a", "1", "body.b", "body.c.d", "body.c?.d", "body.c?.d.e", "body?.c?.d", "body.l[0]", "body.l[-1].a", `"x"`, "2.5", "nil", "true",
		"body", "meta.site", "meta.none", "topic", "-3", "[1, 2]", `["x", "y"]`, "{a: 1}", "vars.limit", "vars.blocked", "body.l", "0", "9223372036854775807",
		"1e308", "key", "attempt", "source.partition", "error", "tmp.x?.y", `body["a"]`, "body.l?.[5]", "body.l[1:]"}
	if g.loop > 0 {
		leaves = append(leaves, "it", "it.a", "it?.a", "#index")
	}
	return leaves[g.pick(len(leaves))]
}

func (g *grower) expr(depth int) string {
	if depth == 0 || g.at >= len(g.seed) {
		return g.leaf()
	}
	x := func() string { return g.expr(depth - 1) }
	switch g.pick(14) {
	case 0, 1, 2:
		return fmt.Sprintf("(%s %s %s)", x(), g.of("+", "-", "*", "/", "%", "**"), x())
	case 3, 4:
		return fmt.Sprintf("(%s %s %s)", x(), g.of("==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "not in"), x())
	case 5:
		return fmt.Sprintf("(%s %s %s)", x(), g.of("and", "or", "&&", "||"), x())
	case 6:
		return fmt.Sprintf("%s (%s)", g.of("not", "-", "+"), x())
	case 7:
		return fmt.Sprintf("(%s ? %s : %s)", x(), x(), x())
	case 8:
		return fmt.Sprintf("(%s ?? %s)", x(), x())
	case 9:
		return fmt.Sprintf("%s(%s)", g.of("len", "string", "type", "upper", "int", "float", "abs", "toJSON", "first", "keys", "sprintf"), x())
	case 10:
		return fmt.Sprintf(g.of("[%s]", "{a: %s}", "{b: 1, a: %s}", `sprintf("%%d is %%v%%%%", 1, %s)`, `sprintf("%%s", %s)`), x())
	case 11:
		return fmt.Sprintf("try(%s, %s)", x(), x())
	case 12:
		return fmt.Sprintf("(%s)%s", x(), g.of(".a", "[0]", "?.a", `["b"]`, "[1:2]"))
	}
	if g.loop == maxLoops {
		return g.leaf()
	}
	list := x()
	g.loop++
	body := x()
	g.loop--
	return fmt.Sprintf("%s(%s, %s)", g.of("map", "filter", "any", "all", "count", "find", "findLast", "findLastIndex", "sum", "groupBy", "sortBy", "none"), list, body)
}

func (g *grower) json(depth int) string {
	if depth > 0 {
		switch g.pick(4) {
		case 0:
			return fmt.Sprintf(`{"a": %s, "b": %s, "c": {"d": %s}, "l": [%s, {"a": %s}]}`, g.json(depth-1), g.json(depth-1), g.json(depth-1), g.json(depth-1), g.json(depth-1))
		case 1:
			return fmt.Sprintf(`{"c": %s, "a": %s, "a": %s}`, g.json(depth-1), g.json(depth-1), g.json(depth-1))
		case 2:
			return fmt.Sprintf(`[%s, %s]`, g.json(depth-1), g.json(depth-1))
		}
	}
	return g.of("1", "2.5", `"x"`, "null", "true", "-9223372036854775808", "9223372036854775808", `"é\n"`, "{}", "[]", "1.0", "0", "false", "{", "")
}

// ways evaluates text by the closure, by the machine, and by the machine over the body decoded as a whole.
func ways(p *Program, text string, s *Scope, m *flow.Message) (names []string, got []value.Value, errs []error) {
	add := func(name string, v value.Value, err error) {
		names, got, errs = append(names, name), append(got, v), append(errs, err)
	}
	r := newRun()
	r.scope, r.message = s, m
	machine := func(c *code) (value.Value, error) { r.steps = 0; return boxed(c.run(r)) }
	for _, whole := range []bool{false, true} {
		if tree, problems := parse(text, s, WantAny); len(problems) == 0 {
			w := &rewriter{src: []rune(text), scope: s, whole: whole}
			v, err := machine(compileNode(w.node(tree.Node)))
			add(map[bool]string{false: "machine", true: "whole"}[whole], v, err)
		}
	}
	if p.closure != nil {
		r.steps = 0
		v, err := p.closure(r)
		add("closure", v, err)
	}
	if p.quick != nil {
		if a := p.quick(m); a != unsure {
			add("quick", value.Bool(a == yes), nil)
		}
	}
	return names, got, errs
}

func agree(t *testing.T, text, body string) {
	s := testScope()
	p, problems := Compile(text, s, WantAny)
	checkProblems(t, text, problems)
	if p == nil {
		return
	}
	tree, _ := parse(text, s, WantAny)
	p.quick = quickOf((&rewriter{src: []rune(text), scope: s}).node(tree.Node))
	agreeOnJSON(t, p, text, message(s, body))
	names, got, errs := ways(p, text, s, message(s, body))
	for i := 1; i < len(names); i++ {
		if (errs[i] == nil) != (errs[0] == nil) || errs[0] == nil && (!value.Equal(got[i], got[0]) || got[i].Kind() != got[0].Kind()) {
			t.Fatalf("%s over %s:\n%s: %#v, %v\n%s: %#v, %v", text, body, names[0], got[0].Box(), errs[0], names[i], got[i].Box(), errs[i])
		}
	}
	if errs[0] != nil && strings.Contains(errs[0].Error(), "interface conversion") {
		t.Fatalf("%s over %s: %v", text, body, errs[0])
	}
}

// agreeOnJSON compares AppendJSON with the writing of what Eval gives.
func agreeOnJSON(t *testing.T, p *Program, text string, m *flow.Message) {
	got, err := p.AppendJSON([]byte("before "), m, Bindings{})
	var want []byte
	v, wantErr := p.Eval(m)
	if wantErr == nil {
		want, wantErr = value.AppendJSON(nil, v)
	}
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() || string(got) != "before "+string(want) {
		t.Fatalf("%s: JSON %s, %v; written from the value %s, %v", text, got, err, want, wantErr)
	}
}

func FuzzEvalAgree(f *testing.F) {
	for i := range 60 {
		seed := make([]byte, 40)
		for j := range seed {
			seed[j] = byte((i*31 + j*17 + i*j*7) % 251)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed []byte) {
		g := &grower{seed: seed}
		body := g.json(3)
		agree(t, g.expr(4), body)
	})
}

func TestAllWaysToEvaluateAgree(t *testing.T) {
	for _, text := range []string{`body.a > 1`, `body.a == "x"`, `not (body.a and body.b)`, `body.c?.d == 1`, `body.l[0] + 1`, `{a: body.a, b: [body.b]}`,
		`body.a in ["x", "y"]`, `body.a ?? body.b ?? 3`, `body.l[9] ?? 1`, `(body.l)[9] ?? 1`, `body?.l?.[9]`, `(body).l?.[9]`, `body.c.d.e ?? 1`, `(body).c.d.e ?? 1`,
		`meta.site == "hall" and body.a >= 1.5`, `-body.a % 2`, `{b: body.a, a: body.l, c: nil, "d e": {x: body.b}}`, `{a: body.c.d, b: 1/0}`, `{a: 1, a: body.a}`,
		`sprintf("%d:%v", body.l[0], body.a)`, `sprintf("%s%%", body.a)`, `sprintf("%s %s", body.a)`, `sprintf("%05d", body.a)`, `{a: raw}`, `body.a matches "^x" or body.b`} {
		for _, body := range []string{`{"a": 1, "b": true, "c": {"d": 1}, "l": [1]}`, `{"a": "x", "b": null}`, `{"a": 2.5, "l": 3, "c": 1}`, `{}`, `null`, ``, `{`, `[1]`,
			`{"a": 1, "a": true, "b": false}`} {
			agree(t, text, body)
		}
	}
}
