package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// comparison is one case: the product against another program, or against itself under other conditions.
type comparison struct {
	name string
	// against says what the other program is.
	against string
	// pairs is how many times both run, at least.
	pairs int
	// product and other give one run each.
	product, other contender
	// byRate compares messages a second; else CPU per message is compared.
	byRate bool
	bars   []bar
	// check runs once, before the pairs: a wrong answer is an error.
	check func(ctx context.Context) error
	// done runs after the last pair, or after a failure.
	done func(ctx context.Context) error
}

// contender is one of the two.
type contender struct {
	messages int
	program  func(run int) program
}

// outcome is what the pairs of a comparison gave: medians, and the ratios of the single pairs.
type outcome struct {
	product, other measured
	ratios         []float64 // sorted
}

// measured are the medians of one contender.
type measured struct {
	cpu  float64 // µs per message
	rate float64 // messages per second
	peak float64 // MB
}

func (o *outcome) ratio() float64 { return median(o.ratios) }

// compare runs both in turn.
func (w workshop) compare(ctx context.Context, c *comparison, pairs int, progress func(string)) (o *outcome, err error) {
	if c.done != nil {
		defer func() { err = errors.Join(err, c.done(context.WithoutCancel(ctx))) }()
	}
	if c.check != nil {
		if err := c.check(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	var product, other []measured
	o = &outcome{}
	for i := range max(pairs, c.pairs) {
		a, err := w.measure(ctx, &c.product, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		b, err := w.measure(ctx, &c.other, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		product, other = append(product, a), append(other, b)
		ratio := a.cpu / b.cpu
		if c.byRate {
			ratio = a.rate / b.rate
		}
		o.ratios = append(o.ratios, ratio)
		progress(fmt.Sprintf("%s, pair %d: %.0f/s, %.3f µs; the other %.0f/s, %.3f µs; ratio %.3f",
			c.name, i+1, a.rate, a.cpu, b.rate, b.cpu, ratio))
	}
	slices.Sort(o.ratios)
	o.product, o.other = medians(product), medians(other)
	return o, nil
}

func (w workshop) measure(ctx context.Context, c *contender, run int) (measured, error) {
	s, err := w.run(ctx, c.program(run))
	if err != nil {
		return measured{}, err
	}
	n := float64(c.messages)
	m := measured{cpu: s.CPU.Seconds() * 1e6 / n, rate: s.rate, peak: float64(s.Peak) / 1e6}
	if m.rate == 0 {
		m.rate = n / s.Wall.Seconds()
	}
	return m, nil
}

func medians(ms []measured) measured {
	of := func(part func(m measured) float64) float64 {
		xs := make([]float64, len(ms))
		for i, m := range ms {
			xs[i] = part(m)
		}
		slices.Sort(xs)
		return median(xs)
	}
	return measured{
		cpu:  of(func(m measured) float64 { return m.cpu }),
		rate: of(func(m measured) float64 { return m.rate }),
		peak: of(func(m measured) float64 { return m.peak }),
	}
}

// median is the middle of sorted numbers.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// bar is what a comparison has to reach.
type bar struct {
	text  string
	holds func(o *outcome) bool
}

// atMost and atLeast bound the ratio.
func atMost(x float64) bar {
	return bar{fmt.Sprintf("≤ %g ×", x), func(o *outcome) bool { return o.ratio() <= x }}
}

func atLeast(x float64) bar {
	return bar{fmt.Sprintf("≥ %g ×", x), func(o *outcome) bool { return o.ratio() >= x }}
}

// fasterThan bounds the product's throughput by a multiple of a figure that was measured on another day, on another machine.
func fasterThan(times float64, of reference) bar {
	return bar{fmt.Sprintf("≥ %g × %s (%s/s)", times, of.name, thousands(times*of.rate)), func(o *outcome) bool {
		return o.product.rate >= times*of.rate
	}}
}

// perNode bounds what n more nodes cost, in µs each.
func perNode(n int, most float64) bar {
	return bar{fmt.Sprintf("≤ %g µs a node", most), func(o *outcome) bool {
		return (o.product.cpu-o.other.cpu)/float64(n) <= most
	}}
}
