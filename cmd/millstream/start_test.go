package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// freePort is a port that nobody listens on at this moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func runToKafka(t *testing.T, port int, args ...string) (code int, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.yaml")
	text := fmt.Sprintf("name: p\nfrom: { generate: { body: n, count: 5 } }\nto: { kafka: { brokers: [\"127.0.0.1:%d\"], topic: t } }\n", port)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	code = run(append([]string{"run", path}, args...), strings.NewReader(""), &out, &errOut)
	return code, errOut.String()
}

func TestRunWaitsForABrokerThatIsDownAtTheStart(t *testing.T) {
	port := freePort(t)
	up := time.AfterFunc(800*time.Millisecond, func() {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(1, "t"))
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(c.Close)
	})
	defer up.Stop()
	code, stderr := runToKafka(t, port)
	if code != 0 || !strings.Contains(stderr, "cannot start yet") || !strings.Contains(stderr, "5 delivered") {
		t.Errorf("exit code %d, stderr\n%s", code, stderr)
	}
}

func TestRunFailsWhenTheTimeForStartingIsOver(t *testing.T) {
	code, stderr := runToKafka(t, freePort(t), "--start-timeout", "600ms")
	if code != 1 || !strings.Contains(stderr, "failed to start") {
		t.Errorf("exit code %d, stderr\n%s", code, stderr)
	}
}
