package pipelines_test

import (
	"strings"
	"testing"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

func TestMaskHidesEverySecretOfTheFile(t *testing.T) {
	opts := options()
	opts.Env = yamldoc.MapEnv{"TOKEN": `pass"word`, "SHORT": "on", "LONG": `pass"word-and-more`, "PLAIN": "plain", "KEY": "first line\nlast line"}
	opts.Vars = map[string]string{"set": "from the command line"}
	const text = `
name: x
env: { TOKEN: { secret: true }, SHORT: { secret: true }, LONG: { secret: true }, KEY: { secret: true } }
vars: { a: "${TOKEN}", b: "${SHORT}", c: "${LONG}", d: "${PLAIN}", e: "${KEY}", set: "${TOKEN}" }
from: { stdin: {} }
to: { stdout: {} }
`
	prog, findings := pipelines.Compile("p.yaml", []byte(text), opts)
	if findings.HasErrors() {
		t.Fatalf("findings: %+v", findings.All())
	}
	for text, want := range map[string]string{
		`dial pass"word failed`: "dial *** failed", `dial pass"word-and-more`: "dial ***", `{"e":"pass\"word"}`: `{"e":"***"}`,
		"on and plain": "on and plain", "at last line": "at ***", "from the command line": "***",
	} {
		if got := prog.Mask(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	opts.Env = yamldoc.MapEnv{"TOKEN": "another", "SHORT": "on", "LONG": "l", "PLAIN": "plain", "KEY": "k"}
	if other, _ := pipelines.Compile("p.yaml", []byte(strings.TrimSpace(text)), opts); other.Hash == prog.Hash {
		t.Error("another secret gives the same hash")
	}
}
