package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventsAreTheSameInEachRun(t *testing.T) {
	a, b := newEvents(), newEvents()
	for range 100 {
		if diff := cmp.Diff(a.flat().json, b.flat().json); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestEventsAreJSONOfTheirSize(t *testing.T) {
	made := newEvents()
	tests := []struct {
		name      string
		make      func() string
		from, til int
	}{
		{"flat", func() string { return made.flat().json }, 220, 245},
		{"nested", made.nested, 890, 950},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			total := 0
			const n = 200
			for range n {
				text := test.make()
				var v map[string]any
				if err := json.Unmarshal([]byte(text), &v); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				total += len(text) + 1
			}
			if mean := total / n; mean < test.from || mean > test.til {
				t.Errorf("the mean size is %d", mean)
			}
		})
	}
}

func TestAnEventKnowsItsSpeedAndKind(t *testing.T) {
	made := newEvents()
	for range 100 {
		e := made.flat()
		var v struct {
			Speed  float64
			Type   string
			Device string `json:"device_id"`
		}
		if err := json.Unmarshal([]byte(e.json), &v); err != nil {
			t.Fatal(err)
		}
		if int(v.Speed*10+0.5) != e.speed || v.Type != e.kind || v.Device != e.device {
			t.Fatalf("%+v is not %s", e, e.json)
		}
	}
}

func TestLinesAreWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lines")
	if err := writeLines(file, 3, func() string { return "x" }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != "x\nx\nx\n" {
		t.Errorf("got %q", text)
	}
}

func TestTheMedianIsTheMiddle(t *testing.T) {
	for _, test := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{1, 2}, 1.5}, {[]float64{1, 2, 9}, 2}} {
		if got := median(test.of); got != test.want {
			t.Errorf("median of %v is %v", test.of, got)
		}
	}
}

func TestBarsHoldOrNot(t *testing.T) {
	o := &outcome{
		product: measured{cpu: 2, rate: 1000}, other: measured{cpu: 1, rate: 500}, ratios: []float64{0.8, 0.9, 1.0},
	}
	tests := []struct {
		bar  bar
		want bool
	}{
		{atMost(0.9), true}, {atMost(0.89), false}, {atLeast(0.9), true}, {atLeast(0.91), false},
		{fasterThan(10, reference{"x", 100}), true}, {fasterThan(10, reference{"x", 101}), false},
		{perNode(10, 0.1), true}, {perNode(10, 0.09), false},
	}
	for _, test := range tests {
		if got := test.bar.holds(o); got != test.want {
			t.Errorf("%s holds: %v", test.bar.text, got)
		}
	}
}

func TestARowSaysWhatWasFound(t *testing.T) {
	table := newComparisons()
	c := &comparison{name: "a", against: "loop", bars: []bar{atMost(0.7), atMost(0.4)}}
	addOutcome(table, c, &outcome{
		product: measured{cpu: 0.5, rate: 1234567}, other: measured{cpu: 1, rate: 987}, ratios: []float64{0.4, 0.5, 0.6},
	})
	want := "| a | 1,234,567 | 0.5 | loop | 987 | 1 | 0.50 (CPU; 0.40–0.60 in 3 pairs) | ≤ 0.7 ×; ≤ 0.4 × | yes; **no** |\n"
	if !strings.HasSuffix(table.String(), want) {
		t.Errorf("got\n%v", table)
	}
}

func TestDifferentOutputIsShown(t *testing.T) {
	tests := []struct{ product, other, want string }{
		{"a\nb\n", "a\nc\n", "line 2 is\nb\nand the loop writes\nc"},
		{"a\n", "a\nb\n", "line 2 is\n\nand the loop writes\nb"},
	}
	for _, test := range tests {
		if err := differs([]byte(test.product), []byte(test.other)); err == nil || err.Error() != test.want {
			t.Errorf("got %v", err)
		}
	}
}

func TestArrivalRefusesMoreThanWasSent(t *testing.T) {
	if _, err := arrival(t.Context(), 3, func() (int64, error) { return 4, nil }); err == nil {
		t.Error("no error")
	}
}

func TestArrivalEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := arrival(ctx, 3, func() (int64, error) { return 1, nil })
	if err == nil || !strings.Contains(err.Error(), "1 of 3") {
		t.Errorf("got %v", err)
	}
}

func TestArrivalGivesTheRateBetweenTheFirstAndTheLast(t *testing.T) {
	counts := []int64{0, 10, 20, 30}
	rate, err := arrival(t.Context(), 30, func() (int64, error) {
		n := counts[0]
		counts = counts[1:]
		return n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if most := 20 / (2 * look).Seconds(); rate <= 0 || rate > most {
		t.Errorf("rate %v, at most %v", rate, most)
	}
}

func TestAPipelineOfEachCaseIsThere(t *testing.T) {
	s := &suite{workshop: workshop{t.TempDir()}, growth: growthFrom}
	if err := s.writePipelines(); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.local() {
		p := c.product.program(0)
		file := p.args[len(p.args)-1]
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && !strings.Contains(c.name, "nodes") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
