package expression

import (
	"testing"

	"github.com/millstream/millstream/flow"
)

const benchBody = `{"device":"d-17","temperature":41.5,"site":{"name":"hall","floor":3},"tags":["a","b"]}`

func benchmark(b *testing.B, text string, w Want, each func(*Program, *flow.Message) error) {
	s := testScope()
	p, problems := Compile(text, s, w)
	if problems != nil {
		b.Fatal(problems)
	}
	m := message(s, benchBody)
	b.ReportAllocs()
	for b.Loop() {
		if err := each(p, m); err != nil {
			b.Fatal(err)
		}
	}
}

func test(p *Program, m *flow.Message) error { _, err := p.Test(m); return err }
func eval(p *Program, m *flow.Message) error { _, err := p.Eval(m); return err }

// The bodies are scanned once: these measure the expression alone.

func BenchmarkPathAgainstLiteral(b *testing.B) { benchmark(b, `body.temperature > 30`, WantBool, test) }

func BenchmarkTwoComparisons(b *testing.B) {
	benchmark(b, `body.temperature > 30 and body.device != "x"`, WantBool, test)
}

func BenchmarkArithmetic(b *testing.B) { benchmark(b, `body.temperature * 1.8 + 32`, WantAny, eval) }

func BenchmarkMapLiteral(b *testing.B) {
	benchmark(b, `{device: body.device, f: body.temperature * 1.8 + 32}`, WantAny, eval)
}

func BenchmarkPredicateOnTheMachine(b *testing.B) {
	benchmark(b, `any(body.tags, it == "b")`, WantBool, test)
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, problems := Compile(`body.temperature > 30 and meta.site != "lab"`, testScope(), WantBool); problems != nil {
			b.Fatal(problems)
		}
	}
}
