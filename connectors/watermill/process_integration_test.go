//go:build integration

package watermill_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"github.com/ThreeDotsLabs/watermill"
)

// patience bounds every wait.
const patience = 40 * time.Second

// process is millstream with a file that a test writes.
type process struct {
	binary, dir string
	*exec.Cmd
}

func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{dir: t.TempDir()}
	p.binary = filepath.Join(p.dir, "millstream")
	if out, err := exec.Command("go", "build", "-o", p.binary, "../../cmd/millstream").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if p.Cmd != nil && p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		if t.Failed() {
			text := p.log(t)
			t.Log(text[max(0, len(text)-4000):])
		}
	})
	return p
}

func (p *process) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "p.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *process) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func (p *process) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own descriptor
	p.Cmd = exec.Command(p.binary, "run", "p.yaml", "--instance", "one", "--state", "state")
	p.Dir, p.Stdout, p.Stderr = p.dir, log, log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
}

// interrupt stops the process and waits for its clean end.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}

// queues are two queues of RabbitMQ: one with messages, one that is empty.
type queues struct {
	*rabbitmq.Channel
	url, in, out string
	counts       map[string]int
}

func newQueues(t *testing.T, total int) *queues {
	t.Helper()
	q := &queues{url: broker(t, "MILLSTREAM_RABBITMQ", "rabbitmq"), in: "driver-" + watermill.NewShortUUID(), counts: map[string]int{}}
	q.out = q.in + "-out"
	conn, err := rabbitmq.Dial(q.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if q.Channel, err = conn.Channel(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{q.in, q.out} {
		if _, err := q.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = q.QueueDelete(name, false, false, false) })
	}
	for n := range total {
		m := rabbitmq.Publishing{Body: fmt.Append(nil, n), DeliveryMode: rabbitmq.Persistent}
		if err := q.PublishWithContext(t.Context(), "", q.in, true, false, m); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// reaches takes what has arrived until it is so many different messages.
func (q *queues) reaches(t *testing.T, n int) {
	t.Helper()
	for late := time.Now().Add(patience); len(q.counts) < n; {
		m, ok, err := q.Get(q.out, true)
		switch {
		case err != nil:
			t.Fatal(err)
		case ok:
			q.counts[string(m.Body)]++
		case time.Now().After(late):
			t.Fatalf("%d of %d have arrived", len(q.counts), n)
		default:
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// rest takes what else there is, and how many messages came more than once.
func (q *queues) rest(t *testing.T) (repeated int) {
	t.Helper()
	for {
		m, ok, err := q.Get(q.out, true)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		q.counts[string(m.Body)]++
	}
	for _, n := range q.counts {
		repeated += n - 1
	}
	left, err := q.QueueDeclarePassive(q.in, true, false, false, false, nil)
	if err != nil || left.Messages > 0 {
		t.Errorf("%d messages are still at the source: %v", left.Messages, err)
	}
	return repeated
}

func (q *queues) pipeline(prefetch int) string {
	return fmt.Sprintf(`name: through
from: { amqp: { url: %q, driver: watermill, queue: %s, prefetch: %d } }
to: { amqp: { url: %[1]q, driver: watermill, mandatory: false, routing_key: %[4]s } }
`, q.url, q.in, prefetch, q.out)
}

func TestTheStockDriverOfRabbitMQLosesNothingWhenItsProcessIsKilled(t *testing.T) {
	const total, kills = 1000, 3
	q, p := newQueues(t, total), newProcess(t)
	p.write(t, q.pipeline(50))
	for kill := range kills {
		p.start(t)
		q.reaches(t, (kill+1)*total/(kills+2))
		if err := p.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = p.Wait()
	}
	p.start(t)
	q.reaches(t, total)
	p.interrupt(t)
	if repeated := q.rest(t); repeated > kills {
		t.Errorf("%d messages are there more than once after %d kills: one at a time is under way", repeated, kills)
	}
}

func TestAReloadOfTheStockDriverOfRabbitMQRepeatsNothing(t *testing.T) {
	const total, reloads = 2000, 4
	q, p := newQueues(t, total), newProcess(t)
	p.write(t, q.pipeline(1))
	p.start(t)
	for reload := range reloads {
		q.reaches(t, (reload+1)*total/(reloads+2))
		p.write(t, q.pipeline(reload+2))
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	q.reaches(t, total)
	p.interrupt(t)
	if repeated := q.rest(t); repeated > 0 {
		t.Errorf("%d messages are there more than once", repeated)
	}
	if log := p.log(t); !strings.Contains(log, "replace") {
		t.Errorf("no reload took place:\n%s", log)
	}
}
