//go:build integration

package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// connectSource and connectSink try a connection without opening anything.
func connectSource(t *testing.T, text string) error {
	t.Helper()
	cfg := &Source{}
	var built config.Source
	_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSource(b) })
	noMistakes(t, findings)
	return built.Connect(t.Context(), connectortest.NewHost(t))
}

func connectSink(t *testing.T, text string) error {
	t.Helper()
	cfg := &Sink{}
	var built config.Sink
	_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
	noMistakes(t, findings)
	return built.Connect(t.Context(), connectortest.NewHost(t))
}

func TestConnectSaysWhatIsWrongAndChangesNothing(t *testing.T) {
	brokers, secure := realBrokers(t), fromEnvironment(t, "MILLSTREAM_KAFKA_SASL")
	topic := freshTopic(t, brokers, 1)
	missing := freshName(t)
	tests := []struct {
		name, source, sink string
		class              flow.Class
		code               flow.Code
	}{
		{name: "all is well", source: fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s}", brokers, topic, topic),
			sink: fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, topic)},
		{name: "a topic of the message", source: fmt.Sprintf("{brokers: [%q], topics: [/%s.*/], group: %s}", brokers, missing, topic),
			sink: fmt.Sprintf("{brokers: [%q], topic: 'x-{{ key }}'}", brokers)},
		{name: "a topic that is missing", source: fmt.Sprintf("{brokers: [%q], topics: [%s], group: g}", brokers, missing),
			sink: fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, missing), class: flow.ConfigError, code: flow.CodeMissing},
		{name: "no broker", source: "{brokers: ['127.0.0.1:1'], topics: [x], group: g}", sink: "{brokers: ['127.0.0.1:1'], topic: x}",
			class: flow.Transient, code: flow.CodeUnavailable},
		{name: "a wrong password",
			source: fmt.Sprintf("{brokers: [%q], topics: [x], group: g, sasl: {mechanism: SCRAM-SHA-512, username: test, password: wrong}}", secure),
			sink:   fmt.Sprintf("{brokers: [%q], topic: x, sasl: {mechanism: PLAIN, username: test, password: wrong}}", secure),
			class:  flow.ConfigError, code: flow.CodeAuth},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, err := range []error{connectSource(t, test.source), connectSink(t, test.sink)} {
				if test.code == "" {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				wantError(t, err, test.class, test.code)
			}
		})
	}
	admin := kadm.NewClient(plainClient(t, brokers))
	if err := connectSink(t, fmt.Sprintf("{brokers: [%q], topic: %s, create: {}}", brokers, missing)); err != nil {
		t.Error(err)
	}
	topics, err := admin.ListTopics(t.Context(), missing)
	if err != nil {
		t.Fatal(err)
	}
	if topics.Has(missing) && topics[missing].Err == nil {
		t.Error("trying has made the topic")
	}
	groups, err := admin.DescribeGroups(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(groups[topic].Members); n != 0 {
		t.Errorf("trying has put %d members into the group", n)
	}
}

// deny keeps a user from a topic or group.
func deny(t *testing.T, brokers string, kind kmsg.ACLResourceType, name, user string, operation kmsg.ACLOperation) {
	t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	c := kmsg.NewCreateACLsRequestCreation()
	c.ResourceType, c.ResourceName, c.ResourcePatternType = kind, name, kmsg.ACLResourcePatternTypeLiteral
	c.Principal, c.Host, c.Operation, c.PermissionType = "User:"+user, "*", operation, kmsg.ACLPermissionTypeDeny
	allow := c
	allow.Principal, allow.Operation, allow.PermissionType = "User:*", kmsg.ACLOperationAll, kmsg.ACLPermissionTypeAllow
	req.Creations = append(req.Creations, c, allow)
	resp, err := req.RequestWith(t.Context(), plainClient(t, brokers))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resp.Results {
		if r.ErrorCode != 0 {
			t.Fatalf("create an ACL: %v", deref(r.ErrorMessage))
		}
	}
}

func TestWhatIsNotPermittedIsAConfigError(t *testing.T) {
	plain, _ := ownBroker(t, "kafka-acl", 4500)
	secure := fmt.Sprintf("127.0.0.1:%d", 21094+4500)
	const user = "sasl: {mechanism: SCRAM-SHA-256, username: test, password: test}"
	open := freshTopic(t, plain, 1)
	unread, unwritten, hidden := freshTopic(t, plain, 1), freshTopic(t, plain, 1), freshTopic(t, plain, 1)
	deny(t, plain, kmsg.ACLResourceTypeTopic, unread, "test", kmsg.ACLOperationRead)
	deny(t, plain, kmsg.ACLResourceTypeTopic, unwritten, "test", kmsg.ACLOperationWrite)
	deny(t, plain, kmsg.ACLResourceTypeTopic, hidden, "test", kmsg.ACLOperationAll)
	deny(t, plain, kmsg.ACLResourceTypeGroup, "closed", "test", kmsg.ACLOperationAll)
	deny(t, plain, kmsg.ACLResourceTypeTransactionalId, "test.pipeline.component", "test", kmsg.ACLOperationAll)
	host := connectortest.NewHost(t)
	sinkText := func(topic string) string { return fmt.Sprintf("{brokers: [%q], topic: %s, %s}", secure, topic, user) }
	sourceText := func(topic, group string) string {
		return fmt.Sprintf("{brokers: [%q], topics: [%s], group: %s, %s}", secure, topic, group, user)
	}
	t.Run("to see a topic", func(t *testing.T) {
		wantError(t, connectSource(t, sourceText(hidden, "g")), flow.ConfigError, flow.CodeAuth)
		wantError(t, connectSink(t, sinkText(hidden)), flow.ConfigError, flow.CodeAuth)
	})
	t.Run("to see a group", func(t *testing.T) {
		wantError(t, connectSource(t, sourceText(open, "closed")), flow.ConfigError, flow.CodeAuth)
	})
	t.Run("to write", func(t *testing.T) {
		s, p := mustSink(t, host, sinkText(unwritten))
		outs, err := connectortest.Outgoings(p, "1", "2")
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, outs...)
		for _, o := range outs {
			wantError(t, o.Err, flow.ConfigError, flow.CodeAuth)
		}
	})
	for _, test := range []struct{ name, text string }{
		{"to join a group", sourceText(open, "closed")}, {"to read", sourceText(unread, "free")},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := &logged{}
			host := connectortest.NewHost(t)
			host.Log = log.logger()
			run := start(t, mustSource(t, host, test.text), newIntake())
			select {
			case err := <-run.ended:
				wantError(t, err, flow.ConfigError, flow.CodeAuth)
			case <-time.After(patience):
				t.Error("the source goes on as if nothing was wrong")
			}
			run.stop()
			run.close(t)
			if n := log.count(""); n > 1 {
				t.Errorf("%d lines are logged before the error:\n%s", n, log.text())
			}
		})
	}
	t.Run("to write in transactions", func(t *testing.T) {
		out := freshTopic(t, plain, 1)
		in := freshTopic(t, plain, 1)
		produceAll(t, plain, numbered(in, 0, 1)...)
		running, stop := startPipeline(t, "test", fmt.Sprintf(`
name: pipeline
delivery: exactly_once
connections: { k: { kafka: { brokers: [%q], %s } } }
sources: { component: { kafka: { use: k, topics: [%s], group: %s } } }
sinks: { out: { from: component, kafka: { use: k, topic: %s } } }
`, secure, user, in, in, out))
		select {
		case <-running.Done():
		case <-time.After(patience):
			t.Error("the pipeline goes on as if nothing was wrong")
		}
		err := stop()
		t.Log(err)
		if n := running.Balance().Delivered; n != 0 {
			t.Errorf("%d records count as delivered", n)
		}
	})
	t.Run("with a certificate", func(t *testing.T) {
		dir := fromEnvironment(t, "MILLSTREAM_TLS_DIR")
		deny(t, plain, kmsg.ACLResourceTypeTopic, open, "CN=client", kmsg.ACLOperationAll)
		broker := fmt.Sprintf("localhost:%d", 21095+4500)
		none := fmt.Sprintf("{brokers: [%q], topic: %s, tls: {ca: %s/ca.pem}}", broker, open, dir)
		if err := connectSink(t, none); err != nil {
			t.Errorf("without one: %v", err)
		}
		own := fmt.Sprintf("{brokers: [%q], topic: %s, tls: {ca: %[3]s/ca.pem, cert: %[3]s/client.pem, key: %[3]s/client.key}}", broker, open, dir)
		err := connectSink(t, own)
		for late := time.Now().Add(patience / 4); err == nil && time.Now().Before(late); err = connectSink(t, own) {
			time.Sleep(50 * time.Millisecond) // the broker has not heard of the new rule
		}
		wantError(t, err, flow.ConfigError, flow.CodeAuth) // it is known as the one that may not
		cert, key := strangeCertificate(t)
		strange := fmt.Sprintf("{brokers: [%q], topic: %s, tls: {ca: %s/ca.pem, cert: %s, key: %s}}", broker, open, dir, cert, key)
		err = connectSink(t, strange)
		wantError(t, err, flow.ConfigError, flow.CodeAuth)
		t.Log(err)
	})
}

// strangeCertificate is one that no authority has signed.
func strangeCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stranger"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", signed), write("key.pem", "PRIVATE KEY", encoded)
}

func TestNothingIsDeliveredToWhatIsMissingOrTooSmall(t *testing.T) {
	brokers := realBrokers(t)
	small := freshTopic(t, brokers, 1, "max.message.bytes", "2000")
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: '%s{{ key ?? \"\" }}', create: {partitions: 3, config: {retention.ms: '60000'}}, max_topics: 3}",
		brokers, small))
	keys := []string{"", "-a", "-b", "-c", "-a"}
	var outs []*flow.Outgoing
	for _, k := range keys {
		r := flow.Record{Body: []byte("1")}
		if k != "" {
			r.Key = []byte(k)
		}
		o, err := prepare(p, "kafka", r)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, o)
	}
	send(t, s, outs...)
	for i, o := range outs {
		if i == 3 {
			wantError(t, o.Err, flow.Permanent, flow.CodeRefused)
		} else if o.Err != nil {
			t.Errorf("%s: %v", o.Dest, o.Err)
		}
	}
	admin := kadm.NewClient(plainClient(t, brokers))
	topics, err := admin.ListTopics(t.Context(), small+"-a", small+"-c")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topics[small+"-a"].Partitions); n != 3 {
		t.Errorf("the new topic has %d partitions, want 3", n)
	}
	if topics.Has(small+"-c") && topics[small+"-c"].Err == nil {
		t.Error("one topic too many was made")
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), small+"-a")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != "60000" {
			t.Errorf("retention.ms is %s", c.MaybeValue())
		}
	}
	_, _ = admin.DeleteTopics(t.Context(), small+"-a", small+"-b")
	bad := fmt.Sprintf("{brokers: [%q], topic: %s, create: {config: {no.such.setting: '1'}}}", brokers, freshName(t))
	_, _, err = openSink(t, connectortest.NewHost(t), bad)
	wantError(t, err, flow.ConfigError, flow.CodeRefused)
	bad = fmt.Sprintf("{brokers: [%q], topic: %s, create: {replication: 3}}", brokers, freshName(t))
	_, _, err = openSink(t, connectortest.NewHost(t), bad)
	wantError(t, err, flow.ConfigError, flow.CodeRefused)
}

// The hashes are those of org.apache.kafka.common.utils.Utils.murmur2, as Kafka's own tests have them.
func TestKeysGoWhereKafkasOwnClientsPutThem(t *testing.T) {
	brokers := realBrokers(t)
	const partitions = 7
	topic := freshTopic(t, brokers, partitions)
	hashes := map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	}
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{brokers: [%q], topic: %s}", brokers, topic))
	for key := range hashes {
		o, err := prepare(p, "kafka", flow.Record{Body: []byte(key), Key: []byte(key)})
		if err != nil {
			t.Fatal(err)
		}
		if send(t, s, o); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	got := fetchAll(t, brokers, topic, len(hashes))
	for _, r := range got {
		if want := (hashes[string(r.Key)] & 0x7fffffff) % partitions; r.Partition != want {
			t.Errorf("%s is in partition %d, want %d", r.Key, r.Partition, want)
		}
	}
}
