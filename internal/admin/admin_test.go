package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millstream/millstream/internal/revision"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is a backend without pipelines.
type process struct {
	reloads atomic.Int64
	notOK   bool
	trouble string
}

func (p *process) Status() Status {
	s := Status{Version: "v", Ready: !p.notOK, Attempts: []revision.Attempt{{Number: 1, Report: "quotes the file"}}}
	if p.trouble != "" {
		s.Degraded = []string{p.trouble}
	}
	return s
}

func (p *process) Reload(context.Context) (revision.Attempt, error) {
	p.reloads.Add(1)
	a := revision.Attempt{Number: 2, Outcome: revision.Applied, Report: "quotes the file"}
	if p.notOK {
		a.Outcome = revision.Refused
	}
	return a, nil
}

func (p *process) Plan(paths []string) Plan { return Plan{Error: strings.Join(paths, ",")} }

// onLoopback serves on the loopback interface and returns the address.
func onLoopback(t *testing.T, p *process) string {
	t.Helper()
	l, err := ListenLoopback("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Loopback(p, l.Addr()))
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// ask sends a request; header are pairs.
func ask(t *testing.T, method, addr, path, body string, header ...string) (code int, text string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b), response.Header
}

func TestOnlyWhatIsMeantForItIsAnsweredOnTheLoopbackInterface(t *testing.T) {
	p := &process{}
	addr := onLoopback(t, p)
	_, port, _ := net.SplitHostPort(addr)
	asJSON := []string{"Content-Type", "application/json"}
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		want                     int
	}{
		{"alive", "GET", "/livez", "", nil, 200},
		{"ready", "GET", "/readyz", "", nil, 200},
		{"status", "GET", "/status", "", nil, 200},
		{"by its name", "GET", "/status", "", []string{"Host", "localhost:" + port}, 200},
		{"by its name in capitals", "GET", "/status", "", []string{"Host", "LocalHost:" + port}, 200},
		{"reload", "POST", "/reload", "{}", asJSON, 200},
		{"reload without a body", "POST", "/reload", "", asJSON, 200},
		{"a name that was made to lead here", "GET", "/status", "", []string{"Host", "evil.example:" + port}, 421},
		{"a name that was made to lead here, from its own page", "POST", "/reload", "{}",
			append([]string{"Host", "evil.example:" + port, "Origin", "http://evil.example:" + port}, asJSON...), 421},
		{"another port", "GET", "/status", "", []string{"Host", "localhost:1"}, 421},
		{"no port", "GET", "/status", "", []string{"Host", "localhost"}, 421},
		{"another page", "POST", "/reload", "{}", append([]string{"Sec-Fetch-Site", "cross-site"}, asJSON...), 403},
		{"another page in an old browser", "POST", "/reload", "{}", append([]string{"Origin", "http://evil.example"}, asJSON...), 403},
		{"a form", "POST", "/reload", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"text", "POST", "/reload", "{}", []string{"Content-Type", "text/plain"}, 415},
		{"no type", "POST", "/reload", "{}", nil, 415},
		{"reload by reading", "GET", "/reload", "", nil, 405},
		{"a plan of any path", "POST", "/plan", `{"paths":["/etc"]}`, asJSON, 404},
		{"something else", "GET", "/debug/pprof/", "", nil, 404},
		{"too much", "POST", "/reload", strings.Repeat(" ", maxBody+1), asJSON, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := p.reloads.Load()
			code, text, h := ask(t, c.method, addr, c.path, c.body, c.header...)
			if code != c.want {
				t.Errorf("%d %s, want %d", code, text, c.want)
			}
			if reloaded := p.reloads.Load() > before; reloaded != (c.want == 200 && c.path == "/reload") {
				t.Errorf("reloaded: %t", reloaded)
			}
			if h.Get("Access-Control-Allow-Origin") != "" {
				t.Error("another origin may read it")
			}
			if strings.Contains(text, "quotes the file") {
				t.Error("it quotes the file")
			}
		})
	}
}

func TestWhatIsNotReadySaysSo(t *testing.T) {
	addr := onLoopback(t, &process{notOK: true})
	if code, text, _ := ask(t, "GET", addr, "/readyz", ""); code != 503 {
		t.Errorf("%d %s", code, text)
	}
	if code, text, _ := ask(t, "POST", addr, "/reload", "", "Content-Type", "application/json"); code != 422 {
		t.Errorf("%d %s", code, text)
	}
	if code, text, _ := ask(t, "GET", addr, "/livez", ""); code != 200 {
		t.Errorf("%d %s", code, text)
	}
}

func TestWhatIsDegradedIsReadyAndSaysSo(t *testing.T) {
	const trouble = "p: sink to: no broker answers"
	addr := onLoopback(t, &process{trouble: trouble})
	if code, text, _ := ask(t, "GET", addr, "/readyz", ""); code != 200 || !strings.Contains(text, trouble) || !strings.Contains(text, `"ready": true`) {
		t.Errorf("%d %s", code, text)
	}
	addr = onLoopback(t, &process{trouble: trouble, notOK: true})
	if code, text, _ := ask(t, "GET", addr, "/readyz", ""); code != 503 || !strings.Contains(text, trouble) {
		t.Errorf("%d %s", code, text)
	}
}

func TestAnAddressThatCanBeReachedFromOutsideIsRefused(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:8080", "example.org:80", "127.0.0.1", "localhost.example.org:0", ""} {
		l, err := ListenLoopback(addr)
		if err == nil {
			l.Close()
			t.Errorf("%q is served", addr)
		} else if !strings.Contains(err.Error(), "write 127.0.0.1:PORT") {
			t.Errorf("%q: %v", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "127.8.8.8:0", "localhost:0"} {
		l, err := ListenLoopback(addr)
		if err != nil {
			t.Errorf("%q: %v", addr, err)
			continue
		}
		l.Close()
	}
}

func TestThoseWhoSendSlowlyAreCutOff(t *testing.T) {
	l, err := ListenLoopback("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(l, Loopback(&process{}, l.Addr()), 200*time.Millisecond)
	defer s.Close()
	addr := l.Addr().String()
	var slow []net.Conn
	for range 3 * maxConnections {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "GET /livez HTTP/1.1\r\nHost: %s\r\nX-A: ", addr); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	if code, text, _ := ask(t, "GET", addr, "/livez", ""); code != 200 {
		t.Errorf("%d %s", code, text)
	}
	for _, c := range slow {
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := bufio.NewReader(c).ReadString(0)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatal("a connection that sends nothing more is still open")
		}
	}
}

func TestTheSocketIsForItsOwnUserAlone(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state", "below")
	l, clean, err := ListenSocket(state, "host.example/x")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Socket(&process{}))
	for path, want := range map[string]os.FileMode{
		filepath.Join(state, folderName): os.ModeDir | 0o700,
		filepath.Join(state, folderName, fmt.Sprintf("host_example_x-%d.sock", os.Getpid())): os.ModeSocket | 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
	}
	c, err := Find(state, "")
	if err != nil {
		t.Fatal(err)
	}
	if status, _, err := c.Status(t.Context()); err != nil || status.Version != "v" || status.Attempts[0].Report == "" {
		t.Errorf("%+v %v", status, err)
	}
	if a, raw, err := c.Reload(t.Context()); err != nil || a.Number != 2 || !json.Valid(raw) {
		t.Errorf("%+v %s %v", a, raw, err)
	}
	if p, err := c.Plan(t.Context(), []string{"/a", "/b"}); err != nil || p.Error != "/a,/b" {
		t.Errorf("%+v %v", p, err)
	}
	s.Close()
	clean()
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("something is left: %v", err)
	}
	if _, err := Find(state, ""); !errors.Is(err, ErrNobody) {
		t.Errorf("found somebody: %v", err)
	}
}

func TestASocketThatWasLeftBehindIsRemoved(t *testing.T) {
	state := t.TempDir()
	folder := filepath.Join(state, folderName)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	leave := func(name string, age time.Duration) string {
		path := filepath.Join(folder, name)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, young := leave("a-1.sock", time.Hour), leave("a-2.sock", 0)
	own := leave(fmt.Sprintf("a-%d.sock", os.Getpid()), 0)
	l, clean, err := ListenSocket(state, "a")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Socket(&process{}))
	defer func() { s.Close(); clean() }()
	for path, want := range map[string]bool{old: false, young: true, own: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if c, err := Find(state, "a"); err != nil || c.Name != filepath.Base(own) {
		t.Errorf("%v %v", c, err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is open: %v %v", info.Mode(), err)
	}
}

func TestOfSeveralProcessesOneIsChosenByItsInstance(t *testing.T) {
	state := t.TempDir()
	for _, instance := range []string{"a", "a-b"} {
		l, clean, err := ListenSocket(state, instance)
		if err != nil {
			t.Fatal(err)
		}
		s := Serve(l, Socket(&process{}))
		defer func() { s.Close(); clean() }()
	}
	if _, err := Find(state, ""); err == nil || !strings.Contains(err.Error(), "--instance") {
		t.Errorf("%v", err)
	}
	for _, instance := range []string{"a", "a-b"} {
		if c, err := Find(state, instance); err != nil || c.Name != fmt.Sprintf("%s-%d.sock", instance, os.Getpid()) {
			t.Errorf("%v %v", c, err)
		}
	}
	if _, err := Find(state, "b"); !errors.Is(err, ErrNobody) {
		t.Errorf("%v", err)
	}
}

func TestAStateDirectoryMayBeFarDown(t *testing.T) {
	state := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	l, clean, err := ListenSocket(state, "a")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Socket(&process{}))
	defer func() { s.Close(); clean() }()
	c, err := Find(state, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}
