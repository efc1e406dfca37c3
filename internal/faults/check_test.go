package faults

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckerFindsWhatIsWrong(t *testing.T) {
	all := Generate("r", 20, 2)
	cases := []struct {
		name string
		out  [][]byte
		want func(v Verdict) bool
	}{
		{"everything once", all, func(v Verdict) bool { return cmp.Equal(v, Verdict{In: 20, Out: 20, FirstLost: -1}) }},
		{"one lost", append(slices.Clone(all[:18]), all[19]), func(v Verdict) bool { return v.Lost == 1 && v.FirstLost == 18 }},
		{"one lost in the middle breaks the order too", slices.Concat(all[:4], all[5:]),
			func(v Verdict) bool { return v.Lost == 1 && v.OrderViolations == 1 }},
		{"a repeat from an earlier place is no violation", slices.Concat(all[:10], all[6:]),
			func(v Verdict) bool { return v.Repeated == 4 && v.OrderViolations == 0 && v.Lost == 0 }},
		{"two of a key swapped", slices.Concat(all[:2], all[4:5], all[3:4], all[2:3], all[5:]),
			func(v Verdict) bool { return v.OrderViolations == 1 }},
		{"a changed byte", slices.Concat(all[:3], [][]byte{append(slices.Clone(all[3][:40]), 'x')}, all[4:]),
			func(v Verdict) bool { return v.Corrupt == 1 && v.Lost == 1 }},
		{"another run's", slices.Concat(all, Generate("other", 1, 1)), func(v Verdict) bool { return v.Foreign == 1 }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := NewChecker("r", 20)
			for _, m := range c.out {
				k.Take(m)
			}
			if v := k.Verdict(); !c.want(v) {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestCheckerWantsBadMessagesAsDeadLettersAndNowhereElse(t *testing.T) {
	made := func() (*Generator, [][]byte) {
		g := &Generator{Run: "r", Keys: 3, Poison: 5}
		all, _ := g.Next(30)
		return g, all
	}
	split := func(all [][]byte) (good, dead [][]byte) {
		for i, m := range all {
			if bad(i, 5) {
				dead = append(dead, m)
			} else {
				good = append(good, m)
			}
		}
		return good, dead
	}
	g, all := made()
	good, dead := split(all)
	c := CheckerOf(g)
	for _, m := range good {
		c.Take(m)
	}
	for _, m := range dead {
		c.TakeDead(m)
	}
	if v := c.Verdict(); !v.Good(0) || v.DeadLettered != 6 || v.Out != 24 {
		t.Errorf("all in their places: %+v", v)
	}
	c = CheckerOf(g)
	for _, m := range all {
		c.Take(m)
	}
	if v := c.Verdict(); v.Misplaced != 6 {
		t.Errorf("bad ones among the good: %+v", v)
	}
	c = CheckerOf(g)
	for _, m := range good {
		c.Take(m)
	}
	if v := c.Verdict(); v.Lost != 6 {
		t.Errorf("dead letters lost: %+v", v)
	}
	wrapped := `{"error":{},"payload":` + strconv.Quote(string(dead[0])) + `}`
	c.TakeDead([]byte(wrapped))
	if v := c.Verdict(); v.Lost != 5 || v.Corrupt != 0 {
		t.Errorf("a letter as an object: %+v", v)
	}
}

func TestCheckerCountsHowOftenAMessageComesAgain(t *testing.T) {
	c := NewChecker("r", 4)
	all := Generate("r", 4, 2)
	for _, i := range []int{0, 1, 1, 1, 0, 2, 3} {
		c.Take(all[i])
	}
	if v := c.Verdict(); v.Repeated != 3 || v.RepeatedMax != 2 || !c.Complete() {
		t.Errorf("%+v", v)
	}
}

func TestSpreadTellsTheMiddleAndTheEnd(t *testing.T) {
	var ms []float64
	for i := 100; i > 0; i-- {
		ms = append(ms, float64(i))
	}
	if got := *NewSpread(ms); got != (Spread{N: 100, P50: 51, P99: 100, Max: 100}) {
		t.Errorf("%+v", got)
	}
	if NewSpread(nil) != nil {
		t.Error("nothing has a spread")
	}
}
