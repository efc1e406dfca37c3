package engine

import "testing"

// TestSimulationFindsBrokenRules breaks one rule at a time and expects the simulation to notice within so many seeds. A rule whose
// breaking goes unnoticed is a rule that nothing tests.
func TestSimulationFindsBrokenRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fault
	}{
		{"a batch waits for its sinks", faultAckEarly},
		{"what followed a failure is sent again", faultNoResend},
		{"a held key is not handed over", faultIgnoreHeld},
		{"a key is held until all batches before the failure are confirmed", faultReleaseEarly},
		{"a record with a branch that was left is left", faultSettleLeft},
		{"a record counts once", faultCountTwice},
		{"a dead letter is waited for", faultLetterUnaware},
		{"a dead letter is waited for at an optional sink too", faultLetterOffered},
		{"limits are kept", faultNoBudget},
		{"a drain leaves what it gives up", faultDropOnDrain},
		{"a reload lets what is in flight to a sink end before it closes the sink", faultSwitchUndrained},
		{"a reload gives each sink the messages that are for it", faultOldIndexes},
		{"a reload leaves what it gives up", faultDropOnReload},
		{"what was computed side by side leaves in order", faultJoinUnordered},
	} {
		t.Run(c.name, func(t *testing.T) {
			const most = 10_000 // one rule shows in one seed of several hundred; what is broken is found long before the end
			for seed := uint64(1); seed <= most; seed++ {
				if w := simulate(t, seed, c.fault); len(w.violations) > 0 {
					t.Logf("seed %d: %s", seed, w.violations[0])
					return
				}
			}
			t.Errorf("%d seeds did not notice that the rule is broken", most)
		})
	}
}
