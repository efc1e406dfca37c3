package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// Setup says how to make a rig.
type Setup struct {
	Binary string
	// Dir is an empty directory.
	Dir   string
	Route string
	Seed  uint64
	// Rate is how many messages are fed in a second, Keys how many keys they have, Poison which one in so many is bad.
	Rate, Keys, Poison int
	Patience           time.Duration
	Where              Where
	Say                func(format string, args ...any)
}

// NewRig opens a route. Close its Route when it has been used.
func NewRig(ctx context.Context, s Setup) (*Rig, error) {
	s.Where.Dir = s.Dir
	// The name differs between runs, so that none meets what another has left in a broker.
	s.Where.Run = fmt.Sprintf("f%d-%d-%d", s.Seed, os.Getpid(), time.Now().UnixMilli()%1e6)
	route, err := OpenRoute(ctx, s.Route, &s.Where)
	if err != nil {
		return nil, err
	}
	return &Rig{
		Binary: s.Binary, Dir: s.Dir, Route: route, Gen: &Generator{Run: s.Where.Run, Keys: s.Keys, Poison: s.Poison}, Rate: s.Rate,
		Rand: rand.New(rand.NewPCG(s.Seed, 1)), Patience: s.Patience, Say: s.Say, //nolint:gosec // no secret
	}, nil
}

// Bound is how many messages may come twice after so many kills.
func (r *Rig) Bound(kills int) int {
	if r.Route.Once {
		return 0
	}
	return kills * InFlight
}
