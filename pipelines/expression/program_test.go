package expression

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

func TestDeleteAndKeepAreMarkers(t *testing.T) {
	for _, c := range []struct {
		expr string
		want value.Kind
	}{
		{`delete`, value.KindDelete},
		{`keep`, value.KindKeep},
		{`body.temp > 30 ? delete : body.temp`, value.KindDelete},
		{`body.temp < 30 ? delete : body.temp`, value.KindInt},
		{`if body.ok { keep } else { delete }`, value.KindKeep},
		{`body.gone ?? keep`, value.KindKeep},
		{`body.gone ?? (body.ok ? delete : keep)`, value.KindDelete},
		{`let x = body.temp; x > 30 ? keep : x`, value.KindKeep},
	} {
		got, err := evaluate(t, c.expr, WantAssign, sample)
		if err != nil || got.Kind() != c.want {
			t.Errorf("%s = %v, %v, want %v", c.expr, got.Kind(), err, c.want)
		}
	}
}

func TestConditionsAreNeverFalseByMistake(t *testing.T) {
	s := testScope()
	p, _ := Compile(`body.temp`, s, WantBool)
	if _, err := p.Test(message(s, sample)); err == nil || err.Error() != `the result is an int and must be true or false in "body.temp"` {
		t.Error(err)
	}
	s = testScope()
	p, _ = Compile(`body.ok`, s, WantBool)
	m := message(s, sample)
	if ok, err := p.Test(m); !ok || err != nil {
		t.Error(ok, err)
	}
}

func TestErrorsCarryTheirCode(t *testing.T) {
	for _, c := range []struct {
		expr, body string
		want       flow.Code
	}{
		{`body.a`, `{"a": `, flow.CodeDecode},
		{`fail("no total")`, `{}`, flow.CodeFailed},
		{`body.a > 1`, `{}`, flow.CodeExpression},
		{`map([1], fail("deep"))`, `{}`, flow.CodeFailed},
	} {
		_, err := evaluate(t, c.expr, WantAny, c.body)
		var e *flow.Error
		if !errors.As(err, &e) || e.Code != c.want || e.Class != flow.Permanent {
			t.Errorf("%s: %#v, want %s", c.expr, err, c.want)
		}
	}
}

func TestABranchNotTakenIsNotRead(t *testing.T) {
	for _, expr := range []string{`body.ok ? 1 : body.a.b`, `body.ok or body.a.b`, `not body.ok and body.a.b`, `body.temp ?? body.a.b.c.d`} {
		if _, err := evaluate(t, expr, WantAny, sample); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	if _, err := evaluate(t, `true ? 1 : body.a`, WantAny, `broken`); err != nil {
		t.Error("a body that nobody read was judged:", err)
	}
}

func TestEvaluationsStopAtTheirBudget(t *testing.T) {
	for _, expr := range []string{
		`count(1..10000, count(1..10000, it > 0) > 0)`,
		`map(1..10000, repeat(body.name, 1000000))`,
		`len(map(1..10000, body.temp in 1000..9999))`,
		`try(count(1..10000, count(1..10000, it > 0) > 0), 1)`,
		`let s = repeat(body.name, 1000000); map(1..10000, s)`,
		`let s = repeat(body.name, 1000000); len(toJSON(map(1..10000, s)))`,
		`reduce(1..40, [#acc, #acc], body.name)`,
		`reduce(1..40, [#acc, #acc], body.name) == reduce(1..40, [#acc, #acc], body.name)`,
		`reduce(1..40, [#acc, #acc], body.name) in [reduce(1..40, [#acc, #acc], body.name)]`,
		`uniq([reduce(1..40, [#acc, #acc], body.name), reduce(1..40, [#acc, #acc], body.name)])`,
		`len(flatten(reduce(1..40, [#acc, #acc], body.name)))`,
		`hashID(reduce(1..40, [#acc, #acc], body.name))`,
		`reduce(1..10000, #acc + body.name + #acc, "")`,
	} {
		if _, err := evaluate(t, expr, WantAny, sample); err == nil {
			t.Errorf("%s ended", expr)
		}
	}
}

func TestConstantsAndPathsAreKnown(t *testing.T) {
	s := testScope()
	p, _ := Compile(`vars.limit + 1`, s, WantAny)
	if v, ok := p.Constant(); !ok || v.Int() != 31 {
		t.Error(v, ok)
	}
	p, _ = Compile(`body.customer.tier`, s, WantAny)
	if slot, ok := p.Path(); !ok || s.Paths.String(slot) != "body.customer.tier" {
		t.Error(slot, ok)
	}
	for _, text := range []string{`body.customer?.tier`, `body.a + 1`, `meta.x`} {
		p, _ = Compile(text, s, WantAny)
		if _, ok := p.Path(); ok {
			t.Errorf("%s is no plain path", text)
		}
	}
}

func TestBindingsReachTheExpression(t *testing.T) {
	s := &Scope{Paths: document.NewPaths(), It: true, Counter: true}
	p, problems := Compile(`{n: n, v: it.v}`, s, WantAny)
	if problems != nil {
		t.Fatal(problems)
	}
	v, err := p.EvalWith(message(s, `{}`), Bindings{N: 7, It: map[string]any{"v": 1}})
	if err != nil || !value.Equal(v, value.Map(map[string]any{"n": 7, "v": 1})) {
		t.Error(v.Box(), err)
	}
}

func TestTextAndBytesBodiesAreValues(t *testing.T) {
	s := &Scope{Paths: document.NewPaths(), Format: document.Text}
	p, problems := Compile(`body contains "b"`, s, WantBool)
	if problems != nil {
		t.Fatal(problems)
	}
	if ok, err := p.Test(message(s, "abc")); !ok || err != nil {
		t.Error(ok, err)
	}
}

func TestProgramsMayRunConcurrently(t *testing.T) {
	s := testScope()
	p, problems := Compile(`sum(map(body.xs, try(it.v * 2, 0))) + body.temp`, s, WantAny)
	if problems != nil {
		t.Fatal(problems)
	}
	var group sync.WaitGroup
	messages := make([]*flow.Message, 8)
	for i := range messages {
		messages[i] = message(s, sample)
	}
	for _, m := range messages {
		group.Go(func() {
			for range 200 {
				if v, err := p.Eval(m); err != nil || v.Int() != 52 {
					t.Error(v.Box(), err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestALiteralWithExpressionsIsBounded(t *testing.T) {
	_, problems := CompileTemplate(strings.Repeat("{{ body.a }}", 80_000), testScope())
	if len(problems) != 1 || problems[0].Code != "expression-too-long" {
		t.Errorf("got %v", problems)
	}
	if _, problems = CompileTemplate(strings.Repeat("a", 1<<20), testScope()); problems != nil {
		t.Errorf("a long text alone gets %v", problems)
	}
}

func TestTemplatesRender(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`vip.{{ body.name }}`, `vip.anna`},
		{`{{body.temp}}/{{ body.f }}-{{ body.ok }}`, `40/1.5-true`},
		{`{{ "}}" + topic }}`, `}}site/1/temp`},
		{`{{ {a: {b: "x"}}.a.b }}!`, `x!`},
		{`plain`, `plain`},
		{``, ``},
		{`a{{ "b" }}c`, `abc`},
		{`{{ time }}`, `2026-01-02T03:03:05Z`},
		{`}} {`, `}} {`},
	} {
		s := testScope()
		tmpl, problems := CompileTemplate(c.text, s)
		if problems != nil {
			t.Errorf("%s: %v", c.text, problems)
			continue
		}
		got, err := tmpl.Render(message(s, sample), []byte(">"))
		if err != nil || string(got) != ">"+c.want {
			t.Errorf("%s = %q, %v, want %q", c.text, got, err, c.want)
		}
		if k, ok := tmpl.Constant(); ok && k != c.want {
			t.Errorf("%s: constant %q", c.text, k)
		}
	}
	for _, text := range []string{`{{ body.gone }}`, `{{ body.tags }}`, `{{ body.customer }}`} {
		s := testScope()
		tmpl, _ := CompileTemplate(text, s)
		if _, err := tmpl.Render(message(s, sample), nil); err == nil || !strings.Contains(err.Error(), "must be text") {
			t.Errorf("%s: %v", text, err)
		}
	}
	tmpl, _ := CompileTemplate(`vip.{{ body.name }}`, testScope())
	if _, ok := tmpl.Constant(); ok || tmpl.Prefix() != "vip." {
		t.Errorf("prefix %q", tmpl.Prefix())
	}
}

func TestTemplateProblemsPointIntoTheLiteral(t *testing.T) {
	for _, c := range []struct{ text, say string }{
		{`é{{ boyd.x }}`, `boyd [unknown-name]`},
		{`a {{ body.x`, `{{ [template-open]`},
		{`a {{ }} b`, `[expression-syntax]`},
		{`a {{ [1] }}`, `[1] [not-text]`},
	} {
		_, problems := CompileTemplate(c.text, testScope())
		if len(problems) != 1 || !strings.Contains(show(c.text, problems[0]), c.say) {
			t.Errorf("%s: %+v, want %s", c.text, problems, c.say)
		}
	}
}

func TestTargetsSayWhatIsWritten(t *testing.T) {
	name := func(s string) document.Segment { return document.Segment{Name: s} }
	index := func(i int) document.Segment { return document.Segment{Index: i, IsIndex: true} }
	for _, c := range []struct {
		text string
		want Target
	}{
		{`body`, Target{Kind: TargetBody}},
		{`body.a.b`, Target{Kind: TargetBody, Path: []document.Segment{name("a"), name("b")}}},
		{`body["a.b"].é`, Target{Kind: TargetBody, Path: []document.Segment{name("a.b"), name("é")}}},
		{`body.list[0].x`, Target{Kind: TargetBody, Path: []document.Segment{name("list"), index(0), name("x")}}},
		{`body.list[-1]`, Target{Kind: TargetBody, Path: []document.Segment{name("list"), index(-1)}}},
		{`body.list[*].x`, Target{Kind: TargetBody, Path: []document.Segment{name("list")}, Each: true, Rest: []document.Segment{name("x")}}},
		{`body[*]`, Target{Kind: TargetBody, Each: true}},
		{`meta.x`, Target{Kind: TargetMeta, Name: "x"}},
		{`meta["x-y"]`, Target{Kind: TargetMeta, Name: "x-y"}},
		{`tmp.x`, Target{Kind: TargetTmp, Path: []document.Segment{name("x")}}},
		{`key`, Target{Kind: TargetKey}},
		{`time`, Target{Kind: TargetTime}},
	} {
		got, problems := ParseTarget(c.text)
		if problems != nil {
			t.Errorf("%s: %v", c.text, problems)
			continue
		}
		c.want.Text = c.text
		if len(got.Path) != len(c.want.Path) || len(got.Rest) != len(c.want.Rest) || got.Each != c.want.Each || got.Kind != c.want.Kind || got.Name != c.want.Name {
			t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
			continue
		}
		for i := range got.Path {
			if got.Path[i] != c.want.Path[i] {
				t.Errorf("%s: %+v, want %+v", c.text, got, c.want)
			}
		}
	}
}

func TestBadTargetsSayWhatToWrite(t *testing.T) {
	for _, c := range []struct{ text, say string }{
		{`topic`, `topic [not-writable] topic cannot be written`},
		{`source.x`, `source [not-writable]`},
		{`vars.x`, `vars [not-writable]`},
		{`boyd.x`, `boyd [unknown-target] unknown target "boyd" / did you mean "body.x"?`},
		{`temperature`, `temperature [unknown-target] unknown target "temperature" / write body.temperature`},
		{`body.a-b`, `a-b [dash-in-name] a name with a dash goes into brackets / write body["a-b"]`},
		{`body.`, `[bad-target] a name must follow the dot`},
		{`body[`, `[bad-target] [ is never closed`},
		{`body[x]`, `[x] [bad-target]`},
		{`body[*].a[*]`, `[bad-target] one [*] is the most`},
		{`body?.a`, `?. [bad-target]`},
		{`meta`, `meta [bad-target]`},
		{`meta.a.b`, `meta.a.b [bad-target]`},
		{`tmp`, `tmp [bad-target]`},
		{`key.x`, `[bad-target] key has no parts`},
		{`body.a b`, `[bad-target]`},
		{``, `[bad-target]`},
		{`body["a`, `[bad-target] the quoted name does not end`},
	} {
		_, problems := ParseTarget(c.text)
		if len(problems) != 1 || !strings.Contains(show(c.text, problems[0]), c.say) {
			t.Errorf("%s: %+v, want %s", c.text, problems, c.say)
		}
	}
}
