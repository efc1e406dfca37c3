package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

//go:embed pipelines/*.yaml
var pipelineFiles embed.FS

// reference is a figure of the nearest peer, measured on another day and on another machine of two cores: good for an order of magnitude.
type reference struct {
	name string
	rate float64
}

var (
	bentoA        = reference{"Bento's default", 46_838}
	bentoB        = reference{"Bento's default", 67_114}
	bentoBBatched = reference{"Bento's best", 270_270}
	bentoC        = reference{"Bento", 97_560}
)

// suite makes the cases.
type suite struct {
	workshop
	events, nested, generated, growth int
	kafkaRecords, rabbitMessages      int
}

// millstream is a run of the product with one of the embedded pipelines.
func (s *suite) millstream(pipeline string, env ...string) program {
	return program{args: []string{s.path("millstream"), "run", s.path(pipeline + ".yaml")}, env: env}
}

func (p program) reading(file string) program {
	p.stdin = file
	return p
}

func (p program) writing(file string) program {
	p.stdout = file
	return p
}

func (p program) throughPipes() program {
	p.piped = true
	return p
}

func (p program) with(env ...string) program {
	p.env = append(slices.Clone(p.env), env...)
	return p
}

func (s *suite) loop(name string, args ...string) program {
	return program{args: append([]string{s.path(name)}, args...)}
}

// always gives the same program each time.
func always(messages int, p program) contender {
	return contender{messages: messages, program: func(int) program { return p }}
}

// writePipelines puts the embedded files into the workshop.
func (s *suite) writePipelines() error {
	return fs.WalkDir(pipelineFiles, "pipelines", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := pipelineFiles.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(s.path(entry.Name()), text, 0o600)
	})
}

func (s *suite) flatEvents() string   { return s.path("events.ndjson") }
func (s *suite) nestedEvents() string { return s.path("nested.ndjson") }
func (s *suite) longEvents() string   { return s.path("long.ndjson") }

// longer is how many times as many events the longer run of c has: with few, the start of the process shows.
const longer = 4

// writeInputs generates the events that the cases read.
func (s *suite) writeInputs() error {
	flat, nested, long := newEvents(), newEvents(), newEvents()
	return errors.Join(
		writeLines(s.longEvents(), longer*s.events, func() string { return long.flat().json }),
		writeLines(s.flatEvents(), s.events, func() string { return flat.flat().json }),
		writeLines(s.nestedEvents(), s.nested, nested.nested),
	)
}

// local are the cases that need no broker.
func (s *suite) local() []*comparison {
	count := func(n int) string { return "COUNT=" + strconv.Itoa(n) }
	a, c, d := s.millstream("a"), s.millstream("c"), s.millstream("d")
	return []*comparison{
		{
			name: "a", against: "loop",
			product: always(s.events, a.reading(s.flatEvents())), other: always(s.events, s.loop("a").reading(s.flatEvents())),
			bars:  []bar{atMost(0.7), fasterThan(25, bentoA)},
			check: func(ctx context.Context) error { return s.sameOutput(ctx, a, s.loop("a"), s.flatEvents()) },
		},
		{
			name: "b", against: "loop",
			product: always(s.generated, s.millstream("b", count(s.generated))),
			other:   always(s.generated, s.loop("b", strconv.Itoa(s.generated))),
			bars:    []bar{fasterThan(10, bentoB), fasterThan(2.5, bentoBBatched), fasterThan(16, bentoB), fasterThan(4, bentoBBatched)},
			check: func(ctx context.Context) error {
				return s.ends(ctx, s.millstream("b", count(s.generated)), s.generated, "dropped")
			},
		},
		{
			name: "c", against: "loop",
			product: always(s.events, c.reading(s.flatEvents())), other: always(s.events, s.loop("c").reading(s.flatEvents())),
			bars:  []bar{atMost(3.5), fasterThan(35, bentoC)},
			check: func(ctx context.Context) error { return s.sameOutput(ctx, c, s.loop("c"), s.flatEvents()) },
		},
		{
			name: "longer c", against: "loop",
			product: always(longer*s.events, c.reading(s.longEvents())),
			other:   always(longer*s.events, s.loop("c").reading(s.longEvents())),
			bars:    []bar{atMost(3.5)},
		},
		{
			name: "c through pipes", against: "loop",
			product: always(s.events, c.reading(s.flatEvents()).throughPipes()),
			other:   always(s.events, s.loop("c").reading(s.flatEvents()).throughPipes()),
		},
		{
			name: "d", against: "loop",
			product: always(s.nested, d.reading(s.nestedEvents())), other: always(s.nested, s.loop("d").reading(s.nestedEvents())),
			bars:  []bar{atMost(0.9)},
			check: func(ctx context.Context) error { return s.sameOutput(ctx, d, s.loop("d"), s.nestedEvents()) },
		},
		{
			name: "small batches", against: "batches of 512",
			product: always(s.events, s.millstream("a", "IN_FLIGHT=256").reading(s.flatEvents())),
			other:   always(s.events, a.reading(s.flatEvents())),
			bars:    []bar{atMost(2)},
		},
		s.nodes("20 nodes", "body.speed < 1000", 20, 0.03),
		s.nodes("20 nodes that calculate", "body.speed * 2 < 1000", 20, 0.2),
		s.nodes("50 nodes", "body.speed < 1000", 50, 0.03),
		{
			name: "growth", against: fmt.Sprintf("b, 1/%d of the messages", s.growth/growthFrom),
			product: always(s.growth, s.millstream("b", count(s.growth))),
			other:   always(growthFrom, s.millstream("b", count(growthFrom))),
			bars:    []bar{atMost(1.1)},
		},
	}
}

// growthFrom is how many messages the growing case begins with.
const growthFrom = 100_000

// nodes compares n filters that keep everything with one.
func (s *suite) nodes(name, filter string, n int, most float64) *comparison {
	file := func(n int) string { return strings.ReplaceAll(name, " ", "-") + strconv.Itoa(n) }
	run := func(n int) program { return s.millstream(file(n)).reading(s.flatEvents()) }
	return &comparison{
		name: name, against: "1 node", product: always(s.events, run(n)), other: always(s.events, run(1)),
		bars: []bar{perNode(n-1, most)},
		check: func(ctx context.Context) error {
			for _, n := range []int{1, n} {
				if err := os.WriteFile(s.path(file(n)+".yaml"), []byte(chain(filter, n)), 0o600); err != nil {
					return err
				}
			}
			return s.ends(ctx, run(n), s.events, "delivered")
		},
	}
}

func chain(filter string, n int) string {
	return "name: chain\nfrom:\n  stdin: {}\nsteps:\n" + strings.Repeat("  - filter: "+filter+"\n", n) + "to:\n  stdout: {}\n"
}

// sameOutput runs both once and compares what they write.
func (s *suite) sameOutput(ctx context.Context, product, other program, input string) error {
	var texts [2][]byte
	for i, p := range []program{product, other} {
		file := s.path("output-" + strconv.Itoa(i))
		if _, err := s.run(ctx, p.reading(input).writing(file)); err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
		texts[i] = text
	}
	if bytes.Equal(texts[0], texts[1]) && len(texts[0]) > 0 {
		return nil
	}
	return differs(texts[0], texts[1])
}

// differs says where two outputs part.
func differs(product, other []byte) error {
	ours, theirs := bytes.Split(product, []byte("\n")), bytes.Split(other, []byte("\n"))
	for i := range min(len(ours), len(theirs)) {
		if !bytes.Equal(ours[i], theirs[i]) {
			return fmt.Errorf("line %d is\n%s\nand the loop writes\n%s", i+1, ours[i], theirs[i])
		}
	}
	return fmt.Errorf("%d lines, and the loop writes %d", len(ours)-1, len(theirs)-1)
}

// ends runs the product once and looks in its summary for messages that all ended in one way.
func (s *suite) ends(ctx context.Context, p program, n int, how string) error {
	got, err := s.run(ctx, p)
	if err != nil {
		return err
	}
	in, all := fmt.Sprintf(": %d in, ", n), fmt.Sprintf(", %d %s", n, how)
	if !strings.Contains(got.stderr, in) || !strings.Contains(got.stderr, all) {
		return fmt.Errorf("the summary lacks %q or %q:\n%s", in, all, got.stderr)
	}
	return nil
}
