package main

import (
	"testing"

	"github.com/millstream/millstream/internal/faults"
)

func TestWhatIsNoCommandIsAnError(t *testing.T) {
	for _, args := range [][]string{nil, {"nonsense"}, {"kill", "-nonsense"}, {"kill", "-n", "many"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

func TestASeedGivesTheSameNumbers(t *testing.T) {
	o, err := parse("kill", []string{"-seed", "7", "-quiet"})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := o.random().Uint64(), o.random().Uint64(); a != b || o.setup.Say != nil {
		t.Errorf("%d, then %d", a, b)
	}
}

func TestAnOutcomeIsGoodWithinItsBoundOnly(t *testing.T) {
	o := &options{quiet: true}
	v := faults.Verdict{In: 5, Out: 7, Repeated: 2}
	if !o.scenario("s", 2, &v, nil).Good || o.scenario("s", 1, &v, nil).Good {
		t.Error("the bound does not decide")
	}
	v.Lost = 1
	if o.scenario("s", 2, &v, nil).Good {
		t.Error("a loss is good")
	}
}
