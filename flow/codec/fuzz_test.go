package codec

import (
	"testing"

	"github.com/millstream/millstream/flow/value"
)

// fuzzFormat holds a parser against its writer: what is read is written again and reads as the same, or cannot be written.
func fuzzFormat(f *testing.F, format *Format, seeds ...string) {
	f.Helper()
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	for _, list := range bombs(f) {
		for _, b := range list {
			if b.format.Name == format.Name && len(b.payload) < 1<<12 {
				f.Add(b.payload)
			}
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 {
			return
		}
		v, err := format.Coder.Decode(payload)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		if x, err := value.FromAny(v.Box()); err != nil {
			t.Fatalf("%#v: %v", x.Box(), err)
		}
		again, err := format.Coder.Append(nil, v)
		if err != nil || len(again) == 0 {
			return
		}
		w, err := format.Coder.Decode(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %q: %v", again, err)
		}
		if !same(v.Box(), w.Box()) && !hasNaN(v.Box()) {
			t.Fatalf("%#v became %#v by %q", v.Box(), w.Box(), again)
		}
	})
}

// hasNaN tells of the one number that does not equal itself.
func hasNaN(x any) bool {
	switch x := x.(type) {
	case float64:
		return x != x
	case []any:
		for _, e := range x {
			if hasNaN(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range x {
			if hasNaN(e) {
				return true
			}
		}
	}
	return false
}

func FuzzDecodeNDJSON(f *testing.F) { fuzzFormat(f, NDJSON(), "1\n{\"a\":[]}\n\nnull\r\n") }

func FuzzDecodeCSV(f *testing.F) {
	format, err := CSV(CSVOptions{Header: true, Types: map[string]string{"n": "int", "f": "float", "b": "bool"}})
	if err != nil {
		f.Fatal(err)
	}
	fuzzFormat(f, format, "n,f,b,s\n1,2.5,true,\"a\"\"b\nc\"\n,,,\n", "\uFEFFa\n\"\"\n", "a\r\n\"x\r\ny\"\r\n")
}

func FuzzDecodeCSVWithoutHeader(f *testing.F) {
	format, err := CSV(CSVOptions{Delimiter: ';'})
	if err != nil {
		f.Fatal(err)
	}
	fuzzFormat(f, format, "a;b\n;\n\"\"\n")
}

func FuzzDecodeXML(f *testing.F) {
	fuzzFormat(f, XML(XMLOptions{Lists: []string{"item"}}), `<?xml version="1.0"?><n:a xmlns:n="u" x="1">t<b/>u<b>&lt;</b><!-- c --><item><![CDATA[<]]></item></n:a>`)
}

func FuzzDecodeYAML(f *testing.F) {
	fuzzFormat(f, YAML(), "a: &x [1, 2.5, true, ~, 'q', \"d\\n\"]\nb: *x\nc: |\n  t\n  u\nd: !!binary aGVsbG8=\n2026-01-02: 2026-01-02\n", "- - a\n  - {b: c}\n", "\"\\u0085\"")
}

func FuzzDecodeMsgpack(f *testing.F) {
	fuzzFormat(f, Msgpack(), "\x85\xa1a\x01\xa1b\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18\xa1c\xc4\x01\xff\xa1d\x92\xc0\xc3\xa1e\xd6\xff\x00\x00\x00\x01", "\xc7\x0c\xff\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff")
}

func FuzzDecodeCBOR(f *testing.F) {
	format, err := CBOR()
	if err != nil {
		f.Fatal(err)
	}
	fuzzFormat(f, format, "\xa2\x61a\xf9\x3c\x00\x61b\x82\xf6\xf5", "\xc0\x742026-01-02T03:04:05Z", "\xc1\x1a\x51\x4b\x67\xb0", "\xc2\x41\x05", "\xd9\xd9\xf7\x01", "\x9f\x01\xff")
}

func FuzzDecodeAvro(f *testing.F) {
	format := readingAvro(f)
	fuzzFormat(f, format, "\x04d1\x02\x00\x01\x00abcd\x00\x00\x00\x02\x02\x02\x02\x01\x00\x00")
}

func FuzzDecodeProtobuf(f *testing.F) {
	fuzzFormat(f, readingProto(f), "\x0a\x02d1\x10\x03\x48\x01\x52\x01a\x5a\x04\x08\x01\x12\x00\x6a\x02\x08\x01", "\x82\x01\x0a\x0a\x08\x0a\x01a\x12\x03\x1a\x01b")
}

// FuzzUnwrap holds the byte codecs against payloads that were not made by them.
func FuzzUnwrap(f *testing.F) {
	gz, err := Gzip(6)
	if err != nil {
		f.Fatal(err)
	}
	zs, err := Zstd()
	if err != nil {
		f.Fatal(err)
	}
	layers := []Layer{gz, zs, Snappy(false), Snappy(true), Base64(false, true), Base64(true, false)}
	for i, l := range layers {
		b, err := l.Do(nil, []byte("hello hello hello"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		const most = 1 << 16
		out, err := (&Chain{Layers: layers[int(which)%len(layers):][:1]}).Unwrap(payload, most)
		if err == nil && len(out) > maxTimes*most && len(out) > len(payload) {
			t.Fatalf("%d bytes out of %d", len(out), len(payload))
		}
	})
}

// FuzzAvroSchema: no text of a schema makes a reader panic.
func FuzzAvroSchema(f *testing.F) {
	f.Add([]byte(readingSchema))
	f.Add([]byte(`{"type":"fixed","name":"a","size":99999999999}`))
	f.Add([]byte(`["null",{"type":"array","items":"int"}]`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		format, err := Avro(AvroOptions{Schema: schema, ID: -1})
		if err == nil {
			_, _ = format.Coder.Decode([]byte("\x02\x02\x02\x02\x02\x02\x02\x02"))
		}
	})
}
