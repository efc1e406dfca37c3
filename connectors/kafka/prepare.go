package kafka

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
)

// preparer renders the topic, the key, the partition and the headers of a record.
type preparer struct {
	topic     *expression.Template
	constant  string // the topic, when it is one
	allow     []string
	key       *expression.Program
	partition *expression.Program
	name      string // of the sink
	events    string // how CloudEvents are written; empty: the body is nothing special
	// verdicts are set where the sink writes in transactions.
	verdicts *verdicts
}

// prepared is what Prepare found beyond topic, key and payload. Records that have nothing of it carry none.
type prepared struct {
	headers   []kgo.RecordHeader
	partition int32 // anyPartition, or what the file says
	// suspect: the broker refused a batch that the record was in.
	suspect bool
	// id names the message to verdicts.
	id string
}

// anyPartition leaves the choice to the partitioner.
const anyPartition int32 = -1

func (c *Sink) preparer(b *config.Builder) *preparer {
	p := &preparer{
		topic: b.Template(c.Topic), allow: c.Allow, key: b.Expression(c.Key, expression.WantAny),
		partition: b.Expression(c.Partition, expression.WantAny), name: b.Name, events: c.CloudEvents,
	}
	if b.ExactlyOnce {
		p.verdicts = newVerdicts()
	}
	p.checkConstants(b)
	transport.CheckSecret(b, &c.Topic.Text)
	if p.topic == nil {
		return p
	}
	name, constant := p.topic.Constant()
	switch {
	case constant && c.Topic.Text.Undefined:
	case constant && !c.Topic.Text.Replaced && transport.LooksLikePath(name):
		transport.FindingWithCode(b, diag.ExpressionInLiteral, "topic", fmt.Sprintf("%q is a literal and reads like a path of the message", name),
			fmt.Sprintf(`write topic: "name-{{ %s }}"`, name))
	case constant:
		p.constant = name
		if err := checkTopic(name); err != nil {
			transport.FindingWithCode(b, diag.BadName, "topic", err.Error(), topicHint)
		}
	case p.topic.Prefix() == "" && len(p.allow) == 0:
		transport.FindingWithCode(b, diag.OpenDestination, "topic", "the message alone decides which topic it goes to",
			"begin with literal text, or write allow: [globs of the topics it may go to]")
	}
	return p
}

// checkConstants finds keys and partitions that no message could be sent with.
func (p *preparer) checkConstants(b *config.Builder) {
	if p.key != nil {
		if v, ok := p.key.Constant(); ok {
			if _, err := keyBytes(v); err != nil {
				transport.FindingWithCode(b, diag.TypeMismatch, "key", err.Error(), "write string(…) around it")
			}
		}
	}
	if p.partition != nil {
		if v, ok := p.partition.Constant(); ok && !isPartition(v) {
			transport.FindingWithCode(b, diag.TypeMismatch, "partition", "partition must be a whole number from 0, not "+show(v), "")
		}
	}
}

func isPartition(v value.Value) bool {
	return v.Kind() == value.KindInt && v.Int() >= 0 && v.Int() <= math.MaxInt32
}

// Prepare implements flow.Preparer.
func (p *preparer) Prepare(m *flow.Message, o *flow.Outgoing) error {
	o.Dest = p.constant
	if p.constant == "" {
		name, err := p.destination(m)
		if err != nil {
			return err
		}
		o.Dest = name
	}
	if p.key != nil {
		v, err := p.key.Eval(m)
		if err != nil {
			return err
		}
		if o.Key, err = keyBytes(v); err != nil {
			return err
		}
	}
	extra := prepared{partition: anyPartition}
	if p.partition != nil {
		if err := p.choose(m, &extra); err != nil {
			return err
		}
	}
	left, err := transport.Lifetime(m, o)
	if err != nil {
		return err
	}
	if m.Connector() != "kafka" {
		if err := transport.CheckHeaders(o.Headers()); err != nil {
			return err
		}
	}
	if extra.headers, err = p.headersOf(m, o, left); err != nil {
		return err
	}
	if p.events != "" {
		if extra.headers, err = asCloudEvent(p.events, o, extra.headers); err != nil {
			return err
		}
	}
	if p.verdicts != nil {
		extra.id = m.ID()
		if extra.suspect, err = p.verdicts.of(extra.id); err != nil {
			return err
		}
	}
	if extra.headers != nil || extra.partition != anyPartition || extra.id != "" {
		o.Native = &extra
	}
	return nil
}

// choose evaluates the partition.
func (p *preparer) choose(m *flow.Message, extra *prepared) error {
	v, err := p.partition.Eval(m)
	if err != nil {
		return err
	}
	if !isPartition(v) {
		return flow.Errorf(flow.Permanent, flow.CodeExpression, "partition must be a whole number from 0, not %s", show(v))
	}
	extra.partition = int32(v.Int())
	return nil
}

func (p *preparer) destination(m *flow.Message) (string, error) {
	if p.topic == nil {
		return "", flow.Errorf(flow.ConfigError, flow.CodeMissing, "no topic")
	}
	var room [64]byte
	b, err := p.topic.Render(m, room[:0])
	if err != nil {
		return "", err
	}
	name := string(b)
	if err := checkTopic(name); err != nil {
		return "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "%w", err)
	}
	if len(p.allow) > 0 && !transport.Matches(p.allow, name) {
		return "", flow.Errorf(flow.Permanent, flow.CodeInvalidName, "the topic %q matches none of allow: %s", name, strings.Join(p.allow, ", "))
	}
	return name, nil
}

// keyBytes is a key as it is written; nil is none.
func keyBytes(v value.Value) ([]byte, error) {
	switch v.Kind() {
	case value.KindNil:
		return nil, nil
	case value.KindString:
		return append(make([]byte, 0, len(v.Str())), v.Str()...), nil
	case value.KindBytes:
		return append(make([]byte, 0, len(v.BytesValue())), v.BytesValue()...), nil
	case value.KindInt:
		return strconv.AppendInt(nil, v.Int(), 10), nil
	case value.KindBool:
		return strconv.AppendBool(nil, v.Bool()), nil
	default:
	}
	return nil, flow.Errorf(flow.Permanent, flow.CodeExpression, "a key is text, bytes, an int, a bool or nil, not %s", show(v))
}

func show(v value.Value) string { return flow.Header{Value: v}.Text() + " (" + v.Kind().String() + ")" }
