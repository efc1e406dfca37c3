package amqp

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
)

// carried are the properties that a message of another technology has as headers, by the names that sinks without such properties give
// them: they become properties again. The last header of a name counts, as for meta. What would not fit stays a header.
type carried struct {
	taken       map[string]bool // the headers that are not needed any more
	set         []func(msg *amqp.Publishing)
	correlation []byte
	expires     time.Time
}

// carriedBy reads the headers of a message. lifetime says whether the message may expire by one of them.
func (p *preparer) carriedBy(hs []flow.Header, lifetime bool) *carried {
	c := &carried{}
	for i := len(hs) - 1; i >= 0; i-- {
		h := &hs[i]
		if name := placeOf(h.Name); name != "" && !c.taken[h.Name] && p.carry(c, name, strings.Clone(h.Text()), lifetime) {
			if c.taken == nil {
				c.taken = map[string]bool{}
			}
			c.taken[h.Name] = true
		}
	}
	if !c.expires.IsZero() {
		c.taken[transport.TTLHeader] = true // it was the same when it was written
	}
	return c
}

// placeOf is the header's name as carry knows it; empty for one that is no property. The names of convention have no fixed case.
func placeOf(name string) string {
	switch {
	case strings.HasPrefix(name, "millstream-"):
		return name
	case strings.EqualFold(name, "content-type"), strings.EqualFold(name, "content-encoding"):
		return strings.ToLower(name)
	}
	return ""
}

// carry notes one property; false leaves the header alone.
func (p *preparer) carry(c *carried, name, text string, lifetime bool) bool {
	var to func(msg *amqp.Publishing) *string
	switch name {
	case "content-type":
		to = func(msg *amqp.Publishing) *string { return &msg.ContentType }
	case "content-encoding":
		to = func(msg *amqp.Publishing) *string { return &msg.ContentEncoding }
	case "millstream-message-id":
		to = func(msg *amqp.Publishing) *string { return &msg.MessageId }
	case "millstream-type":
		to = func(msg *amqp.Publishing) *string { return &msg.Type }
	case "millstream-app-id":
		to = func(msg *amqp.Publishing) *string { return &msg.AppId }
	case userHeader:
		if !p.onlyUser(text) {
			return false
		}
		to = func(msg *amqp.Publishing) *string { return &msg.UserId }
	case correlationHeader:
		c.correlation = []byte(text)
		return true
	case "millstream-priority":
		n, err := strconv.ParseUint(text, 10, 8)
		if err == nil {
			c.set = append(c.set, func(msg *amqp.Publishing) { msg.Priority = uint8(n) })
		}
		return err == nil
	case transport.ExpiresHeader:
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms <= 0 || !lifetime {
			return false
		}
		c.expires = time.UnixMilli(ms)
		return true
	default:
		return false
	}
	if text == "" || len(text) > maxShort || !utf8.ValidString(text) {
		return false
	}
	c.set = append(c.set, func(msg *amqp.Publishing) { *to(msg) = text })
	return true
}

// apply sets the properties.
func (c *carried) apply(msg *amqp.Publishing, add func(name string, v any)) {
	for _, set := range c.set {
		set(msg)
	}
	if c.correlation != nil {
		correlate(msg, c.correlation, false, add)
	}
}

// left is what is left of the message's lifetime; 0 is none.
func (c *carried) left(now time.Time) (time.Duration, error) {
	if c.expires.IsZero() {
		return 0, nil
	}
	left := c.expires.Sub(now)
	if left <= 0 {
		return 0, flow.Errorf(flow.Permanent, flow.CodeExpired, "the message has expired at %s", c.expires.UTC().Format(time.RFC3339))
	}
	return left, nil
}

const correlationHeader = "millstream-correlation-id"

// correlate sets the correlation id, which is text in AMQP: bytes that did not come as they are from AMQP go as base64, and an id that is
// too long as a header.
func correlate(msg *amqp.Publishing, id []byte, asItIs bool, add func(name string, v any)) {
	text := string(id)
	if !asItIs && !utf8.Valid(id) {
		text = base64.StdEncoding.EncodeToString(id)
	}
	switch {
	case len(text) > maxShort:
		add(correlationHeader, keyField(id))
		return
	case len(text) != len(id):
		markEncoded(msg, add, correlationPart)
	}
	msg.CorrelationId = text
}
