//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestValidateSaysWhyNothingConnects has a file for each kind of failure, and looks at what validate --connect tells people and programs.
func TestValidateSaysWhyNothingConnects(t *testing.T) {
	b := connect(t)
	topic, queue := b.topic(b.name), b.queue()
	sasl, secure := broker(t, "MILLSTREAM_KAFKA_SASL", "kafka"), broker(t, "MILLSTREAM_KAFKA_TLS", "kafka")
	rabbit := strings.TrimSuffix(strings.TrimPrefix(b.rabbitmq, "amqp://test:test@"), "/")
	rabbitTLS := broker(t, "MILLSTREAM_RABBITMQ_TLS", "rabbitmq")
	kafka := func(format string, args ...any) string {
		return "from: { kafka: { group: " + b.name + ", " + fmt.Sprintf(format, args...) + " } }\nto: { drop: {} }"
	}
	amqp := func(format string, args ...any) string {
		return "from: { amqp: { " + fmt.Sprintf(format, args...) + " } }\nto: { drop: {} }"
	}
	tests := []struct{ name, pipeline, want string }{
		{"kafka is well", kafka("brokers: [%q], topics: [%s]", b.kafka, topic), ""},
		{"amqp is well", amqp("url: %q, queue: %s", b.rabbitmq, queue), ""},
		{"kafka: no broker", kafka("brokers: ['127.0.0.1:1'], topics: [%s]", topic), `no broker answers at 127\.0\.0\.1:1: .*\(transient, unavailable\)`},
		{"kafka: no such host", kafka("brokers: ['nowhere.invalid:9092'], topics: [x]"), `nowhere\.invalid.*\(transient, unavailable\)`},
		{"kafka: no topic", kafka("brokers: [%q], topics: [%s-none]", b.kafka, b.name), `topic "` + b.name + `-none" at .*\(config, missing\)`},
		{"kafka: wrong password", kafka(`brokers: [%q], topics: [x], sasl: { mechanism: SCRAM-SHA-256, username: test, password: "${SECRET}" }`, sasl),
			`connect to .*\(config, auth\)`},
		{"kafka: a certificate that nobody trusts", kafka("brokers: [%q], topics: [x], tls: {}", secure), `TLS with .*certificate.*\(config, auth\)`},
		{"kafka: a sink without its topic", fmt.Sprintf("from: { stdin: {} }\nto: { kafka: { brokers: [%q], topic: %s-none } }", b.kafka, b.name),
			`topic "` + b.name + `-none" at .*\(config, missing\)`},
		{"amqp: no broker", amqp("url: 'amqp://127.0.0.1:1/', queue: q"), `no broker answers at 127\.0\.0\.1:1: .*\(transient, unavailable\)`},
		{"amqp: no queue", amqp("url: %q, queue: %s-none", b.rabbitmq, b.name), `queue "` + b.name + `-none": .*404.*\(config, missing\)`},
		{"amqp: wrong password", amqp(`url: "amqp://test:${SECRET}@%s/", queue: q`, rabbit), `refuses the user or the password \(config, auth\)`},
		{"amqp: no vhost", amqp(`url: "amqp://test:test@%s/nowhere", queue: q`, rabbit), `has no vhost "nowhere".*\(config, missing\)`},
		{"amqp: a certificate that nobody trusts", amqp("url: %q, queue: q", rabbitTLS), `TLS with .*certificate.*\(config, auth\)`},
		{"amqp: a sink without its exchange", fmt.Sprintf("from: { stdin: {} }\nto: { amqp: { url: %q, exchange: %s-none, routing_key: k } }", b.rabbitmq, b.name),
			`exchange "` + b.name + `-none": .*404.*\(config, missing\)`},
		{"amqp: a sink without its queue", fmt.Sprintf("from: { stdin: {} }\nto: { amqp: { url: %q, exchange: '', routing_key: %s-none } }", b.rabbitmq, b.name),
			`queue "` + b.name + `-none", which routing_key names: .*404.*\(config, missing\)`},
		{"amqp: a queue of another type", amqp("url: %q, queue: %s, declare: { type: quorum }", b.rabbitmq, queue), `queue "` + queue + `": .*406.*\(config, refused\)`},
		{"amqp: a port of TLS", amqp("url: %q, queue: q", "amqp"+strings.TrimPrefix(rabbitTLS, "amqps")), `seems to speak TLS: write amqps://.*\(config, refused\)`},
		{"amqp: a port without TLS", amqp("url: %q, queue: q", "amqps"+strings.TrimPrefix(b.rabbitmq, "amqp")),
			`does not speak TLS: write amqp://.*\(config, refused\)`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.yaml")
			if err := os.WriteFile(file, []byte("name: tried\nallow_loss: [key, headers]\n"+test.pipeline+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{"SECRET=unspeakable"}
			text, stderr, code := millstream(t, nil, env, "validate", "--connect", file)
			whole := text + stderr
			structured, stderr, codeJSON := millstream(t, nil, env, "validate", "--connect", "--format", "json", file)
			if whole += structured + stderr; strings.Contains(whole, "unspeakable") {
				t.Errorf("the password is shown: %s", whole)
			}
			if test.want == "" {
				if code != 0 || codeJSON != 0 || !strings.Contains(text, `pipeline "tried" is valid`) {
					t.Errorf("exit %d and %d: %s", code, codeJSON, whole)
				}
				return
			}
			if code != 2 || codeJSON != 2 {
				t.Errorf("exit %d and %d, want 2", code, codeJSON)
			}
			if !regexp.MustCompile(`(?m)^[^\n]*p\.yaml:\d+:\d+: error: [^\n]*` + test.want + ` \[no-connection\]$`).MatchString(text) {
				t.Errorf("got %s\nwant %s", text, test.want)
			}
			message := connectFinding(t, structured)
			if !regexp.MustCompile(test.want + `$`).MatchString(message) {
				t.Errorf("got %s\nwant %s", message, test.want)
			}
		})
	}
}

// connectFinding is the message of the one finding about a connection.
func connectFinding(t *testing.T, structured string) (message string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(structured))
	for decoder.More() {
		var v any
		if err := decoder.Decode(&v); err != nil {
			t.Fatalf("%v: %s", err, structured)
		}
		all, isList := v.([]any)
		if !isList {
			all = []any{v}
		}
		for _, f := range all {
			if finding, ok := f.(map[string]any); ok && finding["code"] == "no-connection" {
				if message != "" {
					t.Errorf("two findings: %s", structured)
				}
				message, _ = finding["message"].(string)
			}
		}
	}
	return message
}
