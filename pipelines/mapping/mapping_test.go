package mapping

import (
	"slices"
	"strings"
	"testing"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

func TestAFileCanAllowEveryPartToBeLostAndNothingElse(t *testing.T) {
	for _, part := range append(Parts(), "header") {
		_, findings := pipelines.Compile("p.yaml", []byte("name: x\nallow_loss: ["+part+"]\n"), pipelines.Options{Registry: &config.Registry{}})
		refused := slices.ContainsFunc(findings.All(), func(f diag.Finding) bool { return strings.HasPrefix(f.Message, "allow_loss") })
		if refused != (part == "header") {
			t.Errorf("%s is refused: %v", part, refused)
		}
	}
}

func TestEveryPairSaysWhatBecomesOfEachPartOnce(t *testing.T) {
	classes := []Class{Exact, Renamed, Coerced, Folded, Emulated, Dropped, Refused}
	for _, source := range Sources() {
		for _, sink := range Sinks() {
			entries, ok := Between(source, sink)
			if !ok || len(entries) != len(given[source]) {
				t.Errorf("%s to %s: %d parts of %d", source, sink, len(entries), len(given[source]))
			}
			for _, e := range entries {
				if !slices.Contains(classes, e.Class) {
					t.Errorf("%s to %s: %s is %q", source, sink, e.Part, e.Class)
				}
				if e.Class != Exact && e.Note == "" {
					t.Errorf("%s to %s: %s is %s, and nothing says how", source, sink, e.Part, e.Class)
				}
			}
		}
	}
}

func TestOneTechnologyLosesNothingOfItsOwn(t *testing.T) {
	for _, name := range []string{"kafka", "amqp", "memory"} {
		entries, _ := Between(name, name)
		for _, e := range entries {
			if e.Class == Dropped || e.Class == Refused {
				t.Errorf("%s to %s: %s is %s", name, name, e.Part, e.Class)
			}
		}
	}
}

func TestTheTableNamesOnlyParts(t *testing.T) {
	for sink, target := range taken {
		for part := range target.parts {
			if !slices.Contains(Parts(), part) {
				t.Errorf("%s lists %s, which is no part", sink, part)
			}
		}
		for source, special := range target.from {
			for part := range special {
				if !slices.Contains(given[source], part) {
					t.Errorf("%s lists %s of %s, which has none", sink, part, source)
				}
			}
		}
	}
}

func TestAConnectorThatIsNotListedIsNotGuessed(t *testing.T) {
	if _, ok := Between("pigeon", "kafka"); ok {
		t.Error("pigeon is known")
	}
	if _, ok := Between("kafka", "pigeon"); ok {
		t.Error("pigeon is known")
	}
}
