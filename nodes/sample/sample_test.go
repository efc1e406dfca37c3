package sample_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes/nodetest"
	"github.com/millstream/millstream/nodes/sample"
)

// keeps tells which of some messages pass.
func keeps(t *testing.T, n *nodetest.Node, messages ...*flow.Message) (kept []int) {
	t.Helper()
	for i, m := range messages {
		res := n.Process(t, m)
		if res.Err != nil || res.Settled != flow.Open || len(res.Out) > 1 {
			t.Fatalf("message %d: %+v", i, res)
		}
		if len(res.Out) == 1 {
			kept = append(kept, i)
		}
	}
	return kept
}

func bodies(n *nodetest.Node, texts ...string) (all []*flow.Message) {
	for i, text := range texts {
		all = append(all, n.Open(flow.Record{Body: []byte(text), Topic: "t", Offset: int64(i), Partition: flow.NoPartition, Attempt: 1}))
	}
	return all
}

func TestEveryKeepsTheFirstOfSoMany(t *testing.T) {
	n := nodetest.Must(t, sample.Type(), "sample: { every: 3 }\n")
	if diff := cmp.Diff([]int{0, 3, 6}, keeps(t, n, bodies(n, "1", "2", "3", "4", "5", "6", "7")...)); diff != "" {
		t.Error(diff)
	}
}

func TestARatioKeepsThatPartAndTheSameOnesAgain(t *testing.T) {
	const all = 20_000
	for _, ratio := range []float64{0.01, 0.1, 0.5, 1} {
		var first []int
		for range 2 { // a second node is a restart
			n := nodetest.Must(t, sample.Type(), fmt.Sprintf("sample: { ratio: %g }\n", ratio))
			kept := keeps(t, n, bodies(n, make([]string, all)...)...)
			if got := float64(len(kept)) / all; got < ratio*0.9-0.002 || got > ratio*1.1+0.002 {
				t.Errorf("ratio %g keeps %g", ratio, got)
			}
			if first != nil && !cmp.Equal(first, kept) {
				t.Errorf("ratio %g keeps others the second time", ratio)
			}
			first = kept
		}
	}
}

func TestWhatALowerRatioKeepsAHigherOneKeepsToo(t *testing.T) {
	low := nodetest.Must(t, sample.Type(), "sample: { ratio: 0.1, by: body }\n")
	high := nodetest.Must(t, sample.Type(), "sample: { ratio: 0.2, by: body }\n")
	for i := range 1000 {
		text := fmt.Sprint(i)
		if len(keeps(t, low, low.Message(text))) > len(keeps(t, high, high.Message(text))) {
			t.Errorf("%s is kept by the lower ratio alone", text)
		}
	}
}

func TestByKeepsWhatBelongsTogether(t *testing.T) {
	n := nodetest.Must(t, sample.Type(), "sample: { ratio: 0.5, by: body.device }\n")
	var kept []string
	for _, device := range []string{`"a"`, `"b"`, `"c"`, `"d"`, "5", `"5"`, "true", "1.5"} {
		got := keeps(t, n, bodies(n, fmt.Sprintf(`{"device":%s,"n":1}`, device), fmt.Sprintf(`{"device":%s,"n":2}`, device))...)
		if len(got) == 1 {
			t.Errorf("%s was torn apart", device)
		}
		if len(got) == 2 {
			kept = append(kept, device)
		}
	}
	// XXH64 decides, and it must decide alike for ever.
	if diff := cmp.Diff([]string{`"b"`, `"d"`, "5", `"5"`, "1.5"}, kept); diff != "" {
		t.Error(diff)
	}
}

func TestWhatByGivesNoTextForIsAnError(t *testing.T) {
	n := nodetest.Must(t, sample.Type(), "sample: { ratio: 0.5, by: body.device }\n")
	for _, body := range []string{`{}`, `{"device":null}`, `{"device":[1]}`} {
		var e *flow.Error
		if res := n.Process(t, n.Message(body)); !errors.As(res.Err, &e) || e.Class != flow.Permanent || e.Code != flow.CodeExpression {
			t.Errorf("%s: %+v", body, res)
		}
	}
}

func TestMistakesInASampleAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"sample: {}\n": "missing-key", "sample: { every: 2, ratio: 0.5 }\n": "conflicting-key", "sample: { every: 2, by: body.a }\n": "conflicting-key",
		"sample: { every: 0 }\n": "bad-value", "sample: { every: -1 }\n": "bad-value", "sample: { ratio: 0 }\n": "bad-value", "sample: { ratio: 1.1 }\n": "bad-value",
		"sample: { ratio: 10% }\n": "wrong-type", "sample: 10\n": "wrong-type", "sample: { ratio: 0.5, by: bdy.a }\n": "unknown-name", "{}\n": "missing-key",
		"sample: { ratio: NaN }\n": "wrong-type",
	} {
		_, findings := nodetest.Build(t, sample.Type(), text)
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}
