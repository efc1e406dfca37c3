package yamldoc_test

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// decode fills into from src and demands that nothing is wrong.
func decode(t *testing.T, src string, into any) *yamldoc.Context {
	t.Helper()
	doc := parse(t, src)
	var findings diag.List
	c := testContext(&findings)
	if !yamldoc.Decode(doc.Root(), into, c) || findings.Len() > 0 {
		var out strings.Builder
		_ = diag.WriteText(&out, &findings)
		t.Fatalf("findings:\n%s", out.String())
	}
	return c
}

func TestDecodeFillsEveryKindOfField(t *testing.T) {
	var got shape
	decode(t, `
x-anchors: { e: &e { then: d } }
name: 0123
count: -12
small: 255
ratio: 1e3
wait: 1m30s
on: true
mode: all
headers: { a: 1, b: true, c: 2026-01-02, d: "$${X} ${NUMBER}", e: ~ }
topics: ["${KAFKA}", c, "x${NUMBER}", "${EMPTY}"]
sink: { kafka: { brokers: ["${KAFKA}"], topic: "${EMPTY:-t}", version: 5 } }
filter: |
  body.a # kept
steps: [{ filter: a > 1 }, { filter: "b", note: n }]
literal: [1, 2.5]
vars: { a: { b: null } }
nested: { x: { deep: { kafka: { brokers: [], topic: "" }, on_error: *e } } }
note: inlined
`, &got)
	want := shape{
		Name: "0123", Count: -12, Small: 255, Ratio: 1000, Wait: 90 * time.Second, On: true, Mode: "all",
		Headers:  map[string]string{"a": "1", "b": "true", "c": "2026-01-02", "d": "${X} 12", "e": "~"},
		Topics:   []string{"a:9092", "b:9092", "c", "x12"},
		Sink:     &sinkShape{Kafka: &kafkaShape{Brokers: []string{"a:9092", "b:9092"}, Topic: "t", Version: "5"}},
		Filter:   expressionShape{"body.a # kept\n"},
		Steps:    []stepShape{{Filter: expressionShape{"a > 1"}}, {Filter: expressionShape{"b"}, Note: "n"}},
		Literal:  []any{1, 2.5},
		Vars:     map[string]any{"a": map[string]any{"b": nil}},
		Nested:   map[string]nestedShape{"x": {Deep: sinkShape{Kafka: &kafkaShape{Brokers: []string{}}, OnError: &errorShape{7, "d"}}}},
		Defaults: errorShape{Retry: 7},
		common:   common{Note: "inlined"},
	}
	if difference := cmp.Diff(want, got, cmp.AllowUnexported(shape{}, expressionShape{}), cmpopts.EquateEmpty()); difference != "" {
		t.Errorf("decoded differs (-want +got):\n%s", difference)
	}
}

func TestDecodeSetsDefaultsOfMissingKeysOnly(t *testing.T) {
	var got struct {
		Wait  time.Duration  `yaml:"wait" default:"200ms"`
		Max   *int           `yaml:"max" default:"5"`
		Words []string       `yaml:"words" default:"a b"`
		Text  yamldoc.Text   `yaml:"text" default:"t"`
		Raw   yamldoc.Scalar `yaml:"raw" default:"r"`
		Addr  netip.Addr     `yaml:"addr" default:"127.0.0.1"`
		On    bool           `yaml:"on" default:"true"`
		Gone  *int           `yaml:"gone"`
	}
	decode(t, "on: false", &got)
	if got.Wait != 200*time.Millisecond || *got.Max != 5 || strings.Join(got.Words, " ") != "a b" || got.Text.Text != "t" ||
		got.Raw.Text != "r" || got.Addr.String() != "127.0.0.1" || got.On || got.Gone != nil {
		t.Errorf("got %+v", got)
	}
}

func TestDecodeReadsTextUnmarshalersAndKeepsValues(t *testing.T) {
	var got struct {
		Addr  netip.Addr     `yaml:"addr"`
		Value *yamldoc.Value `yaml:"value"`
		Raw   yamldoc.Scalar `yaml:"raw"`
		Text  yamldoc.Text   `yaml:"text"`
	}
	decode(t, "addr: 10.0.0.1\nvalue: [1]\nraw: ${NUMBER}\ntext: a ${NUMBER} é", &got)
	line, col := got.Text.Position(5)
	switch {
	case got.Addr.String() != "10.0.0.1", got.Value.Path() != "value", got.Raw.Text != "${NUMBER}", got.Text.Text != "a 12 é":
		t.Errorf("got %+v", got)
	case line != 4 || col != 19:
		t.Errorf("é behind a variable is at %d:%d, want 4:19", line, col)
	}
}

func TestDecodeReportsWhatATextUnmarshalerSays(t *testing.T) {
	var got struct {
		Addr  netip.Addr `yaml:"addr"`
		Other netip.Addr `yaml:"other"`
	}
	var findings diag.List
	if yamldoc.Decode(parse(t, "addr: nowhere\nother: ${TOKEN}").Root(), &got, testContext(&findings)) {
		t.Fatal("a bad address is accepted")
	}
	all := findings.All()
	if len(all) != 2 || !strings.Contains(all[0].Message, "nowhere") || strings.Contains(all[1].Message, "hunter2") {
		t.Errorf("findings are %+v, want one that quotes the address and one that hides the secret", all)
	}
}

func TestDecodeTellsWhetherItAddedAnError(t *testing.T) {
	var findings diag.List
	c := testContext(&findings)
	var into shape
	if yamldoc.Decode(parse(t, "nmae: x").Root(), &into, c) {
		t.Error("an unknown key passes")
	}
	if !yamldoc.Decode(parse(t, "name: x").Root(), &into, c) {
		t.Error("an earlier error counts against a later decode")
	}
}

func TestUndefinedVariablesPassWhenAllowed(t *testing.T) {
	var got struct {
		Count int          `yaml:"count"`
		Topic string       `yaml:"topic"`
		Text  yamldoc.Text `yaml:"text" secrets:"allowed"`
		List  []string     `yaml:"list"`
	}
	var findings diag.List
	c := testContext(&findings)
	c.AllowUndefined = true
	src := "count: ${NOPE}\ntopic: a-${NOPE:?say}\ntext: ${file:gone}\nlist: [\"${NOPE}\"]"
	if !yamldoc.Decode(parse(t, src).Root(), &got, c) || got.Count != 0 || got.Topic != "" || len(got.List) != 0 {
		t.Errorf("got %+v with findings %+v", got, findings.All())
	}
}

func TestSecretsTaintTexts(t *testing.T) {
	var got struct{ A, B, C, D yamldoc.Text }
	var tagged struct {
		A yamldoc.Text `yaml:"a" secrets:"allowed"`
		B yamldoc.Text `yaml:"b" secrets:"allowed"`
		C yamldoc.Text `yaml:"c"`
		D yamldoc.Text `yaml:"d"`
	}
	c := decode(t, "a: x${TOKEN}\nb: ${file:secret.txt}\nc: ${NUMBER}\nd: plain", &tagged)
	got = struct{ A, B, C, D yamldoc.Text }(tagged)
	if !got.A.Tainted || !got.B.Tainted || got.C.Tainted || got.D.Tainted {
		t.Errorf("taints are %v %v %v %v, want true true false false", got.A.Tainted, got.B.Tainted, got.C.Tainted, got.D.Tainted)
	}
	if got.B.Text != "s3cret" || got.A.Shown() != "***" || got.C.Shown() != `"12"` {
		t.Errorf("got %q, shown %s and %s", got.B.Text, got.A.Shown(), got.C.Shown())
	}
	if difference := cmp.Diff([]string{"hunter2", "s3cret"}, c.Secrets()); difference != "" {
		t.Errorf("secrets differ (-want +got):\n%s", difference)
	}
}

func TestInterpolateReplacesOnce(t *testing.T) {
	env := yamldoc.MapEnv{"A": "${B}", "B": "b", "EMPTY": "", "é": "no"}
	tests := map[string]struct{ written, want string }{
		"a value is not read again":      {"${A}", "${B}"},
		"text around":                    {"x${B}y${B}", "xbyb"},
		"empty is empty":                 {"${EMPTY}", ""},
		"default when unset":             {"${NOPE:-d}", "d"},
		"default when empty":             {"${EMPTY:-d}", "d"},
		"default not used":               {"${B:-d}", "b"},
		"empty default":                  {"${NOPE:-}", ""},
		"default with braces":            {`${NOPE:-{"a":{}}}!`, `{"a":{}}!`},
		"default with colons":            {"${NOPE:-localhost:9092}", "localhost:9092"},
		"message not used":               {"${B:?why}", "b"},
		"literal":                        {"$${B}", "${B}"},
		"literal and variable":           {"$${B}${B}", "${B}b"},
		"a dollar alone is text":         {"$B $ {B} $$", "$B $ {B} $$"},
		"templates are left alone":       {"{{ body.x }}-${B}", "{{ body.x }}-b"},
		"a file's last line end is gone": {"${file:crlf}", "a\nb"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var findings diag.List
			c := &yamldoc.Context{Findings: &findings, Env: env, ReadFile: func(path string) (string, error) {
				if path != "crlf" {
					return "", errors.New("no file")
				}
				return "a\nb\r\n", nil
			}}
			got, ok := c.InterpolateScalar(yamldoc.Scalar{Text: test.written})
			if !ok || got.Text != test.want {
				t.Errorf("%q becomes %q (ok %v, findings %+v), want %q", test.written, got.Text, ok, findings.All(), test.want)
			}
		})
	}
}

func TestFindVariableCountsRunesAndSkipsLiterals(t *testing.T) {
	tests := map[string]struct {
		at, width int
		found     bool
	}{
		"é ${A:-é} ${B}": {2, 7, true}, "$${A} x": {}, "$${A} ${B}": {6, 4, true}, "": {}, "$": {}, "${": {0, 2, true},
	}
	for text, want := range tests {
		at, width, found := yamldoc.FindVariable(text)
		if at != want.at || width != want.width || found != want.found {
			t.Errorf("FindVariable(%q) = %d, %d, %v, want %+v", text, at, width, found, want)
		}
	}
}

func TestJSONLiteralIsExact(t *testing.T) {
	doc := parse(t, `
int: 9223372036854775807
over: 9223372036854775808
negative: -5
minus zero: -0
float: 1.0
exponent: 1e2
word: yes
date: 2026-01-02T03:04:05Z
time: 12:30:45
version: 1.2.3
quoted: "0x1F"
block: |
  1
"null": null
empty:
flags: [true, false, on, .x, -, 1-2, 0x, _1]
variable: ${X}
`)
	var findings diag.List
	got, ok := (&yamldoc.Context{Findings: &findings}).JSONLiteral(doc.Root())
	want := map[string]any{
		"int": math.MaxInt64, "over": 9223372036854775808.0, "negative": -5, "minus zero": math.Copysign(0, -1), "float": 1.0,
		"exponent": 100.0, "word": "yes", "date": "2026-01-02T03:04:05Z", "time": "12:30:45", "version": "1.2.3", "quoted": "0x1F",
		"block": "1\n", "null": nil, "empty": nil, "flags": []any{true, false, "on", ".x", "-", "1-2", "0x", "_1"}, "variable": "${X}",
	}
	if difference := cmp.Diff(any(want), got); difference != "" || !ok {
		t.Errorf("literal differs, ok %v (-want +got):\n%s\n%+v", ok, difference, findings.All())
	}
}
