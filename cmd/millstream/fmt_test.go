package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/millstream/millstream/pipelines/format"
	"github.com/millstream/millstream/pipelines/reference"
)

func TestFormattingChangesNoProgram(t *testing.T) {
	g := testGrammar(t, reference.Comments{})
	programs := 0
	for _, e := range corpus(t) {
		out, findings, err := format.Format(e.name, e.text, g.File)
		before := compileExample(e.name, e.text)
		if err != nil {
			if before != nil {
				t.Errorf("%s: %v", e.name, err)
			}
			continue
		}
		if out == nil {
			if before != nil {
				t.Errorf("%s compiles and is not formatted: %v", e.name, findings.All())
			}
			continue
		}
		again, _, err := format.Format(e.name, out, g.File)
		if err != nil || !bytes.Equal(out, again) {
			t.Errorf("%s: formatting twice changes more: %v\n%s\n%s", e.name, err, out, again)
		}
		after := compileExample(e.name, out)
		if (before == nil) != (after == nil) {
			t.Errorf("%s compiles before (%v) and after (%v)\n%s", e.name, before != nil, after != nil, out)
		}
		if before == nil || after == nil {
			continue
		}
		programs++
		if before.Hash != after.Hash {
			t.Errorf("%s: the hash changed\n%s\n%s", e.name, e.text, out)
		}
	}
	if programs < 5 {
		t.Errorf("only %d files of the corpus compile", programs)
	}
}

func TestFormattedFilesHoldNoExpressionInFlowStyle(t *testing.T) {
	g := testGrammar(t, reference.Comments{})
	src := "name: a\nfrom: { generate: { body: '{a: n}', count: 1 } }\nsteps: [{ transform: { body.b: body.a } }]\n" +
		"to: [{ stdout: {} }, { drop: {}, note: x }]\n"
	out, _, err := format.Format("a.yaml", []byte(src), g.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"    body: '{a: n}'\n", "      body.b: body.a\n", "to: [{ stdout: {} }, { drop: {}, note: x }]\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func FuzzFormattingChangesNoProgram(f *testing.F) {
	for _, e := range corpus(f) {
		f.Add(e.text)
	}
	g := testGrammar(f, reference.Comments{})
	f.Fuzz(func(t *testing.T, src []byte) {
		before := compileExample("p.yaml", src)
		if before == nil {
			return
		}
		out, _, err := format.Format("p.yaml", src, g.File)
		if err != nil || out == nil {
			if !errors.Is(err, format.ErrUnsupported) {
				t.Fatalf("a program cannot be formatted: %v\n%q", err, src)
			}
			return
		}
		if after := compileExample("p.yaml", out); after == nil || after.Hash != before.Hash {
			t.Fatalf("formatting changes what it means (compiles: %v)\n%q\n%q", after != nil, src, out)
		}
	})
}
