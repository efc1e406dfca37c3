package reference

import (
	"slices"
	"testing"

	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

func TestEveryKeyOfTheLanguageHasALineAndEveryLineAKey(t *testing.T) {
	g := NewGrammar(&config.Registry{}, Comments{})
	for _, name := range g.Undocumented {
		t.Errorf("%s has no line in keyDocs", name)
	}
	used := map[string]bool{}
	var walk func(name string, t *Type)
	walk = func(name string, t *Type) {
		if t.Name != "" && t.Kind == Struct {
			name = t.Name
		}
		for _, f := range t.Fields {
			key := name + "." + f.Name
			if !used[key] {
				used[key] = true
				walk(f.Name, f.Type)
			}
		}
		for _, one := range t.Types {
			walk(name, one)
		}
		if t.Elem != nil {
			walk(name, t.Elem)
		}
	}
	walk("", g.File)
	for key := range keyDocs {
		if !used[key] {
			t.Errorf("keyDocs has a line for %s, which is no key", key)
		}
	}
}

// own reads itself and does not say what it takes; open says it.
type own struct{}

func (*own) UnmarshalYAMLDoc(*yamldoc.Value, *yamldoc.Context) {}

type open struct{ own }

func (*open) FieldKind() string { return string(Rate) }

type tried struct {
	Own      own      `yaml:"own"`
	Open     open     `yaml:"open"`
	Fraction float64  `yaml:"fraction" default:"0.5"`
	Words    []string `yaml:"words,raw" oneof:"a b"`
	Inner    *struct {
		Deep bool `yaml:"deep" required:"true"`
	} `yaml:"inner"`
	Left int `yaml:"-"`
}

func (*tried) BuildSink(*config.Builder) config.Sink { return config.Sink{} }

func TestTheGrammarReadsWhatTheDecoderReads(t *testing.T) {
	g := NewGrammar(&config.Registry{Connectors: []config.ConnectorType{
		{Name: "try", NewSink: func() config.SinkConfig { return &tried{} }},
	}}, Comments{})
	if !slices.Equal(g.Unknown, []string{"reference.own"}) {
		t.Errorf("unknown types: %v", g.Unknown)
	}
	sink := g.Connectors[0].Sink
	if g.Connectors[0].Source != nil || len(sink.Fields) != 6 {
		t.Fatalf("fields: %+v", sink.Fields)
	}
	f := sink.Fields
	if f[1].Type.Kind != Rate || f[2].Type.Kind != Float || f[2].Default != "0.5" {
		t.Errorf("open and fraction: %+v %+v", f[1], f[2])
	}
	if words := f[3].Type; words.Kind != List || !words.Elem.Raw || !slices.Equal(words.Elem.Words, []string{"a", "b"}) {
		t.Errorf("words: %+v", f[3].Type)
	}
	if inner := f[4].Type; inner.Kind != Struct || !inner.Fields[0].Required || inner.Fields[0].Type.Kind != Bool {
		t.Errorf("inner: %+v", inner)
	}
	if f[5].Name != "use" {
		t.Errorf("the last field is %s, want use", f[5].Name)
	}
	if !slices.Contains(g.Undocumented, "try.sink.fraction") {
		t.Errorf("a field without comment is not reported: %v", g.Undocumented)
	}
}
