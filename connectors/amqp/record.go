package amqp

import (
	"math"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// fillRecord makes a record of a delivery. What is no other part of the record stays a header.
func fillRecord(r *flow.Record, d *amqp.Delivery, queue string) {
	got := receive(d.Headers)
	*r = flow.Record{
		Body: d.Body, Key: got.key(), Props: propertiesOf(d, got), Topic: queue, ID: idOf(d),
		Time: timeOf(d), Offset: int64(min(d.DeliveryTag, math.MaxInt64)), Partition: flow.NoPartition,
		Attempt: attemptOf(d), Tag: d.DeliveryTag, Redelivered: d.Redelivered,
	}
	if got.tombstone(d.Body) {
		r.Body = nil
	}
	r.Headers = got.headers()
}

// idOf is the id that the producer gave the message; programs with the stock watermill-amqp have a header for it.
func idOf(d *amqp.Delivery) string {
	if d.MessageId != "" {
		return d.MessageId
	}
	id, _ := d.Headers[watermill.UUIDHeader].(string)
	return id
}

// address is what of a message only this connector looks at: where it was published to, and whether its correlation id came as base64.
type address struct {
	exchange, routingKey string
	encodedID            bool
}

// extra are the entries of `source` in expressions: exchange and routing_key, where the message was published to, and the properties that
// it has.
func extra(r *flow.Record) map[string]any {
	if r.Props == nil {
		return nil
	}
	a, ok := r.Props.Native.(*address)
	if !ok {
		return nil
	}
	p := r.Props
	all := map[string]any{"exchange": a.exchange, "routing_key": a.routingKey, "persistent": p.Durable}
	for name, text := range map[string]string{
		"content_type": p.ContentType, "content_encoding": p.ContentEncoding, "message_id": p.MessageID, "type": p.Type, "app_id": p.AppID,
		"user_id": p.UserID, "reply_to": p.ReplyTo,
	} {
		if text != "" {
			all[name] = text
		}
	}
	if !p.CorrelationID.IsNil() {
		all["correlation_id"] = p.CorrelationID.Box()
	}
	if p.HasPriority {
		all["priority"] = int(p.Priority)
	}
	if p.TTL > 0 {
		all["expiration"] = int(p.TTL.Milliseconds())
	}
	return all
}

// attemptOf counts deliveries from 1. A quorum queue counts those before; a classic queue only says that there were some.
func attemptOf(d *amqp.Delivery) int32 {
	switch n := plain(d.Headers[countHeader]).(type) {
	case int:
		if n >= 0 && n < math.MaxInt32 {
			return int32(n) + 1
		}
	}
	if d.Redelivered {
		return 2
	}
	return 1
}

func timeOf(d *amqp.Delivery) int64 {
	ms, ok := plain(d.Headers[millisHeader]).(int)
	if text, isText := d.Headers[millisHeader].(string); isText {
		n, err := strconv.Atoi(text)
		ms, ok = n, err == nil
	}
	if ok && ms > 0 && ms < math.MaxInt64/1_000_000 {
		return int64(ms) * 1_000_000
	}
	if d.Timestamp.Unix() > 0 && d.Timestamp.Unix() < math.MaxInt64/1_000_000_000 {
		return d.Timestamp.UnixNano()
	}
	return 0
}

func propertiesOf(d *amqp.Delivery, got *received) *flow.Properties {
	native := &address{exchange: d.Exchange, routingKey: d.RoutingKey}
	p := &flow.Properties{
		ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, MessageID: d.MessageId, Type: d.Type, AppID: d.AppId,
		UserID: d.UserId, ReplyTo: d.ReplyTo, Priority: d.Priority, HasPriority: d.Priority > 0, Durable: d.DeliveryMode == amqp.Persistent,
		Native: native,
	}
	if d.CorrelationId != "" {
		p.CorrelationID = textOf(d.CorrelationId)
		if id, ok := got.decode(correlationPart, d.CorrelationId); ok {
			p.CorrelationID, native.encodedID = value.Bytes(id), true
		}
	}
	if d.ReplyTo != "" {
		p.ReplyToKind = "queue"
	}
	if ms, err := strconv.ParseInt(d.Expiration, 10, 64); err == nil && ms > 0 && ms < math.MaxInt64/int64(time.Millisecond) {
		p.TTL = time.Duration(ms) * time.Millisecond
	}
	return p
}

// preparer renders exchange, routing key, properties and headers of a message.
type preparer struct {
	exchange, routingKey rendered
	allow                []string
	mandatory            bool
	users                []string
	overrides            []property
	name                 string // of the sink
}

// publishing is a message as it is published; o.Native of what Prepare has seen, but for the payload, which moves.
type publishing struct {
	exchange  string
	mandatory bool
	message   amqp.Publishing
	header    int // about how many bytes the content header takes
}

// maxHeader is the largest content header: it has to fit into one frame (AMQP 0-9-1 section 4.2.6.1), and a broker closes the
// connection over one that does not. RabbitMQ's frames have 131,072 bytes unless it is told otherwise.
const maxHeader = 131072 - 64

// identify gives the message an id that tells it from all others, where it has none of its own: what split made has none, and a message of
// another technology may have none.
func (p *preparer) identify(msg *amqp.Publishing, m *flow.Message, own bool, add func(name string, v any)) {
	if transport.DerivedID(m, p.name) != "" {
		msg.MessageId = "" // the whole record's
	}
	id := transport.DeduplicationID(m, p.name, !own)
	_, carried := msg.Headers[transport.IDHeader]
	switch {
	case id == "":
	case msg.MessageId == "":
		msg.MessageId = id
		delete(msg.Headers, transport.IDHeader)
	case carried:
		add(transport.IDHeader, id)
	}
}

// Prepare implements flow.Preparer.
func (p *preparer) Prepare(m *flow.Message, o *flow.Outgoing) (err error) {
	pub := &publishing{mandatory: p.mandatory}
	if pub.exchange, err = p.exchange.render(m, p.allowFor(&p.exchange)); err != nil {
		return err
	}
	if o.Dest, err = p.routingKey.render(m, p.allowFor(&p.routingKey)); err != nil {
		return err
	}
	msg := &pub.message
	msg.DeliveryMode = amqp.Persistent
	own := m.Connector() == "amqp"
	brought, table, err := p.headers(m, o, msg)
	if err != nil {
		return err
	}
	add := func(name string, v any) {
		if msg.Headers == nil {
			msg.Headers = amqp.Table{}
		}
		if table.text {
			v = headerOf(name, v).Text()
		}
		msg.Headers[name] = v
	}
	markEncoded(msg, add, table.encoded...)
	if o.Key != nil {
		add(keyHeader, keyField(o.Key))
	}
	if o.Body == nil {
		add(tombstoneHeader, true)
	}
	if t := o.Time(); t.Unix() > 0 && !(own && untold(o)) {
		msg.Timestamp = t
		if ms := t.UnixMilli(); ms%1000 != 0 || hasHeader(o.Headers(), millisHeader) {
			add(millisHeader, ms)
		}
	}
	if props := o.Props(); props != nil {
		p.properties(msg, props, own, add)
		if own && !props.Durable {
			msg.DeliveryMode = amqp.Transient
		}
	}
	brought.apply(msg, add)
	p.identify(msg, m, own, add)
	p.tellAddress(msg, m, add)
	if err := p.expire(m, o, msg, brought); err != nil {
		return err
	}
	if err := p.override(m, msg); err != nil {
		return err
	}
	if err := checkShort(msg); err != nil {
		return err
	}
	pub.header = tableSize(msg.Headers) + 14 + 8*(maxShort+1)
	if size := tableSize(msg.Headers); pub.header > maxHeader {
		return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "the headers take %d bytes; they have to fit into one frame of the broker", size)
	}
	o.Native = pub
	return nil
}

// headers makes the table, but for what the message brought along of properties. Programs with the stock watermill-amqp see headers alone,
// and refuse messages with one that is no text, so that a message of theirs keeps its headers and gets no such header from us.
func (p *preparer) headers(m *flow.Message, o *flow.Outgoing, msg *amqp.Publishing) (brought *carried, table *tableMaker, err error) {
	brought = &carried{}
	own, theirs := m.Connector() == "amqp", hasHeader(o.Headers(), watermill.UUIDHeader)
	if !own {
		if err := transport.CheckHeaders(o.Headers()); err != nil {
			return nil, nil, err
		}
		brought = p.carriedBy(o.Headers(), !transport.IsLetter(o))
		if theirs {
			brought.taken = nil
		}
	}
	table = &tableMaker{untyped: m.Connector() == "kafka", text: theirs, skip: func(name string) bool {
		return routed(name) || name == millisHeader || !own && (transport.Foreign(name) || brought.taken[name])
	}}
	if own {
		table.text = false // as they came
	}
	msg.Headers, err = table.table(o.Headers())
	table.text = theirs
	return brought, table, err
}

// untold tells whether the time of a message is only when it arrived.
func untold(o *flow.Outgoing) bool { return o.Record.Time == 0 && o.Time().Equal(o.Arrived()) }

// tellAddress adds where a message was published to that goes to the same place as all others, unless that is the very place.
func (p *preparer) tellAddress(msg *amqp.Publishing, m *flow.Message, add func(name string, v any)) {
	if !p.exchange.fixed() || !p.routingKey.fixed() {
		return
	}
	if _, ok := msg.Headers[transport.AddressHeader]; ok {
		return
	}
	from := transport.SourceAddress(m)
	if from == "" || m.Connector() == "amqp" && from == transport.Address(p.exchange.constant, p.routingKey.constant) {
		return
	}
	add(transport.AddressHeader, from)
}

// expire sets what is left of the message's lifetime.
func (p *preparer) expire(m *flow.Message, o *flow.Outgoing, msg *amqp.Publishing, brought *carried) error {
	left, err := transport.Lifetime(m, o)
	if err == nil && left == 0 {
		left, err = brought.left(m.Now())
	}
	if left > 0 {
		msg.Expiration = strconv.FormatInt((left + time.Millisecond - 1).Milliseconds(), 10)
	}
	return err
}

func hasHeader(hs []flow.Header, name string) bool {
	for _, h := range hs {
		if h.Name == name {
			return true
		}
	}
	return false
}

// allowFor is the allow list where it is about that name: the exchange when it is made of the message, else the routing key.
func (p *preparer) allowFor(r *rendered) []string {
	if r == &p.exchange || p.exchange.template == nil || p.exchange.isConstant {
		return p.allow
	}
	return nil
}

// properties fills in what the message had. What AMQP would refuse becomes a header.
func (p *preparer) properties(msg *amqp.Publishing, props *flow.Properties, own bool, add func(name string, v any)) {
	msg.ContentType, msg.ContentEncoding, msg.MessageId = props.ContentType, props.ContentEncoding, props.MessageID
	msg.Type, msg.AppId = props.Type, props.AppID
	if props.HasPriority {
		msg.Priority = props.Priority
	}
	if !props.CorrelationID.IsNil() {
		native, _ := props.Native.(*address)
		asItIs := own && (native == nil || !native.encodedID)
		correlate(msg, []byte(flow.Header{Value: props.CorrelationID}.Text()), asItIs, add)
	}
	switch {
	case props.ReplyTo == "":
	case props.ReplyToKind == "queue" && len(props.ReplyTo) <= maxShort:
		msg.ReplyTo = props.ReplyTo
	default:
		add(replyHeader, props.ReplyTo)
	}
	if props.UserID != "" {
		if p.onlyUser(props.UserID) {
			msg.UserId = props.UserID
		} else {
			add(userHeader, props.UserID)
		}
	}
}

// onlyUser tells whether the broker will take that user_id on every connection.
func (p *preparer) onlyUser(name string) bool {
	for _, u := range p.users {
		if u != name {
			return false
		}
	}
	return len(p.users) > 0
}

func checkShort(msg *amqp.Publishing) error {
	for _, f := range [...]struct{ name, text string }{
		{"content_type", msg.ContentType}, {"content_encoding", msg.ContentEncoding}, {"message_id", msg.MessageId}, {"type", msg.Type},
		{"app_id", msg.AppId},
	} {
		if len(f.text) > maxShort {
			return flow.Errorf(flow.Permanent, flow.CodeTooLarge, "%s has %d bytes, the most is %d", f.name, len(f.text), maxShort)
		}
	}
	return nil
}

// fixed tells whether the name is the same for all messages.
func (r *rendered) fixed() bool { return r.template == nil || r.isConstant }
