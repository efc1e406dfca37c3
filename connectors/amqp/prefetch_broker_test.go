//go:build integration

package amqp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

func TestTheWindowGrowsWithoutLosingOrderAndStaysSmallForLargeMessages(t *testing.T) {
	url := brokerURL(t)
	for _, test := range []struct {
		name              string
		size, n, min, max int
	}{{"small", 100, 5000, 200, 1024}, {"large", 400_000, 100, 1, 45}} {
		t.Run(test.name, func(t *testing.T) {
			queue, ch := freshQueue(t, url, nil)
			var want []string
			var messages []amqp.Publishing
			for i := range test.n {
				want = append(want, fmt.Sprintf("%06d%s", i, strings.Repeat("x", test.size)))
				messages = append(messages, amqp.Publishing{Body: []byte(want[i])})
			}
			publish(t, ch, queue, messages...)
			waitForReady(t, ch, queue, test.n)
			in := newIntake()
			s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", url, queue))
			run := start(t, s, in)
			got, most := []string{}, 0
			for late := time.Now().Add(patience); len(got) < test.n && time.Now().Before(late); {
				time.Sleep(20 * time.Millisecond) // for more to come
				unsettled := 0
				for _, b := range in.take() {
					unsettled += len(b.Records)
					for k := range b.Records {
						got = append(got, string(b.Records[k].Body))
					}
					settle(s, []*flow.Batch{b}, delivered)
				}
				most = max(most, unsettled)
			}
			run.close(t)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%.500s", diff)
			}
			if most < test.min || most > test.max+16 {
				t.Errorf("%d deliveries were unacknowledged at most", most)
			}
		})
	}
}
