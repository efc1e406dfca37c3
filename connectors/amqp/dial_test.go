package amqp

import (
	"errors"
	"testing"
	"time"

	"github.com/millstream/millstream/flow"
)

func TestAttemptsThatEndBySilenceMakeTheNextOnesMorePatient(t *testing.T) {
	silence := dialError(&silenceError{time.Second}, nil, "amqp", "one:5672", "/")
	refused := flow.Errorf(flow.Transient, flow.CodeUnavailable, "connection refused")
	for _, test := range []struct {
		name      string
		heartbeat time.Duration
		after     []error
		want      time.Duration
	}{
		{"at first", time.Second, nil, 4 * time.Second},
		{"after one", time.Second, []error{silence}, 8 * time.Second},
		{"after many", time.Second, []error{silence, silence, silence}, openTimeout},
		{"with a heartbeat of its own", 2 * time.Second, []error{silence}, 12 * time.Second},
		{"with a long heartbeat", time.Minute, []error{silence}, openTimeout},
		{"with another node that is away", time.Second, []error{worst([]error{refused, silence})}, 8 * time.Second},
		{"with refusals in between", time.Second, []error{silence, refused}, 8 * time.Second},
		{"after refusals", time.Second, []error{refused, errors.New("away")}, 4 * time.Second},
		{"after a success", time.Second, []error{silence, silence, nil}, 4 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := dialer{heartbeat: test.heartbeat}
			for _, err := range test.after {
				d.tried(err)
			}
			if got := d.silence(); got != test.want {
				t.Errorf("it waits %s for an answer, want %s", got, test.want)
			}
		})
	}
}
