package http_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is how many clients come at once, half of them hostile in one way or another.
const crowd = 1000

func TestAThousandClientsEachGetTheRightAnswer(t *testing.T) {
	r := newRig(t)
	r.vars["SECRET"] = "s"
	p := r.start(`
name: p
from: { http: { listen: "${LISTEN}", path: /in, hmac: { secret: "${SECRET}" }, read_timeout: 2s } }
to: { file: { path: "${DIR}/out" } }
limits: { max_message: 64KiB }
`)
	before := heap()
	var most atomic.Uint64
	watching, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		for watching.Err() == nil {
			most.Store(max(most.Load(), heap()))
			time.Sleep(20 * time.Millisecond)
		}
	})
	var clients sync.WaitGroup
	var good atomic.Int64
	for i := range crowd {
		clients.Go(func() {
			body := fmt.Sprintf(`{"client":%d}`, i)
			switch i % 10 {
			case 0: // announces more than comes, and waits
				slow(t, r, "POST /in HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: "+sign("s", body)+"\r\nContent-Length: 60000\r\n\r\n{", "408")
			case 1: // never ends its headers
				slow(t, r, "POST /in HTTP/1.1\r\nHost: x\r\nX-A: ", "")
			case 2:
				crowded(t, r, request{path: "/in", body: strings.Repeat("x", 64<<10+1), header: map[string]string{"X-Hub-Signature-256": sign("s", body)}}, 413)
			case 3:
				crowded(t, r, request{path: "/in", body: body, header: map[string]string{"X-Hub-Signature-256": sign("t", body)}}, 401)
			case 4: // hangs up in the middle of its body
				hangUp(t, r, "POST /in HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: "+sign("s", body)+"\r\nContent-Length: 100\r\n\r\n{\"cut\"")
			default:
				crowded(t, r, request{path: "/in", body: body, header: map[string]string{"X-Hub-Signature-256": sign("s", body)}}, 200)
				good.Add(1)
			}
		})
	}
	clients.Wait()
	stop()
	watch.Wait()
	lines := map[string]int{}
	for _, l := range r.lines("out") {
		lines[l]++
	}
	for i := range crowd {
		want := 0
		if i%10 > 4 {
			want = 1
		}
		if n := lines[fmt.Sprintf(`{"client":%d}`, i)]; n != want {
			t.Errorf("client %d: %d lines, want %d", i, n, want)
		}
	}
	if len(lines) != int(good.Load()) {
		t.Errorf("%d different lines, %d clients had 200", len(lines), good.Load())
	}
	if grown := int64(most.Load()) - int64(before); grown > 128<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// crowded sends a request as one of many: what is refused early may find its connection closed while it still sends.
func crowded(t *testing.T, r *rig, q request, want int) {
	c := &nethttp.Client{Transport: &nethttp.Transport{DisableKeepAlives: true}, Timeout: 2 * patience}
	got, err := r.try(c, q)
	if want == 413 && err != nil {
		return
	}
	if err != nil || got.status != want {
		t.Errorf("got %+v, %v; want %d", got, err, want)
	}
}

func dial(t *testing.T, r *rig) net.Conn {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", r.vars["LISTEN"])
	if err != nil {
		t.Error(err)
		return nil
	}
	return conn
}

// slow sends a beginning and waits for the answer, or for the end of the connection where none is wanted.
func slow(t *testing.T, r *rig, text, want string) {
	conn := dial(t, r)
	if conn == nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Error(err)
		return
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if !strings.Contains(answer, want) || want == "" && err == nil && !strings.Contains(answer, "408") {
		t.Errorf("a slow client got %q, %v; want %q", answer, err, want)
	}
}

func hangUp(t *testing.T, r *rig, text string) {
	if conn := dial(t, r); conn != nil {
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

func TestAPipelineThatIsStartedAnewRefusesNobody(t *testing.T) {
	r := newRig(t)
	text := "name: p\nfrom: { http: { listen: \"${LISTEN}\" } }\nto: { file: { path: \"${DIR}/out\" } }\nvars: { v: %d }\n"
	r.start("name: other\nfrom: { http: { listen: \"${LISTEN}\", path: /other } }\nto: { drop: {} }\n") // so that the listener stays
	p := r.start(fmt.Sprintf(text, 0))
	l := r.load(8)
	for v := 1; v < 4; v++ {
		l.more(50)
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		p = r.start(fmt.Sprintf(text, v))
	}
	l.more(50)
	l.end("out")
}
