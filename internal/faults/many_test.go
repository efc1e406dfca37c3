//go:build integration

package faults

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"
)

// number is a variable of the environment, or what it is without it.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

func TestAReloadOfOnePipelineInManyTouchesNoOther(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	many := &Many{
		Binary: binary, Dir: t.TempDir(), Pipelines: number(t, "MILLSTREAM_PIPELINES", 100), Changes: number(t, "MILLSTREAM_RELOADS", 6),
		Idle: time.Duration(number(t, "MILLSTREAM_IDLE", 1)) * time.Second, Patience: 60 * time.Second,
	}
	v, err := many.Execute(t.Context())
	verdict, _ := json.Marshal(v) //nolint:errchkjson // plain fields cannot fail
	t.Logf("%d pipelines: %s", many.Pipelines, verdict)
	if err != nil {
		t.Fatal(err)
	}
	if v.Touched > 0 {
		t.Errorf("%d pipelines were touched that did not change", v.Touched)
	}
}

func TestARunningProcessMissesNoEdit(t *testing.T) {
	binary, err := Binary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, style := range EditStyles() {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			took, err := (&Edits{
				Binary: binary, Dir: t.TempDir(), Style: style, N: number(t, "MILLSTREAM_EDITS", 5), Patience: 20 * time.Second,
			}).Execute(t.Context())
			t.Logf("ms from the last write until it ran: %+v", took)
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
