package revision

import (
	"io"
	"strings"
	"testing"

	"github.com/millstream/millstream/connectors"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

func TestTopicsThatLackASideAndCirclesAreToldOf(t *testing.T) {
	const generate, drop = "from: { generate: { body: '1', rate: 1/s } }\n", "to: { drop: {} }\n"
	from := func(topic string) string { return "from: { memory: { topic: " + topic + " } }\n" }
	to := func(topic string) string { return "to: { memory: { topic: " + topic + " } }\n" }
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"both sides":    {[]string{generate + to("a"), from("a") + drop}, ""},
		"a typo":        {[]string{generate + to("oders"), from("orders") + drop}, "unread-topic memory topic orders?|unwritten-topic memory topic oders?"},
		"no reader":     {[]string{generate + to("a")}, "unread-topic let a pipeline of the same process read it"},
		"any writer":    {[]string{generate + to("\"a-{{ body }}\""), from("a-1") + drop}, ""},
		"a ring of two": {[]string{from("x") + to("y"), from("y") + to("x")}, "topic-ring a → memory topic y → b → memory topic x → a"},
		"a ring of one": {[]string{from("x") + to("x")}, "topic-ring a → memory topic x → a"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := pipelines.Options{Registry: &config.Registry{Connectors: connectors.Types(strings.NewReader(""), io.Discard), Nodes: nodes.Types()}}
			var programs []*pipelines.Program
			for i, text := range c.files {
				p, findings := pipelines.Compile(string(rune('a'+i))+".yaml", []byte("name: "+string(rune('a'+i))+"\n"+text), opts)
				if p == nil {
					t.Fatalf("%+v", findings.All())
				}
				programs = append(programs, p)
			}
			var findings diag.List
			CheckTogether(programs, &findings)
			var got []string
			for _, f := range findings.All() {
				if f.Severity != diag.Warning {
					t.Errorf("%+v is no warning", f)
				}
				said := strings.TrimPrefix(f.Hint, "did you mean the ")
				if f.Code == diag.TopicRing {
					said = strings.TrimPrefix(f.Message, "pipelines feed each other in a circle: ")
				}
				got = append(got, string(f.Code)+" "+said)
			}
			if strings.Join(got, "|") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
