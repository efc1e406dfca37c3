package pipelines_test

import (
	"strings"
	"testing"

	"github.com/millstream/millstream/pipelines"
)

func TestSetKeepsTheKindOfAConstant(t *testing.T) {
	const text = `name: p
vars: { slow: 900, tag: a, on: true, list: [1] }
from: { stdin: {} }
steps:
  - filter: vars.on and vars.tag == "5" and body.t > vars.slow and body.x in vars.list
to: { stdout: {} }
`
	for set, want := range map[string]string{
		"slow=abc": "gives text, and the file has a number there", "slow=": "gives text", "slow=true": "gives a bool",
		"slow=1.5": "", "tag=5": "", "on=false": "", "on=1": "gives a number", "list=[2]": "", "list=2": "gives a number",
	} {
		name, value, _ := strings.Cut(set, "=")
		_, findings := pipelines.Compile("p.yaml", []byte(text), pipelines.Options{Registry: registry(), Vars: map[string]string{name: value}})
		got := ""
		for _, f := range findings.Errors() {
			got += f.Message
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("--set %s: findings %q, want %q", set, got, want)
		}
	}
}
