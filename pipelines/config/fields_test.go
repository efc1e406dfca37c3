package config

import "testing"

func TestRatesThatNoClockCanCountAreRefused(t *testing.T) {
	for text, ok := range map[string]bool{
		"100/s": true, "0.5/h": true, "1000000000/s": true, "0.001/h": true, "30 / m": true,
		"2e9/s": false, "1e30/h": false, "1e-30/h": false, "0.0001/h": false, "0/s": false, "-1/s": false, "NaN/s": false, "Inf/s": false, "1/d": false, "/s": false,
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		} else if ok && r.Interval() < 1 {
			t.Errorf("%s has the interval %d", text, r.Interval())
		}
	}
}
