package http_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millstream/millstream/connectors/drop"
	"github.com/millstream/millstream/connectors/file"
	"github.com/millstream/millstream/connectors/http"
	"github.com/millstream/millstream/connectors/memory"
	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/nodes/filter"
	"github.com/millstream/millstream/nodes/split"
	"github.com/millstream/millstream/nodes/transform"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait. Nothing that works comes near it.
const patience = 20 * time.Second

// freeAddress is an address of this machine that nobody listens at.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// rig is an engine with all nodes and connectors.
type rig struct {
	t      testing.TB
	engine *engine.Engine
	vars   map[string]string
	hub    *memory.Hub
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, hub: memory.NewHub(), vars: map[string]string{"DIR": t.TempDir(), "LISTEN": freeAddress(t)}}
	r.engine = engine.New(engine.Options{Logger: slog.New(slog.DiscardHandler), Instance: "test", StateDir: t.TempDir()})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.engine.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func (r *rig) compile(text string) (*pipelines.Program, []string) {
	r.t.Helper()
	p, found := pipelines.Compile("p.yaml", []byte(text), pipelines.Options{
		Registry: &config.Registry{
			Nodes:      []config.NodeType{filter.Type(), transform.Type(), split.Type()},
			Connectors: []config.ConnectorType{http.Type(), file.Type(), drop.Type(), memory.Type(r.hub)},
		},
		Env: pipelines.EnvFunc(func(name string) (string, bool) { v, ok := r.vars[name]; return v, ok }),
	})
	var findings []string
	for _, f := range found.All() {
		if f.Severity == diag.Warning {
			continue
		}
		findings = append(findings, string(f.Code)+": "+f.Message)
	}
	return p, findings
}

func (r *rig) start(text string) *engine.Pipeline {
	r.t.Helper()
	p, findings := r.compile(text)
	if p == nil {
		r.t.Fatalf("%s\n%v", text, findings)
	}
	running, err := r.engine.Start(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return running
}

// request is a request that a test sends.
type request struct {
	method, path, body string
	header             map[string]string
	chunked            bool
}

// reply is what came back.
type reply struct {
	status     int
	code       string
	message    string
	retryAfter string
}

func (r *rig) url(path string) string { return "http://" + r.vars["LISTEN"] + path }

// send sends a request by a client that keeps no connection.
func (r *rig) send(q request) reply {
	r.t.Helper()
	got, err := r.try(&nethttp.Client{Transport: &nethttp.Transport{DisableKeepAlives: true}, Timeout: patience}, q)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *rig) try(c *nethttp.Client, q request) (reply, error) {
	var body io.Reader = strings.NewReader(q.body)
	if q.chunked {
		body = io.MultiReader(body)
	}
	method := q.method
	if method == "" {
		method = "POST"
	}
	path := q.path
	if path == "" {
		path = "/"
	}
	req, err := nethttp.NewRequestWithContext(r.t.Context(), method, r.url(path), body)
	if err != nil {
		return reply{}, err
	}
	for name, v := range q.header {
		req.Header.Set(name, v)
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	got := reply{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After")}
	if len(text) > 0 {
		var said struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(text, &said); err != nil {
			return got, err
		}
		got.code, got.message = said.Error.Code, said.Error.Message
	}
	return got, nil
}

func (r *rig) want(q request, status int, code string) reply {
	r.t.Helper()
	got := r.send(q)
	if got.status != status || got.code != code {
		r.t.Errorf("%+v: answered %+v, want %d %s", q, got, status, code)
	}
	return got
}

// lines are those of a file in the rig's folder.
func (r *rig) lines(name string) []string {
	r.t.Helper()
	text, err := os.ReadFile(r.vars["DIR"] + "/" + name)
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(bytes.TrimSpace(text)), " ", "_"))
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came that %s", what)
		}
	}
}
