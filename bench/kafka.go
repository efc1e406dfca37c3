package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = 8
	// slow is the speed, in tenths, up to which the case filters events.
	slow = 200
	// stockShare is which part of the records the stock watermill router gets.
	stockShare = 10
	// driverMessages are what a pipeline with the stock driver gets.
	driverMessages = 10_000
	// slowest is how long a run with a broker may take.
	slowest = 5 * time.Minute
	// look is how often it is looked whether all has arrived.
	look = 20 * time.Millisecond
)

// unique names topics and queues that no other run has.
func unique(name string) string {
	return fmt.Sprintf("millstream-bench-%d-%s", os.Getpid(), name)
}

// kafka is the case with a Kafka broker, when there is one.
func (s *suite) kafka() []*comparison {
	address := os.Getenv("MILLSTREAM_KAFKA")
	if address == "" {
		return nil
	}
	k := &kafkaCase{suite: s, brokers: strings.Split(address, ",")}
	product := func(group, from, alerts, others string) program {
		return s.millstream("kafka", "GROUP="+group, "FROM="+from, "ALERTS="+alerts, "OTHERS="+others)
	}
	loop := func(name string) func(group, from, alerts, others string) program {
		return func(group, from, alerts, others string) program { return s.loop(name, group, from, alerts, others) }
	}
	driver := func(group, from, alerts, others string) program {
		return product(group, from, alerts, others).with("DRIVER=watermill")
	}
	all, part := &kafkaInput{records: s.kafkaRecords}, &kafkaInput{records: s.kafkaRecords / stockShare}
	few := &kafkaInput{records: driverMessages}
	return []*comparison{
		{
			name: "kafka", against: "franz-go loop", byRate: true, bars: []bar{atLeast(0.9)}, check: k.load(all),
			done:    k.discard(all),
			product: k.contender("product", all, product), other: k.contender("loop", all, loop("kafka")),
		},
		{
			name: "kafka and stock watermill", against: "stock watermill-kafka", byRate: true, check: k.load(all, part),
			done:    k.discard(all, part),
			product: k.contender("product", all, product), other: k.contender("stock", part, loop("watermill-kafka")),
		},
		{
			name: "kafka by the stock driver", against: "the driver native", byRate: true, check: k.load(few, all), done: k.discard(few, all),
			product: k.contender("driver", few, driver), other: k.contender("native", all, product),
		},
	}
}

// kafkaInput is a topic that is filled once for a case and read by each run.
type kafkaInput struct {
	topic          string
	records        int
	alerts, others int64 // how many come out
}

type kafkaCase struct {
	*suite
	brokers []string
}

func (k *kafkaCase) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(k.brokers...))...)
}

// admin lends an administrator.
func (k *kafkaCase) admin(f func(*kadm.Client) error) error {
	c, err := k.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return f(kadm.NewClient(c))
}

func (k *kafkaCase) create(ctx context.Context, topics ...string) error {
	return k.admin(func(a *kadm.Client) error {
		made, err := a.CreateTopics(ctx, partitions, -1, nil, topics...)
		if err = errors.Join(err, made.Error()); err != nil {
			return err
		}
		return untilKnown(ctx, a, topics...)
	})
}

// untilKnown waits until the brokers know of topics that were just made.
func untilKnown(ctx context.Context, a *kadm.Client, topics ...string) error {
	for {
		offsets, err := a.ListEndOffsets(ctx, topics...)
		if err = errors.Join(err, offsets.Error()); err == nil || !kerr.IsRetriable(offsets.Error()) {
			return err
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// load fills topics before the first run.
func (k *kafkaCase) load(inputs ...*kafkaInput) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		for _, in := range inputs {
			if err := k.fill(ctx, in); err != nil {
				return err
			}
		}
		return nil
	}
}

// discard deletes topics after the last run.
func (k *kafkaCase) discard(inputs ...*kafkaInput) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		return k.admin(func(a *kadm.Client) error {
			for _, in := range inputs {
				deleted, err := a.DeleteTopics(ctx, in.topic)
				if err := errors.Join(err, deleted.Error()); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (k *kafkaCase) fill(ctx context.Context, in *kafkaInput) error {
	in.topic, in.alerts, in.others = unique(fmt.Sprintf("in-%d-%d", in.records, time.Now().UnixMilli())), 0, 0
	if err := k.create(ctx, in.topic); err != nil {
		return err
	}
	c, err := k.client(kgo.DefaultProduceTopic(in.topic))
	if err != nil {
		return err
	}
	defer c.Close()
	made := newEvents()
	var failed error
	for range in.records {
		e := made.flat()
		switch {
		case e.speed <= slow:
		case e.kind == "alert":
			in.alerts++
		default:
			in.others++
		}
		c.Produce(ctx, &kgo.Record{Key: []byte(e.device), Value: []byte(e.json)}, func(_ *kgo.Record, err error) {
			failed = errors.Join(failed, err) // callbacks come one after another
		})
	}
	return errors.Join(c.Flush(ctx), failed)
}

// contender makes runs that have a group and topics of their own.
func (k *kafkaCase) contender(name string, in *kafkaInput, start func(group, from, alerts, others string) program) contender {
	return contender{messages: in.records, program: func(run int) program {
		id := unique(fmt.Sprintf("%s-%d-%d", name, run, time.Now().UnixMilli()))
		alerts, others := id+"-alerts", id+"-others"
		p := start(id, in.topic, alerts, others)
		p.before = func(ctx context.Context) error { return k.create(ctx, alerts, others) }
		p.arrived = func(ctx context.Context) (rate float64, err error) {
			err = k.admin(func(a *kadm.Client) error {
				rate, err = arrival(ctx, in.alerts+in.others, func() (int64, error) { return ends(ctx, a, alerts, others) })
				if err != nil {
					return err
				}
				return k.sorted(ctx, a, in, alerts, others)
			})
			// The rate counts what goes in: some of it is filtered.
			return rate * float64(in.records) / float64(in.alerts+in.others), err
		}
		p.after = func(ctx context.Context) error {
			return k.admin(func(a *kadm.Client) error {
				deleted, err := a.DeleteTopics(ctx, alerts, others)
				return errors.Join(err, deleted.Error())
			})
		}
		return p
	}}
}

// sorted checks that each topic has got its own.
func (k *kafkaCase) sorted(ctx context.Context, a *kadm.Client, in *kafkaInput, alerts, others string) error {
	for topic, want := range map[string]int64{alerts: in.alerts, others: in.others} {
		got, err := ends(ctx, a, topic)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s has %d records, not %d", topic, got, want)
		}
	}
	return nil
}

// ends counts the records of topics that nothing was deleted from.
func ends(ctx context.Context, a *kadm.Client, topics ...string) (n int64, err error) {
	offsets, err := a.ListEndOffsets(ctx, topics...)
	offsets.Each(func(o kadm.ListedOffset) {
		switch {
		case o.Err == nil:
			n += o.Offset
		case !kerr.IsRetriable(o.Err): // a topic that was just made is not known everywhere at once
			err = errors.Join(err, o.Err)
		}
	})
	return n, err
}

// arrival waits until n messages have arrived, and gives the rate from the first ones to the last: without what it takes to connect.
func arrival(ctx context.Context, n int64, count func() (int64, error)) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	var first int64
	var began time.Time
	for {
		got, err := count()
		if err != nil {
			return 0, err
		}
		now := time.Now()
		switch {
		case got > n:
			return 0, fmt.Errorf("%d messages arrived, of %d", got, n)
		case got == n && first < n && first > 0:
			return float64(n-first) / now.Sub(began).Seconds(), nil
		case got == n:
			return 0, fmt.Errorf("all %d messages arrived between two looks: too few to measure", n)
		case first == 0 && got > 0:
			first, began = got, now
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d messages arrived before the program or its time ended", got, n)
		}
	}
}
