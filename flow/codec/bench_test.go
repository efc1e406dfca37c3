package codec

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// event is what the benchmarks carry: a message of some 230 bytes of JSON.
func event() map[string]any {
	return map[string]any{
		"device": "veh-1234", "ts": 1760000000000, "type": "telemetry", "speed": 62.5, "heading": 271, "lat": 48.137154, "lon": 11.576124,
		"battery": 0.82, "odometer": 123456, "firmware": "4.2.1-rc3", "region": "eu-central", "moving": true, "fault": nil, "driver": "d-99812",
	}
}

const eventSchema = `{"type":"record","name":"E","fields":[{"name":"device","type":"string"},{"name":"ts","type":"long"},{"name":"type","type":"string"},
	{"name":"speed","type":"double"},{"name":"heading","type":"int"},{"name":"lat","type":"double"},{"name":"lon","type":"double"},
	{"name":"battery","type":"double"},{"name":"odometer","type":"long"},{"name":"firmware","type":"string"},{"name":"region","type":"string"},
	{"name":"moving","type":"boolean"},{"name":"fault","type":["null","string"]},{"name":"driver","type":"string"}]}`

// BenchmarkFormat reads and writes one message in each format. JSON is what they compare with: whole, as the others are.
func BenchmarkFormat(b *testing.B) {
	csv, err := CSV(CSVOptions{Header: true})
	if err != nil {
		b.Fatal(err)
	}
	cbor, err := CBOR()
	if err != nil {
		b.Fatal(err)
	}
	avro, err := Avro(AvroOptions{Schema: []byte(eventSchema), ID: -1})
	if err != nil {
		b.Fatal(err)
	}
	json := &Format{Name: "json", Kind: document.Coded, Coder: wholeJSON{}}
	rows := value.List([]any{event()})
	for _, c := range []struct {
		format *Format
		v      value.Value
	}{
		{json, value.Map(event())}, {NDJSON(), rows}, {csv, rows}, {XML(XMLOptions{}), value.Map(map[string]any{"event": event()})},
		{YAML(), value.Map(event())}, {Msgpack(), value.Map(event())}, {cbor, value.Map(event())}, {avro, value.Map(event())},
	} {
		payload, err := c.format.Coder.Append(nil, c.v)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.format.Name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				if _, err := c.format.Coder.Decode(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.format.Name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			var room []byte
			for b.Loop() {
				if room, err = c.format.Coder.Append(room[:0], c.v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// wholeJSON decodes all of a JSON text, as no pipeline does.
type wholeJSON struct{}

func (wholeJSON) Decode(payload []byte) (value.Value, error) { return value.ParseJSON(payload) }

func (wholeJSON) Append(dst []byte, v value.Value) ([]byte, error) { return value.AppendJSON(dst, v) }

// BenchmarkLayer wraps and unwraps a hundred lines of JSON, all different, and one.
func BenchmarkLayer(b *testing.B) {
	gz, err := Gzip(6)
	if err != nil {
		b.Fatal(err)
	}
	zs, err := Zstd()
	if err != nil {
		b.Fatal(err)
	}
	for _, lines := range []int{1, 100} {
		var plain []byte
		for i := range lines {
			e := event()
			e["ts"], e["odometer"], e["device"] = 1760000000000+i*997, 123456+i*i, fmt.Sprint("veh-", i*7919%10000)
			line, err := value.AppendJSON(nil, value.Map(e))
			if err != nil {
				b.Fatal(err)
			}
			plain = append(append(plain, line...), '\n')
		}
		for _, l := range []Layer{gz, zs, Snappy(false), Base64(false, true)} {
			chain := &Chain{Layers: []Layer{l}}
			wrapped, err := chain.Wrap(nil, plain)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/unwrap/%d", l.Name, lines), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(plain)))
				for b.Loop() {
					if out, err := chain.Unwrap(wrapped, 1<<20); err != nil || !bytes.Equal(out, plain) {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("%s/wrap/%d", l.Name, lines), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(plain)))
				var room []byte
				for b.Loop() {
					if room, err = chain.Wrap(room[:0], plain); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
