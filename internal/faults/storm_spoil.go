package faults

import "strings"

// spoil makes a file wrong in the nth of many ways, and names it.
func (s *Storm) spoil(text string, n int) (spoiled, wrong string) {
	node := func(step string) string { return strings.Replace(text, "steps:\n", "steps:\n  - "+step+"\n", 1) }
	sink := func(to string) string {
		at := strings.Index(text, "\nto: ")
		return text[:at+1] + "to: " + to + "\n"
	}
	ways := []struct{ wrong, text string }{
		{"yaml", text + "steps: [\n"},
		{"unknown field", text + "nonsense: 1\n"},
		{"expression", node("filter: body.id >")},
		{"types", node(`filter: '"a" + 1 > true'`)},
		{"cycle", "name: " + stormName + "\nsources: { in: { generate: { body: n } } }\nnodes:\n  a: { from: [in, b], filter: body > 1 }\n" +
			"  b: { from: a, filter: body > 1 }\nsinks: { out: { from: b, drop: {} } }\n"},
		{"missing secret", text + "vars: { secret: \"${file:/nowhere/secret}\" }\n"},
		{"missing variable", text + "vars: { secret: \"${MILLSTREAM_NOWHERE}\" }\n"},
		{"unreachable RabbitMQ", sink(`{ amqp: { url: "amqp://127.0.0.1:1", exchange: e, routing_key: k } }`)},
		{"unreachable Kafka", sink(`{ kafka: { brokers: ["127.0.0.1:1"], topic: t } }`)},
		{"unwritable file", sink("{ file: { path: /dev/null/nowhere/out.ndjson } }")},
		{"port in use", "name: " + stormName + "\nfrom: { http: { listen: \"" + s.taken.Addr().String() + "\", path: /in } }\nto: { drop: {} }\n"},
	}
	way := ways[n%len(ways)]
	return way.text, way.wrong
}
