package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// diary is a quiet log whose time passes when it is told to, and what stands in it: level, time, and the rest of each line.
type diary struct {
	*quiet
	at  time.Duration
	out bytes.Buffer
}

func newDiary() *diary {
	d := &diary{}
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("at", d.at.String())
		}
		return a
	}
	d.quiet = newQuiet(slog.New(slog.NewTextHandler(&d.out, &slog.HandlerOptions{ReplaceAttr: drop})))
	d.now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(d.at) }
	return d
}

func (d *diary) want(t *testing.T, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(lines, "\n")+"\n", d.out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTheSameTroubleIsSpokenOfEveryTenSeconds(t *testing.T) {
	d := newDiary()
	for range 25 {
		d.warn(committing, "commit failed", "error", "refused")
		d.at += time.Second
	}
	d.over("it works again", committing)
	d.over("it works again", committing)
	d.want(t,
		`at=0s level=WARN msg="commit failed" error=refused`,
		`at=10s level=WARN msg="commit failed" error=refused left_out=9`,
		`at=20s level=WARN msg="commit failed" error=refused left_out=9`,
		`at=25s level=INFO msg="it works again" of=commits after=25s left_out=4`)
}

func TestWhatIsNewIsSpokenOfAtOnce(t *testing.T) {
	d := newDiary()
	for port := range 3 {
		own := fmt.Sprintf("read tcp 127.0.0.1:%d->127.0.0.1:9092", 4000+port) // another port each time is nothing new
		d.warn("a", "failed", "error", errors.New(own+": reset"))
		d.warn("a", "failed", "error", errors.New(own+": timeout"))
		d.warn("b", "failed", "error", errors.New(own+": reset"))
		d.warn("a", "failed", "topic", "t", "error", errors.New(own+": reset"))
		d.warn("a", "gone", "error", errors.New(own+": reset"))
	}
	if n := strings.Count(d.out.String(), "\n"); n != 5 {
		t.Errorf("%d lines:\n%s", n, d.out.String())
	}
}

func TestATroubleThatComesBackIsSpokenOfAtOnceButNotForEver(t *testing.T) {
	d := newDiary()
	for range 9 {
		d.warn("a", "failed")
		d.over("it works again", "a")
		d.at += time.Second
	}
	if n := strings.Count(d.out.String(), "\n"); n != 2*maxAtOnce {
		t.Errorf("%d lines:\n%s", n, d.out.String())
	}
	d.out.Reset()
	d.at += sayAgain
	d.warn("a", "failed")
	d.want(t, `at=19s level=WARN msg=failed`)
}

func TestABrokerIsBackWhenItAnswersMoreThanGreetings(t *testing.T) {
	d := newDiary()
	one := kgo.BrokerMetadata{NodeID: 1, Host: "one", Port: 9092}
	d.Log(kgo.LogLevelWarn, "unable to open connection to broker", "addr", "one:9092", "broker", "1", "err", "refused")
	d.Log(kgo.LogLevelError, "unable to request api versions", "broker", "1", "err", "reset")
	d.at += 1500 * time.Millisecond
	d.OnBrokerRead(one, 18, 0, 0, 0, nil)
	d.OnBrokerRead(one, 1, 0, 0, 0, errors.New("reset"))
	d.OnBrokerRead(kgo.BrokerMetadata{NodeID: 2, Host: "two", Port: 9092}, 1, 0, 0, 0, nil)
	d.OnBrokerRead(one, 1, 0, 0, 0, nil)
	d.want(t,
		`at=0s level=INFO msg="kafka client: unable to open connection to broker" addr=one:9092 broker=1 err=refused`,
		`at=0s level=WARN msg="kafka client: unable to request api versions" broker=1 err=reset`,
		`at=1.5s level=INFO msg="the broker answers again" of=one:9092 after=1.5s`)
}

func TestTheClientsOwnTroubleIsOverWhenItDoesNotComeAgain(t *testing.T) {
	d := newDiary()
	for range 3 {
		d.Log(kgo.LogLevelWarn, "join group failed", "err", "reset")
		d.OnBrokerRead(kgo.BrokerMetadata{}, 3, 0, 0, 0, nil)
		d.at += 3 * time.Second
	}
	d.at += sayAgain
	d.OnBrokerRead(kgo.BrokerMetadata{}, 3, 0, 0, 0, nil)
	d.want(t,
		`at=0s level=INFO msg="kafka client: join group failed" err=reset`,
		`at=19s level=INFO msg="it works again" of="the client" after=19s left_out=2`)
}

func TestTroublesThatAreNotMetAgainAreForgotten(t *testing.T) {
	d := newDiary()
	for n := range 3 * maxTroubles {
		d.warn("somewhere", "failed", "error", n)
	}
	if n := len(d.troubles); n > maxTroubles+1 {
		t.Errorf("%d are remembered", n)
	}
	d.at += forgetAfter
	d.OnBrokerRead(kgo.BrokerMetadata{}, 1, 0, 0, 0, nil)
	if n, open := len(d.troubles), d.open.Load(); n != 0 || open != 0 {
		t.Errorf("%d are remembered, %d of them open", n, open)
	}
}
