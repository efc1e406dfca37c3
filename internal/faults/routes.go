package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// InFlight is the limit that the pipelines of all routes set, and with it the bound on repeats of one kill.
const InFlight = 1000

// Route is a way from an inlet to an outlet, through one pipeline or two.
type Route struct {
	Name string
	In   Inlet
	// Out gets the good messages, Dead those that no node can work on.
	Out, Dead Outlet
	// Finite tells that the process ends by itself when it has read everything.
	Finite bool
	// Once tells that nothing may come twice.
	Once bool
	// Throttle lets no more messages pass in a second, so that some are always waiting; 0 lets all.
	Throttle int

	between *Posts           // HTTP between two pipelines
	more    string           // further keys of the pipeline
	brokers map[string]*Link // to the brokers on the way
}

// Where says what a route may be made of.
type Where struct {
	// Dir is the directory in which the process runs.
	Dir string
	// Kafka and Rabbit are addresses of brokers.
	Kafka, Rabbit string
	// Run names topics and queues.
	Run string
	// Partitions is how many a topic has.
	Partitions int
	// Balance is how a group of Kafka shares them; empty is the default.
	Balance string
	// Proxied leads what pipelines say to brokers through proxies.
	Proxied bool
	// Session is how long a member of a group may be silent; empty is the default.
	Session string
}

// routes are the ways that there are; what each needs is opened when it is chosen.
var routes = map[string]func(ctx context.Context, w *Where, r *Route) error{
	"kafka-rabbitmq": func(ctx context.Context, w *Where, r *Route) error {
		return errors.Join(r.topicIn(ctx, w), r.queuesOut(ctx, w))
	},
	"rabbitmq-kafka": func(ctx context.Context, w *Where, r *Route) error {
		return errors.Join(r.queueIn(ctx, w), r.topicsOut(ctx, w))
	},
	"kafka-kafka": func(ctx context.Context, w *Where, r *Route) error {
		return errors.Join(r.topicIn(ctx, w), r.topicsOut(ctx, w))
	},
	"kafka-kafka-once": exactlyOnce,
	"file-file": func(_ context.Context, w *Where, r *Route) error {
		in := NewLines(w.Dir, "in.ndjson")
		in.Options = "resume: true"
		r.In, r.Finite = in, true
		return r.filesOut(w)
	},
	"follow-file": func(_ context.Context, w *Where, r *Route) error {
		r.In = NewLines(w.Dir, "in.ndjson")
		return r.filesOut(w)
	},
	"follow-http-file": func(ctx context.Context, w *Where, r *Route) (err error) {
		r.In = NewLines(w.Dir, "in.ndjson")
		if r.between, err = NewPosts(ctx); err != nil {
			return err
		}
		return r.filesOut(w)
	},
	"http-file": func(ctx context.Context, w *Where, r *Route) (err error) {
		if r.In, err = NewPosts(ctx); err != nil {
			return err
		}
		return r.filesOut(w)
	},
}

// Routes lists their names.
func Routes() []string { return slices.Sorted(maps.Keys(routes)) }

// OpenRoute opens a route by its name.
func OpenRoute(ctx context.Context, name string, w *Where) (*Route, error) {
	open, ok := routes[name]
	if !ok {
		return nil, fmt.Errorf("no route is named %q: there are %s", name, strings.Join(Routes(), ", "))
	}
	if strings.Contains(name, "kafka") && w.Kafka == "" {
		return nil, errors.New("the address of Kafka is missing")
	}
	if strings.Contains(name, "rabbitmq") && w.Rabbit == "" {
		return nil, errors.New("the address of RabbitMQ is missing")
	}
	if w.Partitions == 0 {
		w.Partitions = 4
	}
	r := &Route{Name: name, brokers: map[string]*Link{}}
	if err := open(ctx, w, r); err != nil {
		r.Close()
		return nil, fmt.Errorf("open route %s: %w", name, err)
	}
	return r, nil
}

func exactlyOnce(ctx context.Context, w *Where, r *Route) error {
	if err := errors.Join(r.topicIn(ctx, w), r.topicsOut(ctx, w)); err != nil {
		return err
	}
	r.Once = true
	for _, end := range []any{r.In, r.Out, r.Dead} {
		t, _ := end.(*Topic)
		r.more = fmt.Sprintf("delivery: exactly_once\nconnections:\n  main: { kafka: { brokers: [%q] } }\n", t.Via)
		t.Use = "main"
	}
	return nil
}

func (r *Route) topic(ctx context.Context, w *Where, name string) (*Topic, error) {
	t, err := NewTopic(ctx, w.Kafka, name, w.Partitions)
	if err != nil {
		return nil, err
	}
	if w.Proxied {
		t.Via, err = r.link(ctx, Kafka, w.Kafka, w.Kafka)
	}
	return t, err
}

func (r *Route) topicIn(ctx context.Context, w *Where) error {
	t, err := r.topic(ctx, w, w.Run)
	if err != nil {
		return err
	}
	if w.Balance != "" {
		t.Options += ", balance: " + w.Balance
	}
	if w.Session != "" {
		t.Options += ", session_timeout: " + w.Session
	}
	r.In = t
	return nil
}

func (r *Route) topicsOut(ctx context.Context, w *Where) error {
	out, err := r.topic(ctx, w, w.Run+".out")
	if err != nil {
		return err
	}
	r.Out = out
	dead, err := r.topic(ctx, w, w.Run+".dead")
	if err == nil {
		r.Dead = dead
	}
	return err
}

func (r *Route) queue(ctx context.Context, w *Where, name string) (*Queue, error) {
	q, err := NewQueue(w.Rabbit, name)
	if err != nil {
		return nil, err
	}
	if w.Proxied {
		host := hostOf(w.Rabbit)
		var via string
		via, err = r.link(ctx, Rabbit, host, "")
		q.Via = strings.Replace(w.Rabbit, host, via, 1)
	}
	return q, err
}

func (r *Route) queueIn(ctx context.Context, w *Where) error {
	q, err := r.queue(ctx, w, w.Run)
	if err == nil {
		r.In = q
	}
	return err
}

func (r *Route) queuesOut(ctx context.Context, w *Where) error {
	out, err := r.queue(ctx, w, w.Run+".out")
	if err != nil {
		return err
	}
	r.Out = out
	dead, err := r.queue(ctx, w, w.Run+".dead")
	if err == nil {
		r.Dead = dead
	}
	return err
}

func (r *Route) filesOut(w *Where) error {
	r.Out, r.Dead = NewLines(w.Dir, "out.ndjson"), NewLines(w.Dir, "dead.ndjson")
	return nil
}

// work lets good messages pass and fails at bad ones.
const work = `  - filter: '!(body.bad ?? false) || int(body.pad) > 0'
`

// Write writes the pipelines into a directory and returns their files.
func (r *Route) Write(dir string) ([]string, error) {
	from, files := r.In.Source(), map[string]string{}
	if r.between != nil {
		files["first.yaml"] = fmt.Sprintf("name: faults-first\nlimits: { in_flight: %d }\nfrom: %s\nto: %s\n", InFlight, from, r.between.Sink())
		from = r.between.Source()
	}
	steps := work
	if r.Throttle > 0 {
		steps += fmt.Sprintf("  - throttle: { rate: %d/s }\n", r.Throttle)
	}
	files["pipeline.yaml"] = fmt.Sprintf("name: faults\nlimits: { in_flight: %d }\n%sfrom: %s\nsteps:\n%sto: %s\nsinks:\n  dead: %s\non_error: { then: dead }\n",
		InFlight, r.more, from, steps, r.Out.Sink(), r.Dead.Sink())
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// Close ends what the route has opened.
func (r *Route) Close() {
	if r.In != nil {
		r.In.Close()
	}
	if r.between != nil {
		r.between.Close()
	}
	for _, out := range []Outlet{r.Out, r.Dead} {
		if out != nil {
			out.Close()
		}
	}
	for _, l := range r.brokers {
		l.Close()
	}
}
