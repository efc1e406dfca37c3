package log_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes/log"
	"github.com/millstream/millstream/nodes/nodetest"
)

// capture makes the default logger write into the returned buffer.
func capture(t *testing.T, level slog.Level) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &out
}

// entries are the lines without their time.
func entries(t *testing.T, out *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(out.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		delete(entry, "time")
		all = append(all, entry)
	}
	return all
}

func TestALineIsLoggedAndTheMessageGoesOn(t *testing.T) {
	out := capture(t, slog.LevelInfo)
	n := nodetest.Must(t, log.Type(), "log: { message: \"hot: {{ body.temp }}\", level: warn }\n")
	res := n.Process(t, n.Message(`{"temp":31.0,"secret":"x"}`))
	if res.Err != nil || len(res.Out) != 1 || res.Out[0] != `{"temp":31.0,"secret":"x"}` {
		t.Fatalf("%+v", res)
	}
	want := []map[string]any{{"level": "WARN", "msg": "hot: 31", "node": "node", "id": "test:topic@7"}}
	if diff := cmp.Diff(want, entries(t, out)); diff != "" {
		t.Error(diff)
	}
}

func TestThePayloadStandsInDebugLinesAlone(t *testing.T) {
	out := capture(t, slog.LevelDebug)
	body := `{"pad":"` + strings.Repeat("x", 2000) + `"}`
	for _, level := range []string{"debug", "info", "warn", "error"} {
		n := nodetest.Must(t, log.Type(), "log: { message: seen, level: "+level+" }\n")
		n.Process(t, n.Message(body))
	}
	for _, e := range entries(t, out) {
		payload, there := e["payload"].(string)
		if there != (e["level"] == "DEBUG") {
			t.Errorf("level %v, payload %v", e["level"], there)
		}
		if there && payload != body[:1024] {
			t.Errorf("the payload has %d bytes", len(payload))
		}
	}
}

func TestLinesOverTheRateAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := capture(t, slog.LevelInfo)
		n := nodetest.Must(t, log.Type(), "log: { message: \"{{ body }}\", rate: 2/s }\n")
		send := func(bodies ...string) {
			for _, b := range bodies {
				if res := n.Process(t, n.Message(b)); res.Err != nil || len(res.Out) != 1 {
					t.Fatalf("%+v", res)
				}
			}
		}
		send("1", "2", "3", "4", "5")
		time.Sleep(time.Second)
		send("6", "7", "8")
		var got []any
		for _, e := range entries(t, out) {
			got = append(got, e["msg"], e["suppressed"])
		}
		if diff := cmp.Diff([]any{"1", nil, "2", nil, "6", 3.0, "7", nil}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestARateBelowOneIsALineInALongerTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := capture(t, slog.LevelInfo)
		n := nodetest.Must(t, log.Type(), "log: { message: x, rate: 0.5/s }\n")
		for range 6 {
			n.Process(t, n.Message("1"))
			time.Sleep(time.Second)
		}
		if got := len(entries(t, out)); got != 3 {
			t.Errorf("%d lines in six seconds, want 3", got)
		}
	})
}

func TestALineThatCannotBeWrittenFailsTheMessage(t *testing.T) {
	capture(t, slog.LevelInfo)
	n := nodetest.Must(t, log.Type(), "log: { message: \"{{ body.missing }}\" }\n")
	var e *flow.Error
	if res := n.Process(t, n.Message("{}")); !errors.As(res.Err, &e) || e.Class != flow.Permanent {
		t.Errorf("%+v", res)
	}
}

func TestNeitherLevelNorRateDecidesAboutAMessage(t *testing.T) {
	out := capture(t, slog.LevelWarn)
	for name, text := range map[string]string{
		"a level that is not logged": "log: { message: \"{{ body.a }}\" }\n",
		"more lines than the rate":   "log: { message: \"{{ body.a }}\", rate: 1/h, level: error }\n",
	} {
		n := nodetest.Must(t, log.Type(), text)
		n.Process(t, n.Message(`{"a":1}`))
		out.Reset()
		if res := n.Process(t, n.Message("{}")); res.Err == nil || len(res.Out) != 0 || out.Len() != 0 {
			t.Errorf("%s: %+v %s", name, res, out)
		}
		if res := n.Process(t, n.Message(`{"a":2}`)); res.Err != nil || len(res.Out) != 1 || out.Len() != 0 {
			t.Errorf("%s: %+v %s", name, res, out)
		}
	}
}

func TestMistakesInALogAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"log: { level: info }\n": "missing-key", "log: { message: a, level: loud }\n": "bad-value",
		"log: { message: a, rate: fast }\n": "bad-value", "log: { message: \"{{ bdy }}\" }\n": "unknown-name", "log: text\n": "wrong-type",
	} {
		_, findings := nodetest.Build(t, log.Type(), text)
		if len(findings) != 1 || !strings.Contains(findings[0], want) {
			t.Errorf("%q: got %q, want %s", text, findings, want)
		}
	}
}
