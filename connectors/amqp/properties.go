package amqp

import (
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// Properties are basic properties of AMQP 0-9-1 (section 4.2.6.1), each a template. One that renders as an empty text is left out.
type Properties struct {
	// ContentType is the media type of the payload.
	ContentType config.Template `yaml:"content_type"`
	// ContentEncoding is how the payload is packed, such as gzip.
	ContentEncoding config.Template `yaml:"content_encoding"`
	// MessageID is an id that consumers can tell copies by.
	MessageID config.Template `yaml:"message_id"`
	// CorrelationID says which request this answers.
	CorrelationID config.Template `yaml:"correlation_id"`
	// ReplyTo is the name of a queue.
	ReplyTo config.Template `yaml:"reply_to"`
	// Type is what kind of message this is.
	Type config.Template `yaml:"type"`
	// AppID names the application that publishes.
	AppID config.Template `yaml:"app_id"`
	// Priority is a number from 0 to 255; queues without x-max-priority ignore it.
	Priority config.Template `yaml:"priority"`
	// Expiration is how long a queue keeps the message, in milliseconds or as a duration such as 30s.
	Expiration config.Template `yaml:"expiration"`
}

// property is one basic property that the file gives.
type property struct {
	name     string
	template *expression.Template
	set      func(msg *amqp.Publishing, text string) bool
	want     string
}

// compile makes the properties that are written; nil has none.
func (c *Properties) compile(b *config.Builder) []property {
	if c == nil {
		return nil
	}
	text := func(to func(msg *amqp.Publishing) *string) func(*amqp.Publishing, string) bool {
		return func(msg *amqp.Publishing, text string) bool {
			*to(msg) = text
			return len(text) <= maxShort
		}
	}
	const short = "at most 255 bytes"
	all := []struct {
		field *config.Template
		property
	}{
		{&c.ContentType, property{"content_type", nil, text(func(m *amqp.Publishing) *string { return &m.ContentType }), short}},
		{&c.ContentEncoding, property{"content_encoding", nil, text(func(m *amqp.Publishing) *string { return &m.ContentEncoding }), short}},
		{&c.MessageID, property{"message_id", nil, text(func(m *amqp.Publishing) *string { return &m.MessageId }), short}},
		{&c.CorrelationID, property{"correlation_id", nil, text(func(m *amqp.Publishing) *string { return &m.CorrelationId }), short}},
		{&c.ReplyTo, property{"reply_to", nil, text(func(m *amqp.Publishing) *string { return &m.ReplyTo }), short}},
		{&c.Type, property{"type", nil, text(func(m *amqp.Publishing) *string { return &m.Type }), short}},
		{&c.AppID, property{"app_id", nil, text(func(m *amqp.Publishing) *string { return &m.AppId }), short}},
		{&c.Priority, property{"priority", nil, setPriority, "a number from 0 to 255"}},
		{&c.Expiration, property{"expiration", nil, setExpiration, "milliseconds or a duration such as 30s"}},
	}
	var written []property
	for _, p := range all {
		transport.CheckSecret(b, &p.field.Text)
		if p.template = b.Template(*p.field); p.template == nil {
			continue
		}
		text, constant := p.template.Constant()
		if constant && !p.field.Text.Undefined && text != "" && !p.set(&amqp.Publishing{}, text) {
			transport.Finding(b, "properties", p.name+" must be "+p.want, "")
		}
		written = append(written, p.property)
	}
	return written
}

func setPriority(msg *amqp.Publishing, text string) bool {
	n, err := strconv.ParseUint(text, 10, 8)
	msg.Priority = uint8(n)
	return err == nil
}

func setExpiration(msg *amqp.Publishing, text string) bool {
	if ms, err := strconv.ParseUint(text, 10, 32); err == nil {
		msg.Expiration = strconv.FormatUint(ms, 10)
		return true
	}
	d, err := time.ParseDuration(text)
	msg.Expiration = strconv.FormatInt((d + time.Millisecond - 1).Milliseconds(), 10)
	return err == nil && d >= 0
}

// override sets what the file gives instead of what the message brought along.
func (p *preparer) override(m *flow.Message, msg *amqp.Publishing) error {
	var room [64]byte
	for i := range p.overrides {
		o := &p.overrides[i]
		b, err := o.template.Render(m, room[:0])
		if err != nil {
			return err
		}
		if len(b) > 0 && !o.set(msg, string(b)) {
			return flow.Errorf(flow.Permanent, flow.CodeEncode, "%s must be %s, not %.40q", o.name, o.want, b)
		}
	}
	return nil
}
