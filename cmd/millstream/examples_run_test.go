package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runExample runs an example until done says so, or to its end when there is no done, and returns the directory that it has written to.
func runExample(t *testing.T, name string, env []string, done func(dir string) bool) string {
	t.Helper()
	dir := t.TempDir()
	stderr := &output{}
	cmd := exec.Command("millstream", "run", "--state", t.TempDir(), exampleDir+"/"+name+".yaml")
	cmd.Dir, cmd.Stderr = root, stderr
	cmd.Env = append(append(os.Environ(), env...), "OUT="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Log(stderr)
		}
	})
	if done != nil {
		eventually(t, name+" came to its end", func() bool { return done(dir) })
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return dir
}

// objects are the lines of a file, none when there is no file.
func objects(t *testing.T, path ...string) (all []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, m)
	}
	return all
}

// column is what each line has in a field, as text.
func column(lines []map[string]any, field string) (all []string) {
	for _, m := range lines {
		all = append(all, fmt.Sprint(m[field]))
	}
	return all
}

func wants(t *testing.T, what string, got, want []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestTheEnrichmentExampleGoesOnWithoutTheService(t *testing.T) {
	tiers := map[string]string{"/customers/c7": "gold"}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch tier := tiers[r.URL.Path]; {
		case r.Header.Get("Authorization") != "Bearer none":
			w.WriteHeader(http.StatusUnauthorized)
		case tier != "":
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"tier":%q}`, tier)
		case r.URL.Path == "/customers/c9":
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer service.Close()
	dir := runExample(t, "enrich-with-fallback", []string{"API=" + service.URL}, nil)
	orders := objects(t, dir, "orders.ndjson")
	wants(t, "orders", column(orders, "id"), []string{"1", "2", "3", "5"})
	wants(t, "tiers", column(orders, "tier"), []string{"gold", "unknown", "gold", "unknown"})
	wants(t, "orders of unknown customers", column(objects(t, dir, "unknown-customers.ndjson"), "origin"),
		[]string{"file:testdata/examples/orders.ndjson@161"})
}

// flaky fails each first attempt, and refuses a customer's orders for good.
type flaky struct {
	mu    sync.Mutex
	tried map[string]int
	took  map[string][]string
}

// ServeHTTP implements http.Handler.
func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var order struct{ ID int }
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil || r.Header.Get("X-Shop") != "berlin" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := r.Header.Get("Idempotency-Key")
	if f.tried[id]++; f.tried[id] == 1 {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if r.URL.Path == "/customers/c7/orders" && order.ID == 3 {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	f.took[r.URL.Path] = append(f.took[r.URL.Path], fmt.Sprint(order.ID))
}

func TestTheFlakyServiceGetsEachOrderOfTheExampleInItsOrder(t *testing.T) {
	f := &flaky{tried: map[string]int{}, took: map[string][]string{}}
	service := httptest.NewServer(f)
	defer service.Close()
	dir := runExample(t, "to-flaky-service", []string{"SERVICE=" + service.URL}, nil)
	service.Close()
	wants(t, "c7", f.took["/customers/c7/orders"], []string{"1"})
	wants(t, "c8", f.took["/customers/c8/orders"], []string{"2", "5"})
	wants(t, "refused orders", column(objects(t, dir, "refused.ndjson"), "payload"), []string{`{"id":3,"customer":"c7","total":7.25}`})
	if len(f.tried) != 4 {
		t.Errorf("the service saw %d orders, want 4", len(f.tried))
	}
}

func TestTheTenantExampleLosesNobodysEvents(t *testing.T) {
	dir := runExample(t, "tenant-limits", nil, nil)
	accepted, overflow := objects(t, dir, "accepted.ndjson"), objects(t, dir, "overflow.ndjson")
	if len(accepted)+len(overflow) != 6 || len(accepted) < 4 {
		t.Errorf("%d events were accepted, and %d were not", len(accepted), len(overflow))
	}
	for _, m := range overflow {
		if m["tenant"] != "acme" || m["refused"] != "throttled" {
			t.Errorf("refused: %v", m)
		}
	}
}

func TestTheLogExampleFollowsWhatIsAppended(t *testing.T) {
	log := filepath.Join(t.TempDir(), "app.log")
	write(t, log, "level=error service=old msg=\"before the start\"\n")
	written := 0
	dir := runExample(t, "application-log", []string{"LOG=" + log}, func(dir string) bool {
		f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		written++
		if _, err := fmt.Fprintf(f, "level=info msg=fine\nlevel=error service=Pay n=%d\n", written); err != nil {
			t.Fatal(err)
		}
		return len(objects(t, dir, "errors-pay.ndjson")) > 3
	})
	if old := objects(t, dir, "errors-old.ndjson"); len(old) > 0 {
		t.Errorf("lines from before the start: %v", old)
	}
	got := column(objects(t, dir, "errors-pay.ndjson"), "n")
	for i := range got[1:] {
		var a, b int
		if _, err := fmt.Sscan(got[i]+" "+got[i+1], &a, &b); err != nil || b != a+1 {
			t.Fatalf("lines came as %v", got)
		}
	}
}

// hook is a webhook as GitHub signs it, and what it is answered with.
func hook(t *testing.T, url, secret, event, delivery string, body []byte) int {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	req.Header.Set("X-GitHub-Event", event)
	req.Header.Set("X-GitHub-Delivery", delivery)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestTheWebhookExampleSortsWhatGitHubSends(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "testdata", "github-webhooks.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	url := "http://" + address + "/hooks"
	const secret = "It's a Secret to Everybody"
	want := map[string]int{"opened": 1, "closed": 1}
	dir := runExample(t, "webhooks", []string{"LISTEN=" + address, "WEBHOOK_SECRET=" + secret}, func(string) bool {
		if hook(t, url, secret, "ping", "d0", []byte(`{"zen":"Speak like a human."}`)) != http.StatusOK {
			return false
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			var h struct {
				Event   string
				Payload json.RawMessage
			}
			if err := json.Unmarshal([]byte(line), &h); err != nil {
				t.Fatal(err)
			}
			n++
			if code := hook(t, url, secret, h.Event, fmt.Sprintf("d%d", n), h.Payload); code != http.StatusOK {
				t.Errorf("the hook %s is answered with %d", h.Event, code)
			}
			if h.Event != "ping" {
				want[h.Event]++
			}
		}
		for _, c := range []struct {
			secret, body string
			code         int
		}{
			{secret, `{"action":"opened","sender":{"login":"ada"}}`, 200}, {secret, `{"action":"closed"}`, 200},
			{"a guess", `{"action":"opened","sender":{"login":"eve"}}`, 401}, {secret, `{"action":`, 422},
		} {
			if code := hook(t, url, c.secret, "issues", "own", []byte(c.body)); code != c.code {
				t.Errorf("%s is answered with %d, want %d", c.body, code, c.code)
			}
		}
		return true
	})
	got := map[string]int{}
	for _, path := range glob(t, dir+"/*.ndjson") {
		got[strings.TrimSuffix(filepath.Base(path), ".ndjson")] = len(objects(t, path))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("hooks per file (-want +got):\n%s", d)
	}
	wants(t, "who opened", column(objects(t, dir, "opened.ndjson"), "sender"), []string{"ada"})
}
