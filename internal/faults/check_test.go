package faults

import (
	"slices"
	"testing"
)

func TestCheckerFindsWhatIsWrong(t *testing.T) {
	all := Generate("r", 20, 2)
	cases := []struct {
		name string
		out  [][]byte
		want func(v Verdict) bool
	}{
		{"everything once", all, func(v Verdict) bool { return v == Verdict{In: 20, Out: 20, FirstLost: -1} }},
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
