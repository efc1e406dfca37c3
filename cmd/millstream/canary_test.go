package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// canaryFiles are pipelines that hold secrets wherever one may stand. None of them may be found in anything that millstream writes.
var canaryFiles = map[string]string{
	"secret.txt": "CANARY-file\n",
	"signed.yaml": `
name: signed
env: { TOKEN: { secret: true } }
vars: { token: "${TOKEN}", other: { key: "${file:secret.txt}" } }
from: { stdin: {} }
steps:
  - transform:
      body.signature: hmac(string(body.n), vars.token)
      meta.other: hmac(string(body.n), vars.other.key)
      body.half: 10 / body.n
  - log: { message: "signed {{ body.n }}", level: debug }
to: { file: { path: out.ndjson } }
sinks:
  dead: { file: { path: dead.ndjson } }
on_error: { then: dead }
tests:
  - name: fails, and shows what came
    send: [{ body: { n: 1 } }, { body: { n: 0 } }]
    expect:
      to: [{ body: { n: 2 } }]
`,
	"path.yaml": `
name: path
env: { DATA: { secret: true } }
from: { file: { path: "${DATA}" } }
to: { stdout: {} }
`,
	"literal.yaml": `
name: literal
sources:
  a: { amqp: { url: "amqps://me:CANARY-one@host/", queue: q, prefetsh: CANARY-one } }
  b: { kafka: { brokers: [127.0.0.1:1], topics: [t], group: CANARY-two, sasl: { mechanism: PLAIN, username: me, password: CANARY-two, pasword: CANARY-two } } }
sinks:
  c: { from: [a, b], amqp: { url: "${RABBIT:-amqps://me:CANARY-three@host/}", exchange: CANARY-three } }
`,
	"broken.yaml": `
name: broken
from: { kafka: { sasl: { password: CANARY-four, } }
to: { amqp: { url: amqp://me:CANARY-five@host } } }
`,
	"brokers.yaml": `
name: brokers
env: { TOKEN: { secret: true }, PASSWORD: { secret: true } }
connections:
  k: { kafka: { brokers: ["127.0.0.1:1"], sasl: { mechanism: SCRAM-SHA-256, username: me, password: "${PASSWORD}" } } }
sources:
  a: { kafka: { use: k, topics: [t], group: g } }
sinks:
  b: { from: a, kafka: { use: k, topic: t } }
`,
	"rabbit.yaml": `
name: rabbit
sources:
  a: { amqp: { url: "amqp://me:CANARY-literal@127.0.0.1:1/", queue: q } }
sinks:
  b: { from: a, amqp: { urls: ["${RABBIT}"], exchange: e } }
`,
	"hook.yaml": `
name: hook
env: { TOKEN: { secret: true } }
from: { stdin: {} }
steps: [ { log: { message: "to the hook", level: debug } } ]
to: { http: { url: "http://127.0.0.1:1/services/${TOKEN}?key=${file:secret.txt}&n={{ body.n }}", timeout: 1s } }
sinks:
  dead: { file: { path: dead-hook.ndjson } }
on_error: { retry: none, then: dead }
tests:
  - name: goes elsewhere
    send: [{ body: { n: 1 } }]
    expect: { to: [{ topic: elsewhere }] }
`,
	"nohook.yaml": `
name: nohook
env: { TOKEN: { secret: true } }
from: { stdin: {} }
to: { http: { url: "${TOKEN}://host/" } }
`,
	"wrong.yaml": `
name: wrong
env: { TOKEN: { secret: true } }
vars: { token: "${TOKEN}" }
order: "${TOKEN}"
limits: { max_message: "${file:secret.txt}" }
from: { file: { path: "${TOKEN}", framing: "${TOKEN}" } }
steps:
  - filter: vars.token == body.token
  - transform: { body.x: toJSON(vars) }
to: { kafka: { brokers: ["${TOKEN} x"], topic: "${TOKEN} {{ body.x }} !" } }
`,
}

func TestNoOutputShowsASecret(t *testing.T) {
	dir := t.TempDir()
	for name, text := range canaryFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"run signed.yaml --log-level debug", "run signed.yaml --log-level debug --log-format json --set token=CANARY-set",
		"run brokers.yaml --log-level debug --start-timeout 1s", "run brokers.yaml --log-level debug --log-format json --start-timeout 1s",
		"run rabbit.yaml --log-level debug --start-timeout 1s", "run wrong.yaml",
		"validate wrong.yaml", "validate wrong.yaml --format json", "validate wrong.yaml --format github", "validate signed.yaml brokers.yaml rabbit.yaml",
		"graph signed.yaml brokers.yaml rabbit.yaml", "graph signed.yaml --format json", "test signed.yaml", "test signed.yaml --format json",
		"explain signed.yaml", "explain rabbit.yaml", "plan signed.yaml brokers.yaml", "graph rabbit.yaml --format dot", "graph wrong.yaml",
		"validate path.yaml", "validate literal.yaml", "validate literal.yaml --format json", "validate literal.yaml --format github",
		"validate broken.yaml", "validate broken.yaml --format json", "validate rabbit.yaml --format github", "explain literal.yaml", "explain broken.yaml",
		"graph literal.yaml", "test literal.yaml", "run literal.yaml", "plan rabbit.yaml literal.yaml", "fmt --check literal.yaml",
		"run hook.yaml --log-level debug", "run hook.yaml --log-level debug --log-format json", "validate hook.yaml --connect", "test hook.yaml",
		"test hook.yaml --format json", "explain hook.yaml", "graph hook.yaml", "graph hook.yaml --format json", "plan hook.yaml",
		"validate nohook.yaml", "run nohook.yaml",
	} {
		cmd := exec.Command("millstream", strings.Fields(line)...)
		var out bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
		cmd.Stdin = strings.NewReader("{\"n\":5}\n{\"n\":0}\noops\n")
		cmd.Env = append(os.Environ(), "TOKEN=CANARY-token", "DATA=CANARY-path", "PASSWORD=CANARY-password", "RABBIT=amqps://me:CANARY-env@127.0.0.1:1/")
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if out.Len() == 0 {
			t.Errorf("%s: says nothing", line)
		}
		if strings.Contains(out.String(), "CANARY") {
			t.Errorf("%s shows a secret:\n%s", line, out.String())
		}
	}
	if out, _ := os.ReadFile(filepath.Join(dir, "out.ndjson")); bytes.Count(out, []byte(`"signature":"`)) != 2 {
		t.Errorf("the signatures are missing: %s", out)
	}
	if dead, _ := os.ReadFile(filepath.Join(dir, "dead.ndjson")); bytes.Count(dead, []byte("\n")) != 4 {
		t.Errorf("the dead letters are missing: %s", dead)
	}
	if dead, _ := os.ReadFile(filepath.Join(dir, "dead-hook.ndjson")); bytes.Count(dead, []byte("127.0.0.1:1")) < 4 {
		t.Errorf("the dead letters of the hook are missing: %s", dead)
	}
	nothingWritten(t, dir)
}

func nothingWritten(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if _, ours := canaryFiles[entry.Name()]; err != nil || ours || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("CANARY")) {
			t.Errorf("%s holds a secret:\n%s", entry.Name(), text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
