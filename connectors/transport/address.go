package transport

import (
	"net/url"

	"github.com/millstream/millstream/flow"
)

// AddressHeader carries where a message was published to, where messages with many such addresses go to one place.
const AddressHeader = "millstream-src-address"

// SourceAddress is where a message of a broker was published to, when that is not the place that it was read from: the exchange and the
// routing key, each with %XX for what could be taken for the slash between them. Empty for other messages.
func SourceAddress(m *flow.Message) string {
	if m.Connector() != "amqp" {
		return ""
	}
	source := m.SourceExtra()
	exchange, _ := source["exchange"].(string)
	key, ok := source["routing_key"].(string)
	if !ok {
		return ""
	}
	return url.PathEscape(exchange) + "/" + url.PathEscape(key)
}
