//go:build integration

package amqp

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
)

// freshName is a name that nobody else uses.
func freshName(t testing.TB) string {
	return fmt.Sprintf("%s-%08x", strings.ToLower(strings.Map(letters, t.Name())), rand.Uint32())
}

// freshExchange makes an exchange that the test removes.
func freshExchange(t testing.TB, ch *amqp.Channel, kind string) string {
	t.Helper()
	name := freshName(t)
	if err := ch.ExchangeDeclare(name, kind, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ch.ExchangeDelete(name, false, false) })
	return name
}

func TestADeclaredQueueIsBoundAndKnowsWhereItsMessagesWereSent(t *testing.T) {
	url := brokerURL(t)
	ch := plainChannel(t, url)
	topic, headers := freshExchange(t, ch, "topic"), freshExchange(t, ch, "headers")
	queue := freshName(t)
	t.Cleanup(func() { _, _ = ch.QueueDelete(queue, false, false, false) })
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf(
		`{url: %q, queue: %s, declare: {type: quorum, arguments: {x-max-length: 100, x-overflow: reject-publish}, bindings: [`+
			`{exchange: %s, routing_key: "a.#"}, {exchange: %s, arguments: {x-match: all, kind: 3}}]}}`, url, queue, topic, headers)), in)
	for _, m := range []struct {
		exchange, key string
		headers       amqp.Table
	}{{topic, "a.b.c", nil}, {topic, "b", nil}, {headers, "", amqp.Table{"kind": int64(3)}}, {headers, "", amqp.Table{"kind": int64(4)}}} {
		if err := ch.PublishWithContext(t.Context(), m.exchange, m.key, false, false, amqp.Publishing{Headers: m.headers}); err != nil {
			t.Fatal(err)
		}
	}
	in.waitFor(t, 2)
	batches := in.take()
	var sent []map[string]any
	for _, r := range records(batches) {
		all := extra(r)
		sent = append(sent, map[string]any{"exchange": all["exchange"], "routing_key": all["routing_key"]})
	}
	want := []map[string]any{{"exchange": topic, "routing_key": "a.b.c"}, {"exchange": headers, "routing_key": ""}}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
	settle(run.source, batches, delivered)
	run.close(t)
}

func TestASinkMakesTheExchangeThatItDeclares(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	exchange := freshName(t)
	t.Cleanup(func() { _ = ch.ExchangeDelete(exchange, false, false) })
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, exchange: %s, routing_key: k, declare: {type: topic}}", url, exchange))
	if err := ch.QueueBind(queue, "k", exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	outs, err := prepareBodies(p, "1")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	if outs[0].Err != nil {
		t.Fatal(outs[0].Err)
	}
	get(t, ch, queue, 1)
}

func TestPropertiesOfTheFileOverrideThoseOfTheMessage(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf(`{url: %q, routing_key: %s, properties: {content_type: text/plain, `+
		`content_encoding: "", message_id: "m-{{ body.n }}", correlation_id: "{{ meta.c }}", reply_to: answers, type: "t.{{ body.n }}", `+
		`app_id: app, priority: "{{ body.n }}", expiration: 60s}}`, url, queue))
	o, err := prepare(p, flow.Record{Body: []byte(`{"n":5}`), Headers: []flow.Header{flow.TextHeader("c", "corr")},
		Props: &flow.Properties{ContentType: "application/json", ContentEncoding: "identity", MessageID: "old"}})
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, o)
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	d := get(t, ch, queue, 1)[0]
	got := []any{d.ContentType, d.ContentEncoding, d.MessageId, d.CorrelationId, d.ReplyTo, d.Type, d.AppId, d.Priority, d.Expiration}
	want := []any{"text/plain", "identity", "m-5", "corr", "answers", "t.5", "app", uint8(5), "60000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{`{"n":256}`, `{"n":"high"}`} {
		_, err := prepare(p, flow.Record{Body: []byte(body), Headers: []flow.Header{flow.TextHeader("c", "corr")}})
		wantError(t, err, flow.Permanent, flow.CodeEncode)
	}
}

func TestDroppedMessagesAreRejectedWhereTheFileSaysSo(t *testing.T) {
	url := brokerURL(t)
	dead, ch := freshQueue(t, url, nil)
	queue, _ := freshQueue(t, url, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
	publish(t, ch, queue, numbered(0, 6)...)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, on_drop: reject}", url, queue)), in)
	in.waitFor(t, 6)
	settle(run.source, in.take(), func(r *flow.Record) flow.End {
		if r.Body[0] == '2' {
			return flow.Dropped
		}
		return flow.Delivered
	})
	d := get(t, ch, dead, 1)[0]
	if string(d.Body) != "2" {
		t.Errorf("%s is dead", d.Body)
	}
	deaths, _ := d.Headers["x-death"].([]any)
	if len(deaths) != 1 || deaths[0].(amqp.Table)["reason"] != "rejected" {
		t.Errorf("x-death is %v", d.Headers["x-death"])
	}
	run.close(t)
	waitForReady(t, ch, queue, 0)
}

func TestAMessageThatAQuorumQueueDeliversTooOftenIsPoison(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	publish(t, ch, queue, numbered(0, 1)...)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s, max_deliveries: 3}", url, queue)), in)
	for attempt := int32(1); attempt <= 4; attempt++ {
		in.waitFor(t, 1)
		batches := in.take()
		r := records(batches)[0]
		if r.Attempt != attempt {
			t.Fatalf("attempt %d, want %d", r.Attempt, attempt)
		}
		if attempt <= 3 {
			if r.Failure != nil {
				t.Fatalf("attempt %d failed: %v", attempt, r.Failure)
			}
			settle(run.source, batches, func(*flow.Record) flow.End { return flow.Open })
			continue
		}
		if r.Failure == nil {
			t.Fatal("the fourth delivery is taken as any other")
		}
		wantError(t, r.Failure, flow.Poison, flow.CodeDeliveries)
		settle(run.source, batches, delivered)
	}
	run.close(t)
	waitForReady(t, ch, queue, 0)
}

// admin asks the broker's management interface.
func admin(t testing.TB, method, path, body string) {
	t.Helper()
	base := os.Getenv("MILLSTREAM_RABBITMQ_HTTP")
	if base == "" {
		t.Fatal("MILLSTREAM_RABBITMQ_HTTP is empty")
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, base+path, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

func secureURL(t testing.TB) (url, dir string) {
	t.Helper()
	brokerURL(t)
	url, dir = os.Getenv("MILLSTREAM_RABBITMQ_TLS"), os.Getenv("MILLSTREAM_TLS_DIR")
	if url == "" || dir == "" {
		t.Fatal("MILLSTREAM_RABBITMQ_TLS or MILLSTREAM_TLS_DIR is empty")
	}
	return url, dir
}

func TestTheClientsCertificateLogsIn(t *testing.T) {
	url, dir := secureURL(t)
	admin(t, http.MethodPut, "/api/users/client", `{"password":"","tags":""}`)
	admin(t, http.MethodPut, "/api/permissions/%2F/client", `{"configure":".*","write":".*","read":".*"}`)
	plain, ch := freshQueue(t, brokerURL(t), nil)
	_, at, _ := strings.Cut(url, "@")
	secure := fmt.Sprintf("url: %q, auth: external, tls: {ca: %s/ca.pem, cert: %s/client.pem, key: %s/client.key}", "amqps://"+at, dir, dir, dir)
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{%s, routing_key: %s}", secure, plain))
	outs, err := prepareBodies(p, "1")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	if outs[0].Err != nil {
		t.Fatal(outs[0].Err)
	}
	waitForReady(t, ch, plain, 1)
	in := newIntake()
	run := start(t, mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{%s, queue: %s}", secure, plain)), in)
	in.waitFor(t, 1)
	settle(run.source, in.take(), delivered)
	run.close(t)
}

func TestRefusalsAreToldApart(t *testing.T) {
	url, dir := secureURL(t)
	plainURL := brokerURL(t)
	user := freshName(t)[:20]
	admin(t, http.MethodPut, "/api/users/"+user, `{"password":"pw","tags":""}`)
	admin(t, http.MethodPut, "/api/permissions/%2F/"+user, `{"configure":"","write":"","read":""}`)
	t.Cleanup(func() { admin(t, http.MethodDelete, "/api/users/"+user, "") })
	vhost := "a/b " + user
	escaped := "a%2Fb%20" + user
	admin(t, http.MethodPut, "/api/vhosts/"+escaped, "")
	admin(t, http.MethodPut, "/api/permissions/"+escaped+"/test", `{"configure":".*","write":".*","read":".*"}`)
	t.Cleanup(func() { admin(t, http.MethodDelete, "/api/vhosts/"+escaped, "") })
	queue, ch := freshQueue(t, plainURL, nil)
	exchange := freshExchange(t, ch, "topic")
	nobody := strings.Replace(plainURL, "test:test@", user+":pw@", 1)
	_, at, _ := strings.Cut(url, "@")
	inVhost := strings.TrimSuffix(plainURL, "/") + "/" + escaped
	tests := []struct {
		name, source, sink string
		class              flow.Class
		code               flow.Code
		says               string
	}{
		{name: "no permission to declare", sink: fmt.Sprintf("{url: %q, exchange: %s, declare: {type: topic}}", nobody, exchange),
			class: flow.ConfigError, code: flow.CodeAuth, says: exchange},
		{name: "a queue declared otherwise", source: fmt.Sprintf("{url: %q, queue: %s, declare: {type: quorum}}", plainURL, queue),
			class: flow.ConfigError, code: flow.CodeRefused, says: queue},
		{name: "an exchange declared otherwise", sink: fmt.Sprintf("{url: %q, exchange: %s, declare: {type: fanout}}", plainURL, exchange),
			class: flow.ConfigError, code: flow.CodeRefused, says: exchange},
		{name: "a missing exchange of a binding", source: fmt.Sprintf("{url: %q, queue: %s, declare: {bindings: [{exchange: nobody-has-this}]}}", plainURL, queue),
			class: flow.ConfigError, code: flow.CodeMissing, says: "nobody-has-this"},
		{name: "a queue of another vhost", source: fmt.Sprintf("{url: %q, queue: %s}", inVhost, queue), class: flow.ConfigError, code: flow.CodeMissing, says: vhost},
		{name: "an unknown authority", sink: fmt.Sprintf("{url: %q, routing_key: %s}", url, queue), class: flow.ConfigError, code: flow.CodeAuth, says: "certificate"},
		{name: "another name in the certificate", sink: fmt.Sprintf("{url: %q, routing_key: %s, tls: {ca: %s/ca.pem, server_name: other}}", url, queue, dir),
			class: flow.ConfigError, code: flow.CodeAuth, says: "other"},
		{name: "a certificate that no user has", sink: fmt.Sprintf("{url: %q, auth: external, routing_key: %s, tls: {ca: %s/ca.pem, cert: %s/server.pem, key: %s/server.key}}",
			"amqps://"+at, queue, dir, dir, dir), class: flow.ConfigError, code: flow.CodeAuth, says: "localhost"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := connectortest.NewHost(t)
			var err error
			if test.source != "" {
				_, err = openSource(t, host, test.source)
			} else {
				_, _, err = openSink(t, host, test.sink)
			}
			wantError(t, err, test.class, test.code)
			if !strings.Contains(fmt.Sprint(err), test.says) || strings.Contains(fmt.Sprint(err), ":pw@") {
				t.Errorf("it says: %v", err)
			}
		})
	}
}

func TestASilentNodeDoesNotKeepFromTheNextOne(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // its backlog takes connections, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{urls: ['amqp://test:test@%s/', %q], routing_key: %s}", silent.Addr(), url, queue))
	outs, err := prepareBodies(p, "x")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	if err := firstError(outs); err != nil {
		t.Error(err)
	}
	get(t, ch, queue, 1)
}

func TestNodesThatAllRefuseThePasswordAreNoPassingFailure(t *testing.T) {
	wrong := strings.Replace(brokerURL(t), "test:test", "test:wrong", 1)
	_, err := openSource(t, connectortest.NewHost(t), fmt.Sprintf("{urls: [%q, %q], queue: q}", wrong, wrong))
	wantError(t, err, flow.ConfigError, flow.CodeAuth)
	_, err = openSource(t, connectortest.NewHost(t), fmt.Sprintf("{urls: [%q, 'amqp://127.0.0.1:1/'], queue: q}", wrong))
	wantError(t, err, flow.Transient, flow.CodeUnavailable)
}

func TestNoPermissionToReadEndsTheSource(t *testing.T) {
	url := brokerURL(t)
	user := freshName(t)[:20]
	admin(t, http.MethodPut, "/api/users/"+user, `{"password":"pw","tags":""}`)
	admin(t, http.MethodPut, "/api/permissions/%2F/"+user, `{"configure":".*","write":".*","read":""}`)
	t.Cleanup(func() { admin(t, http.MethodDelete, "/api/users/"+user, "") })
	queue, _ := freshQueue(t, url, nil)
	s := mustSource(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, queue: %s}", strings.Replace(url, "test:test@", user+":pw@", 1), queue))
	err := s.Run(t.Context(), newIntake())
	wantError(t, err, flow.ConfigError, flow.CodeAuth)
	if !strings.Contains(fmt.Sprint(err), queue) {
		t.Errorf("it says: %v", err)
	}
	_ = s.Close(t.Context())
}

func TestNoPermissionToWriteFailsTheMessageAndNamesTheExchange(t *testing.T) {
	url := brokerURL(t)
	user := freshName(t)[:20]
	admin(t, http.MethodPut, "/api/users/"+user, `{"password":"pw","tags":""}`)
	admin(t, http.MethodPut, "/api/permissions/%2F/"+user, `{"configure":".*","write":"","read":".*"}`)
	t.Cleanup(func() { admin(t, http.MethodDelete, "/api/users/"+user, "") })
	ch := plainChannel(t, url)
	exchange := freshExchange(t, ch, "topic")
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, exchange: %s}", strings.Replace(url, "test:test@", user+":pw@", 1), exchange))
	outs, err := prepareBodies(p, "1")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, outs...)
	wantError(t, outs[0].Err, flow.ConfigError, flow.CodeAuth)
	if !strings.Contains(outs[0].Err.Error(), exchange) {
		t.Errorf("it says: %v", outs[0].Err)
	}
}

func TestConnectLooksAndChangesNothing(t *testing.T) {
	url := brokerURL(t)
	queue, ch := freshQueue(t, url, nil)
	publish(t, ch, queue, numbered(0, 3)...)
	waitForReady(t, ch, queue, 3)
	source := func(text string) error {
		cfg := &Source{}
		var built config.Source
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSource(b) })
		noFindings(t, findings)
		return built.Connect(t.Context(), connectortest.NewHost(t))
	}
	sink := func(text string) error {
		cfg := &Sink{}
		var built config.Sink
		_, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) { built = cfg.BuildSink(b) })
		noFindings(t, findings)
		return built.Connect(t.Context(), connectortest.NewHost(t))
	}
	for _, err := range []error{
		source(fmt.Sprintf("{url: %q, queue: %s}", url, queue)),
		source(fmt.Sprintf("{url: %q, queue: not-there, declare: {}}", url)),
		sink(fmt.Sprintf("{url: %q, routing_key: %s}", url, queue)),
		sink(fmt.Sprintf("{url: %q, exchange: not-there, declare: {}}", url)),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	wantError(t, source(fmt.Sprintf("{url: %q, queue: not-there}", url)), flow.ConfigError, flow.CodeMissing)
	wantError(t, sink(fmt.Sprintf("{url: %q, exchange: not-there}", url)), flow.ConfigError, flow.CodeMissing)
	waitForReady(t, ch, queue, 3)
	for _, name := range []string{"not-there"} {
		other := plainChannel(t, url)
		if _, err := other.QueueDeclarePassive(name, true, false, false, false, nil); err == nil {
			t.Errorf("%s was made", name)
		}
	}
}

func TestABlockedConnectionIsBackPressure(t *testing.T) {
	url, brokers := ownBroker(t)
	ch := plainChannel(t, url)
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	s, p := mustSink(t, connectortest.NewHost(t), fmt.Sprintf("{url: %q, routing_key: q, confirm_timeout: 1s}", url))
	first, err := prepareBodies(p, "1")
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, first...)
	brokers("alarm")
	sent := make(chan error, 1)
	outs, err := prepareBodies(p, values(0, 50)...)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, o := range outs {
			if err := connectortest.Send(context.Background(), s, []*flow.Outgoing{o}); err != nil {
				sent <- err
				return
			}
		}
		sent <- firstError(outs)
	}()
	select {
	case err := <-sent:
		t.Fatalf("a blocked broker took everything: %v", err)
	case <-time.After(3 * time.Second): // longer than confirm_timeout
	}
	brokers("calm")
	select {
	case err := <-sent:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("the sink does not go on")
	}
	waitForReady(t, ch, "q", 51)
}
