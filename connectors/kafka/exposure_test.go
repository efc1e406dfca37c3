package kafka

import (
	"context"
	"testing"
	"time"
)

func TestExposureHoldsThePushingBackAndAsksForACommit(t *testing.T) {
	e := newExposure(func() int { return 10 }, make(chan struct{}, 1))
	for range 2 {
		if err := e.take(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-e.urgent:
	default:
		t.Error("half full, and no commit was asked for")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.take(ctx, 1); err == nil {
		t.Fatal("the eleventh record was let through")
	}
	taken := make(chan error, 1)
	go func() { taken <- e.take(t.Context(), 3) }()
	e.give(4)
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
}

func TestExposureLetsABatchOverTheLimitPassAlone(t *testing.T) {
	e := newExposure(func() int { return 2 }, make(chan struct{}, 1))
	if err := e.take(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.take(ctx, 1); err == nil {
		t.Fatal("a record was let through beside it")
	}
}
