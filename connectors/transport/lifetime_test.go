package transport_test

import (
	"errors"
	"testing"
	"time"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
)

func TestTheTimeToLiveRunsWhileAMessageWaits(t *testing.T) {
	arrived := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	letter := []flow.Header{flow.TextHeader("millstream-error-code", "expired")}
	tests := []struct {
		name    string
		ttl     time.Duration
		after   time.Duration
		headers []flow.Header
		want    time.Duration
		expired bool
	}{
		{name: "none", after: time.Hour},
		{name: "at once", ttl: time.Second, want: time.Second},
		{name: "after a while", ttl: time.Second, after: 300 * time.Millisecond, want: 700 * time.Millisecond},
		{name: "too late", ttl: time.Second, after: time.Second, expired: true},
		{name: "a clock that went back", ttl: time.Second, after: -time.Minute, want: time.Second},
		{name: "a dead letter", ttl: time.Second, after: time.Hour, headers: letter},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			paths := document.NewPaths()
			paths.Freeze()
			m, o := &flow.Message{}, &flow.Outgoing{}
			m.Open(&flow.Env{Paths: paths, Now: func() time.Time { return arrived.Add(test.after) }}, &flow.Batch{
				Arrived: arrived.UnixNano(), Records: []flow.Record{{Props: &flow.Properties{TTL: test.ttl}, Headers: test.headers}},
			}, 0)
			o.Fill(m, nil)
			left, err := transport.Lifetime(m, o)
			var e *flow.Error
			if errors.As(err, &e) != test.expired || test.expired && (e.Code != flow.CodeExpired || e.Class != flow.Permanent) || left != test.want {
				t.Errorf("%s are left, error %v", left, err)
			}
		})
	}
}
