package kafka

import (
	"testing"
	"time"
)

func TestABrokerThatIsAwayIsTriedEverySecond(t *testing.T) {
	for _, fails := range []int{-1, 0, 1, 2, 3, 4, 60, 1 << 40} {
		for range 100 {
			if d := backoff(fails); d < 200*time.Millisecond || d > 1200*time.Millisecond || fails > 2 && d < 800*time.Millisecond {
				t.Fatalf("after %d failures, the pause is %s", fails, d)
			}
		}
	}
}
