package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/millstream/millstream/internal/faults"
)

func kill(ctx context.Context, o *options) ([]outcome, error) {
	rig, end, err := o.rig(ctx)
	if err != nil {
		return nil, err
	}
	places := []string{o.place}
	if o.place == "all" {
		places = faults.Places(rig.Route)
	}
	end()
	var out []outcome
	for _, place := range places {
		rig, end, err := o.rig(ctx)
		if err != nil {
			return out, err
		}
		v, err := (&faults.Kill{Rig: rig, Place: place, Kills: o.n}).Execute()
		end()
		out = append(out, o.scenario(o.setup.Route+" kill "+place, rig.Bound(v.Kills), &v, err))
	}
	return out, nil
}

// each runs a scenario for each broker of the route.
func (o *options) each(run func(broker string) (outcome, error)) (out []outcome, err error) {
	for _, broker := range []string{faults.Kafka, faults.Rabbit} {
		if !strings.Contains(o.setup.Route, broker) || o.broker != "" && o.broker != broker {
			continue
		}
		one, err := run(broker)
		if err != nil {
			return out, err
		}
		out = append(out, one)
	}
	return out, nil
}

func outages(ctx context.Context, o *options) ([]outcome, error) {
	if o.name == "" {
		return nil, fmt.Errorf("-instance is missing: an instance of %s that nobody else uses", o.script)
	}
	events := []string{o.event}
	if o.event == "all" {
		events = []string{faults.EventKill, faults.EventFreeze}
	}
	o.setup.Where.Proxied = true
	var out []outcome
	for _, event := range events {
		some, err := o.each(func(name string) (outcome, error) {
			rig, end, err := o.rig(ctx)
			if err != nil {
				return outcome{}, err
			}
			defer end()
			n := o.n
			if event == faults.EventFreeze && o.event == "all" {
				n = 1
			}
			b := &faults.Broker{Script: o.script, Instance: o.name, Name: name}
			v, err := (&faults.Outage{Rig: rig, Broker: b, Event: event, N: n, Span: o.span}).Execute(ctx)
			return o.scenario(fmt.Sprintf("%s %s %s", o.setup.Route, event, name), rig.Bound(n), &v, err), nil
		})
		out = append(out, some...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func weather(ctx context.Context, o *options) ([]outcome, error) {
	o.setup.Where.Proxied = true
	events := strings.Split(o.event, ",")
	if o.event == "all" {
		events = faults.NetEvents()
	}
	return o.each(func(name string) (outcome, error) {
		rig, end, err := o.rig(ctx)
		if err != nil {
			return outcome{}, err
		}
		defer end()
		v, err := (&faults.Weather{Rig: rig, Broker: name, Events: events, N: o.n}).Execute()
		return o.scenario(fmt.Sprintf("%s network before %s", o.setup.Route, name), rig.Bound(o.n), &v, err), nil
	})
}

func rebalance(ctx context.Context, o *options) ([]outcome, error) {
	balances := []string{o.setup.Where.Balance}
	if balances[0] == "" {
		balances = []string{"cooperative", "eager"}
	}
	var out []outcome
	for _, balance := range balances {
		o.setup.Where.Balance, o.setup.Where.Partitions, o.setup.Where.Session = balance, 12, o.session
		rig, end, err := o.rig(ctx)
		if err != nil {
			return out, err
		}
		v, err := (&faults.Group{Rig: rig, Members: 3, Changes: o.n, Every: o.every}).Execute()
		end()
		out = append(out, o.scenario(o.setup.Route+" rebalance "+balance, rig.Bound(v.Kills), &v, err))
	}
	return out, nil
}

func reloads(_ context.Context, o *options) ([]outcome, error) {
	places := []string{o.place}
	if o.place == "all" {
		places = append(faults.ReloadPlaces(), faults.Random)
	}
	var out []outcome
	for _, place := range places {
		dir, err := os.MkdirTemp("", "millstream-faults-")
		if err != nil {
			return out, err
		}
		v, err := (&faults.ReloadPlan{
			Binary: o.setup.Binary, Dir: dir, Run: fmt.Sprintf("l%d", o.setup.Seed), Place: place, Change: faults.Change(o.change), Kills: o.n,
			PerRound: 4000, Keys: o.setup.Keys, Rand: o.random(), Patience: o.setup.Patience,
		}).Execute()
		_ = os.RemoveAll(dir)
		out = append(out, o.scenario(fmt.Sprintf("reload of %s killed at %s", o.change, place), o.n*faults.InFlight, &v, err))
	}
	return out, nil
}

func storm(ctx context.Context, o *options) ([]outcome, error) {
	dir, err := os.MkdirTemp("", "millstream-faults-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left is the system's to clean
	w := o.setup.Where
	w.Run = fmt.Sprintf("t%d-%d", o.setup.Seed, os.Getpid())
	v, err := (&faults.Storm{
		Binary: o.setup.Binary, Dir: dir, Name: o.setup.Route, Where: w,
		Reloads: o.n, Invalid: o.n * 3 / 10, Rate: o.setup.Rate, Keys: o.setup.Keys, Rand: o.random(), Patience: o.setup.Patience,
	}).Execute(ctx)
	return []outcome{o.scenario("storm of reloads", 0, &v.Verdict, err)}, nil
}

func follow(_ context.Context, o *options) ([]outcome, error) {
	dir, err := os.MkdirTemp("", "millstream-faults-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left is the system's to clean
	v, err := (&faults.FollowPlan{
		Binary: o.setup.Binary, Dir: dir, Run: fmt.Sprintf("r%d", o.setup.Seed), Kills: o.n, Most: 40_000 * (o.n + 1), Keys: o.setup.Keys,
		Rand: o.random(), Patience: max(o.setup.Patience, 10*time.Second),
	}).Execute()
	return []outcome{o.scenario("a followed file that is rotated", o.n*faults.InFlight, &v, err)}, nil
}

func (o *options) random() *rand.Rand { return rand.New(rand.NewPCG(o.setup.Seed, 1)) } //nolint:gosec // no secret
