package amqp

import (
	"errors"
	"fmt"
	"net"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestAGoodbyeToAConnectionThatIsLostIsNoError(t *testing.T) {
	tcp := fmt.Errorf("set tcp 127.0.0.1:1: %w", &net.OpError{Op: "set", Net: "tcp", Err: net.ErrClosed})
	for _, err := range []error{nil, amqp.ErrClosed, tcp} {
		if got := unlessClosed(err); got != nil {
			t.Errorf("%v: %v", err, got)
		}
	}
	if other := errors.New("no answer"); unlessClosed(other) == nil {
		t.Error("another error is lost")
	}
}
