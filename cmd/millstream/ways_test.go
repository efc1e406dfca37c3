package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestCopiesThatMeetInOneSinkHaveIDsOfTheirOwn(t *testing.T) {
	const file = `name: ways
sources:
  in: { kafka: { brokers: ["h:9092"], topics: [a], group: g } }
nodes:
  parts: { from: in, split: body }
  left: { from: parts, transform: { body: body + 1 } }
  right: { from: parts, transform: { body: body + 2 } }
  both: { from: [left, right], filter: body != 3 }
  kind: { from: parts, route: { one: body == 1, rest: else } }
sinks:
  out: { from: [both, kind.one, kind.rest], kafka: { brokers: ["h:9092"], topic: b } }
  alone: { from: parts, kafka: { brokers: ["h:9092"], topic: c } }
tests:
  - name: each has another id
    send: [{ topic: a, body: [1, 7] }]
    expect:
      out:
        - { body: 2, meta: { millstream-id: "kafka:a@0/0/left/both/out" } }
        - { body: 1, meta: { millstream-id: "kafka:a@0/0/kind.one/out" } }
        - { body: 8, meta: { millstream-id: "kafka:a@0/1/left/both/out" } }
        - { body: 9, meta: { millstream-id: "kafka:a@0/1/right/both/out" } }
        - { body: 7, meta: { millstream-id: "kafka:a@0/1/kind.rest/out" } }
      alone:
        - { body: 1, meta: { millstream-id: "kafka:a@0/0/alone" } }
        - { body: 7, meta: { millstream-id: "kafka:a@0/1/alone" } }
`
	testsPass(t, file)
}

func TestDeadLettersOfOneRecordHaveIDsOfTheirOwn(t *testing.T) {
	const file = `name: ways
sources:
  in: { kafka: { brokers: ["h:9092"], topics: [a], group: g } }
nodes:
  parts: { from: in, split: body }
  left: { from: parts, filter: body.x > 0 }
  right: { from: parts, filter: body.y > 0 }
sinks:
  out: { from: [left, right], kafka: { brokers: ["h:9092"], topic: b } }
  dead: { kafka: { brokers: ["h:9092"], topic: c } }
on_error: { then: dead }
tests:
  - name: each has another id
    send: [{ topic: a, body: [1] }]
    expect:
      dead:
        - { body: 1, meta: { millstream-id: "kafka:a@0/0/left.errors/dead" }, match: subset }
        - { body: 1, meta: { millstream-id: "kafka:a@0/0/right.errors/dead" }, match: subset }
`
	testsPass(t, file)
}

func testsPass(t *testing.T, file string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ways.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("millstream", "test", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
