package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	stock "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/connectors/watermill"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// The stock driver reads and writes through the module watermill-amqp, for teams whose other services do. Its settings are hardened: what is
// published is persistent and confirmed. That module does not look at returned messages, so that a sink with it has to say mandatory: false.

// checkDriver adds a finding about each option that the stock driver cannot obey.
func (c *Source) checkDriver(b *config.Builder) {
	if c.Driver != watermill.Driver {
		return
	}
	c.checkStock(b)
	watermill.Refuse(b, "on_drop", c.OnDrop == rejectDropped, "acknowledges what is dropped")
}

func (c *Sink) checkDriver(b *config.Builder) {
	if c.Driver != watermill.Driver {
		return
	}
	c.checkStock(b)
	watermill.Refuse(b, "confirm_timeout", c.ConfirmTimeout != defaultConfirmTimeout, "waits for a confirmation as long as the connection lasts")
	if c.Mandatory {
		transport.Finding(b, "driver", "driver: watermill cannot tell when no queue takes a message, which is then lost",
			"write mandatory: false to accept that, or leave driver out")
	}
}

func (c *Broker) checkStock(b *config.Builder) {
	watermill.Refuse(b, "urls", len(c.URLs) > 1, "connects to one url")
	watermill.Refuse(b, "auth", c.external(), "logs in with the user and password of the URL")
}

// stockSettings are what both sides have in common.
func (d *dialer) stockSettings(host flow.Host) (stock.Config, error) {
	settings, err := d.tls.Config(d.dir)
	if err != nil {
		return stock.Config{}, flow.Errorf(flow.ConfigError, flow.CodeMissing, "%w", err)
	}
	if settings == nil {
		settings = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(connectionName(host))
	c := stock.NewDurableQueueConfig(d.urls[0].Reveal())
	c.Connection.AmqpConfig = &amqp.Config{
		Heartbeat: d.heartbeat, TLSClientConfig: settings, Properties: properties, Locale: "en_US",
		Dial: d.dialStock,
	}
	return c, nil
}

// dialStock opens the wire of a connection that the stock module makes.
func (d *dialer) dialStock(network, address string) (net.Conn, error) {
	w, err := d.connect(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// openStock opens a source of the stock driver. The broker and the queue are looked at first, as for any source.
func (c *Source) openStock(d dialer) func(context.Context, flow.Host) (flow.Source, error) {
	return func(ctx context.Context, host flow.Host) (flow.Source, error) {
		if err := c.connect(d)(ctx, host); err != nil {
			return nil, err
		}
		settings, err := d.stockSettings(host)
		if err != nil {
			return nil, err
		}
		m := &stockMarshaler{}
		settings.Connection.Reconnect = reconnect()
		settings.Marshaler, settings.TopologyBuilder = m, topology{queue: c.queue}
		settings.Consume.Qos.PrefetchCount = max(1, c.Prefetch)
		refused := make(chan error, 1)
		subscriber, err := stock.NewSubscriber(settings, watermill.WatchErrors(watermill.Logger(host), func(err error) {
			// What is refused at once will be refused again; later it may be a matter of the broker's own reconstruction.
			if e := flow.AsError(stockError(err), flow.Transient, flow.CodeUnavailable); e.Code == flow.CodeAuth && m.delivery() == nil {
				select {
				case refused <- e:
				default: // one is enough
				}
			}
		}))
		if err != nil {
			return nil, stockError(err)
		}
		return watermill.NewSource(host, watermill.SourceOptions{
			Subscriptions: []watermill.Subscription{{Topic: c.Queue, Subscriber: subscriber}}, Fill: m.fill(c), Passing: passing, Failed: refused,
		}), nil
	}
}

// openStock opens a sink of the stock driver.
func (c *Sink) openStock(d dialer, p *preparer) func(context.Context, flow.Host) (flow.Sink, error) {
	return func(ctx context.Context, host flow.Host) (flow.Sink, error) {
		if err := c.connect(d, p)(ctx, host); err != nil {
			return nil, err
		}
		settings, err := d.stockSettings(host)
		if err != nil {
			return nil, err
		}
		settings.Connection.Reconnect = reconnect()
		settings.Marshaler = &stockMarshaler{}
		settings.TopologyBuilder = topology{exchange: c.Declare.exchangeOn}
		settings.Publish.ConfirmDelivery, settings.Publish.ChannelPoolSize = true, 1
		// A topic of the stock publisher is an exchange and a routing key.
		settings.Exchange.GenerateName = func(topic string) string { exchange, _, _ := strings.Cut(topic, between); return exchange }
		settings.Publish.GenerateRoutingKey = func(topic string) string { _, key, _ := strings.Cut(topic, between); return key }
		publisher, err := newStockPublisher(settings, watermill.Logger(host))
		if err != nil {
			return nil, stockError(err)
		}
		return watermill.NewSink(publisher, topicOf, nil), nil
	}
}

// between cannot be part of an exchange's name or a routing key: render refuses it.
const between = "\x00"

func topicOf(o *flow.Outgoing) string {
	exchange := ""
	if pub, ok := o.Native.(*publishing); ok {
		exchange = pub.exchange
	}
	return exchange + between + o.Dest
}

// reconnect is how often the module tries to connect again: as often as our own client, where its default would let a minute pass.
func reconnect() *stock.ReconnectConfig {
	return &stock.ReconnectConfig{
		BackoffInitialInterval: 250 * time.Millisecond, BackoffRandomizationFactor: 0.2, BackoffMultiplier: 2, BackoffMaxInterval: 2 * time.Second,
	}
}

// passing tells whether a subscription that failed is worth another attempt.
func passing(err error) bool {
	return flow.AsError(stockError(err), flow.Transient, flow.CodeUnavailable).Class == flow.Transient
}

// stockError gives errors of the stock module their class.
func stockError(err error) error {
	var said *amqp.Error
	var known *flow.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &said):
		return channelError(said)
	}
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "watermill-amqp could not connect: %s", err)
}

// topology makes what the file declares, or looks whether it is there.
type topology struct {
	queue    func(ch *amqp.Channel) error
	exchange func(ch *amqp.Channel, name string) error
}

// BuildTopology implements stock.TopologyBuilder.
func (t topology) BuildTopology(ch *amqp.Channel, _, _ string, _ stock.Config, _ wm.LoggerAdapter) error {
	return t.queue(ch)
}

// ExchangeDeclare implements stock.TopologyBuilder.
func (t topology) ExchangeDeclare(ch *amqp.Channel, name string, _ stock.Config) error {
	return t.exchange(ch, name)
}

// stockMarshaler takes over what the stock one would refuse or lose: properties, headers that are no text, and messages without a UUID. A
// stock subscription hands out one message and waits for its end before it unmarshals the next, so that the last delivery is the one.
type stockMarshaler struct {
	mu   sync.Mutex
	last *amqp.Delivery
}

// Unmarshal implements stock.Marshaler.
func (s *stockMarshaler) Unmarshal(d amqp.Delivery) (*message.Message, error) {
	if d.Acknowledger == nil {
		// The stock subscription takes the end of its deliveries, when the connection is lost or the queue deleted, for an empty message.
		return nil, errors.New("the broker has ended the deliveries")
	}
	s.mu.Lock()
	s.last = &d
	s.mu.Unlock()
	id, _ := d.Headers[watermill.UUIDHeader].(string)
	return message.NewMessage(id, d.Body), nil
}

func (s *stockMarshaler) fill(c *Source) func(m *message.Message, r *flow.Record) {
	return func(_ *message.Message, r *flow.Record) { c.fill(r, s.delivery()) }
}

// delivery is the last one; nil before the first.
func (s *stockMarshaler) delivery() *amqp.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Marshal implements stock.Marshaler.
func (*stockMarshaler) Marshal(m *message.Message) (amqp.Publishing, error) {
	o := watermill.OutgoingOf(m)
	if o == nil {
		return amqp.Publishing{}, errors.New("the message is not of this sink")
	}
	pub, ok := o.Native.(*publishing)
	if !ok {
		return amqp.Publishing{}, fmt.Errorf("the message was not prepared: %T", o.Native)
	}
	out := pub.message
	out.Body = m.Payload
	headers := make(amqp.Table, len(out.Headers)+1)
	headers[watermill.UUIDHeader] = m.UUID
	for name, v := range out.Headers {
		headers[name] = headerOf(name, v).Text() // the stock marshaler on the other side takes nothing else
	}
	out.Headers = headers
	return out, nil
}
