// Command faults proves what only shows when processes, brokers and networks fail: it runs millstream, breaks something, and prints as
// JSON what became of the messages. It is a test kit and no part of the product. docs/reliability.md says how to use it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/millstream/millstream/internal/faults"
)

// options are what all commands take.
type options struct {
	setup   faults.Setup
	n       int
	place   string
	quiet   bool
	broker  string
	event   string
	span    time.Duration
	every   time.Duration
	session string
	script  string
	name    string
	change  string
}

// commands are what there is, in the order of the help.
var commands = []struct {
	name, about string
	run         func(ctx context.Context, o *options) ([]outcome, error)
}{
	{"kill", "kill -9 the engine -n times at a -place of a -route", kill},
	{"broker", "kill or freeze the brokers of a -route -n times", outages},
	{"proxy", "make the network before the brokers of a -route bad -n times", weather},
	{"rebalance", "let members of a group of three come, leave and be killed -n times", rebalance},
	{"reload", "kill -9 the engine -n times at a -place of a reload that changes the -change", reloads},
	{"storm", "reload -n times under load, files with mistakes among them", storm},
	{"follow", "kill -9 an engine that follows a file -n times, while the file is rotated", follow},
}

// outcome is what one scenario came to.
type outcome struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	Good     bool   `json:"good"`
	// Bound is how many repeats may be.
	Bound   int             `json:"repeats_allowed"`
	Verdict *faults.Verdict `json:"verdict,omitempty"`
	Error   string          `json:"error,omitempty"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "list" {
		list()
		return nil
	}
	if len(args) == 0 {
		usage()
		return errors.New("a command is missing")
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		o, err := parse(c.name, args[1:])
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "millstream-faults-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // what is left is the system's to clean
		if o.setup.Binary == "" {
			o.setup.Binary, err = faults.Binary(dir)
		}
		if err != nil {
			return err
		}
		outcomes, err := c.run(ctx, o)
		return errors.Join(report(outcomes), err)
	}
	usage()
	return fmt.Errorf("there is no command %q", args[0])
}

func parse(name string, args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&o.setup.Route, "route", "kafka-rabbitmq", strings.Join(faults.Routes(), ", "))
	f.StringVar(&o.setup.Binary, "binary", "", "millstream, built with -tags failpoints; empty: it is built")
	f.IntVar(&o.n, "n", 5, "how often")
	f.Uint64Var(&o.setup.Seed, "seed", uint64(time.Now().UnixNano()%1e9), "decides about times and places")
	f.IntVar(&o.setup.Rate, "rate", 2000, "messages a second")
	f.IntVar(&o.setup.Keys, "keys", 50, "how many keys they have")
	f.IntVar(&o.setup.Poison, "poison", 500, "one message in so many is bad and must become a dead letter; 0: none")
	f.DurationVar(&o.setup.Patience, "patience", 60*time.Second, "how long nothing may come while messages are missing")
	f.StringVar(&o.setup.Where.Kafka, "kafka", os.Getenv("MILLSTREAM_KAFKA"), "address of Kafka")
	f.StringVar(&o.setup.Where.Rabbit, "rabbitmq", os.Getenv("MILLSTREAM_RABBITMQ"), "URL of RabbitMQ")
	f.StringVar(&o.setup.Where.Balance, "balance", "", "how a group of Kafka shares partitions: cooperative, eager")
	f.StringVar(&o.place, "place", faults.Random, "kill, reload: a failpoint, random, or all")
	f.StringVar(&o.broker, "broker", "", "broker, proxy: kafka or rabbitmq; empty: both of the route, one after the other")
	f.StringVar(&o.event, "event", "all", "broker: kill, freeze; proxy: what the network does; or all")
	f.DurationVar(&o.span, "span", 60*time.Second, "broker: how long it is frozen")
	f.DurationVar(&o.every, "every", 5*time.Second, "rebalance: the pause between two changes")
	f.StringVar(&o.session, "session", "6s", "rebalance: session_timeout of the members")
	f.StringVar(&o.script, "brokers", "scripts/brokers", "broker: the script that starts and kills them")
	f.StringVar(&o.name, "instance", "", "broker: the instance that is killed; nobody else may use it")
	f.StringVar(&o.change, "change", "nodes", "reload: nodes, sink or source")
	f.BoolVar(&o.quiet, "quiet", false, "say nothing meanwhile")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if !o.quiet {
		o.setup.Say = func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
		}
	}
	return o, nil
}

// rig opens the route in a directory of its own.
func (o *options) rig(ctx context.Context) (*faults.Rig, func(), error) {
	dir, err := os.MkdirTemp("", "millstream-faults-")
	if err != nil {
		return nil, nil, err
	}
	s := o.setup
	s.Dir = dir
	rig, err := faults.NewRig(ctx, s)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return rig, func() { rig.Route.Close(); _ = os.RemoveAll(dir) }, nil
}

// scenario makes an outcome of a verdict.
func (o *options) scenario(name string, bound int, v *faults.Verdict, err error) outcome {
	v.Seed = o.setup.Seed
	out := outcome{Scenario: name, Seed: o.setup.Seed, Good: err == nil && v.Good(bound), Bound: bound, Verdict: v}
	if err != nil {
		out.Error = err.Error()
	}
	if line, err := json.Marshal(out); err == nil && !o.quiet {
		fmt.Fprintln(os.Stderr, string(line))
	}
	return out
}

// report prints the outcomes; the error says which are not good.
func report(outcomes []outcome) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", " ")
	var wrong []string
	for i := range outcomes {
		if err := enc.Encode(&outcomes[i]); err != nil {
			return err
		}
		if !outcomes[i].Good {
			wrong = append(wrong, outcomes[i].Scenario)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not good: %s", strings.Join(wrong, ", "))
	}
	return nil
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: faults COMMAND [flags]; -h after a command lists its flags")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", c.name, c.about)
	}
	fmt.Fprintln(os.Stderr, "  list       what routes, places and events there are")
}

func list() {
	fmt.Println("routes:", strings.Join(faults.Routes(), " "))
	fmt.Println("events of brokers:", faults.EventKill, faults.EventFreeze)
	fmt.Println("events of networks:", strings.Join(faults.NetEvents(), " "))
	fmt.Println("places:", strings.Join(slices.Concat(faults.Places(&faults.Route{In: &faults.Lines{}, Once: true}), faults.ReloadPlaces()), " "))
}
