package watermill

import (
	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/pipelines/config"
)

// Driver is the word of the option driver for a stock module of watermill's, in the connectors that offer one.
const Driver = "watermill"

// Refuse adds a finding about an option that a stock module cannot obey.
func Refuse(b *config.Builder, option string, wrong bool, message string) {
	if wrong {
		transport.Finding(b, option, "driver: watermill "+message, "leave it out, or leave driver out")
	}
}
