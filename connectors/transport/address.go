package transport

import (
	"net/url"

	"github.com/millstream/millstream/flow"
)

// AddressHeader carries where a message was published to, where messages with many such addresses go to one place.
const AddressHeader = "millstream-src-address"

// SourceAddress is where a message of a broker was published to, where its source reads messages with many such addresses: the exchange and
// the routing key of AMQP, or the topic of a Kafka source that reads several, with %XX for what could be taken for the slash between
// them. Empty for other messages, and for those that were published to the very queue.
func SourceAddress(m *flow.Message) string {
	switch m.Connector() {
	case "amqp":
		source := m.SourceExtra()
		exchange, _ := source["exchange"].(string)
		key, ok := source["routing_key"].(string)
		if !ok || exchange == "" && key == m.Topic() {
			return ""
		}
		return Address(exchange, key)
	case "kafka":
		if several, _ := m.SourceExtra()["several_topics"].(bool); several {
			return url.PathEscape(m.Topic())
		}
	}
	return ""
}

// Address is an exchange and a routing key as AddressHeader has them.
func Address(exchange, key string) string {
	return url.PathEscape(exchange) + "/" + url.PathEscape(key)
}
