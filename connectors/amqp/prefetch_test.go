package amqp

import (
	"testing"

	"github.com/millstream/millstream/connectors/connectortest"
)

func TestTheWindowGoesByTheSizeOfTheMessages(t *testing.T) {
	tests := []struct {
		name  string
		sizes func(i int) int
		want  int
	}{
		{"small ones", func(int) int { return 200 }, 1024},
		{"large ones", func(int) int { return 1 << 20 }, 16},
		{"some of each", func(i int) int { return 1 + i%2*200_000 }, 160},
		{"small ones, then large ones", func(i int) int { return 100 + min(i/3000, 1)*(1<<20) }, 16},
		{"large ones, then small ones", func(i int) int { return 1<<20 - min(i/3000, 1)*1_000_000 }, 340},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSizing(connectortest.DefaultLimits(), 1024)
			if s.current != 16 {
				t.Errorf("it begins with %d", s.current)
			}
			for i := range 6000 {
				before := s.current
				if change := s.saw(test.sizes(i)); change != (s.current != before) {
					t.Fatalf("from %d to %d, change is %v", before, s.current, change)
				}
			}
			if s.current < test.want*9/10 || s.current > test.want*11/10 {
				t.Errorf("the window is %d, want about %d", s.current, test.want)
			}
		})
	}
}

func TestAWindowOfTheFileStays(t *testing.T) {
	s := fixed(100)
	for range 1000 {
		if s.saw(1) || s.saw(10<<20) {
			t.Fatal("the window changed")
		}
	}
	if s.current != 100 {
		t.Errorf("the window is %d", s.current)
	}
}

func TestAWindowIsNeverEmpty(t *testing.T) {
	limits := connectortest.DefaultLimits()
	limits.InFlightBytes = 1000
	s := newSizing(limits, 8)
	for range 100 {
		s.saw(1 << 20)
	}
	if s.current != 1 {
		t.Errorf("the window is %d", s.current)
	}
}
