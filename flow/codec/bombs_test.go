package codec

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
)

// bombs are payloads that want much of whoever reads them, by the format that reads them.
func bombs(t testing.TB) map[string][]struct {
	name    string
	format  *Format
	payload []byte
} {
	type bomb = struct {
		name    string
		format  *Format
		payload []byte
	}
	const n = 1 << 20
	repeat := func(s string) []byte { return bytes.Repeat([]byte(s), n/len(s)) }
	huge := func(first byte, size uint32) []byte { return binary.BigEndian.AppendUint32([]byte{first}, size) }
	long := func(x int64) []byte { return binary.AppendVarint(nil, x) }
	cbor := must(t)(CBOR())
	nulls := must(t)(Avro(AvroOptions{Schema: []byte(`{"type":"array","items":"null"}`), ID: -1}))
	records := must(t)(Avro(AvroOptions{Schema: []byte(`{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"a","type":"null"}]}}`), ID: -1}))
	self := must(t)(Avro(AvroOptions{Schema: []byte(`{"type":"record","name":"R","fields":[{"name":"n","type":["null","R"]}]}`), ID: -1}))
	proto := readingProto(t)
	// A message inside a message, as deep as a mebibyte allows.
	nested := []byte{}
	for len(nested) < 2000 {
		nested = append(append([]byte{0x9a, 0x01}, binary.AppendUvarint(nil, uint64(len(nested)))...), nested...)
	}
	entity := `<!DOCTYPE a [<!ENTITY a "` + strings.Repeat("x", 1000) + `"><!ENTITY b "` + strings.Repeat("&a;", 1000) + `">]><a>&b;</a>`
	laughs := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		d, p := string(rune('0'+i)), string(rune('0'+i-1))
		laughs += "a" + d + ": &a" + d + " [" + strings.Repeat("*a"+p+",", 9) + "*a" + p + "]\n"
	}
	// Lists inside each other, each of which says that it has as many elements as there are bytes.
	greedy := func(first byte, size uint32, key string) []byte {
		one := append(huge(first, size), key...)
		return append(bytes.Repeat(one, MaxDepth-1), make([]byte, n)...)
	}
	return map[string][]bomb{
		"greedy nesting": {
			{"msgpack lists", Msgpack(), greedy(0xdd, 900_000, "")}, {"msgpack maps", Msgpack(), greedy(0xdf, 450_000, "\xa0")},
			{"cbor lists", cbor, greedy(0x9a, 900_000, "")}, {"cbor maps", cbor, greedy(0xba, 450_000, "\x60")},
		},
		"deep nesting": {
			{"msgpack", Msgpack(), repeat("\x91")}, {"msgpack maps", Msgpack(), repeat("\x81\xa1a")}, {"cbor", cbor, repeat("\x81")},
			{"cbor tags", cbor, repeat("\xd9\xd9\xf7")}, {"yaml", YAML(), repeat("[")}, {"yaml mappings", YAML(), repeat("{a: ")}, {"yaml dashes", YAML(), repeat("- ")},
			{"xml", XML(XMLOptions{}), repeat("<a>")}, {"ndjson", NDJSON(), repeat("[")}, {"avro", self, repeat("\x02")}, {"protobuf", proto, nested},
			{"protobuf groups", proto, repeat("\x0b")},
		},
		"huge lengths": {
			{"msgpack list", Msgpack(), huge(0xdd, 1<<31)}, {"msgpack map", Msgpack(), huge(0xdf, 1<<32-1)}, {"msgpack text", Msgpack(), huge(0xdb, 1<<32-1)},
			{"msgpack bytes", Msgpack(), huge(0xc6, 1<<31)}, {"msgpack extension", Msgpack(), append(huge(0xc9, 1<<32-1), 0xff)},
			{"cbor list", cbor, huge(0x9a, 1<<32-1)}, {"cbor map", cbor, huge(0xba, 1<<31)}, {"cbor text", cbor, huge(0x7a, 1<<31)},
			{"avro list", nulls, long(1 << 40)}, {"avro list of nothing", nulls, append(bytes.Repeat(long(900_000), 3), 0)},
			{"avro negative", nulls, append(long(-1<<62), long(0)...)}, {"protobuf", proto, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x07}},
		},
		"many values": {
			{"csv", must(t)(CSV(CSVOptions{})), repeat("a,\n,")}, {"yaml", YAML(), []byte("[" + strings.Repeat("[],", n/3) + "]")},
			{"csv rows that are maps", must(t)(CSV(CSVOptions{Header: true})), repeat("a\n")},
			{"msgpack small maps", Msgpack(), append(huge(0xdd, 349_000), bytes.Repeat([]byte{0x81, 0xa0, 0}, 349_000)...)},
			{"cbor small maps", cbor, append(huge(0x9a, 349_000), bytes.Repeat([]byte{0xa1, 0x60, 0}, 349_000)...)},
			{"avro records of nothing", records, append(long(499_000), 0)},
			{"xml", XML(XMLOptions{}), []byte("<r>" + strings.Repeat("<a/>", n) + "</r>")}, {"ndjson", NDJSON(), bytes.Repeat([]byte("1\n"), n)},
		},
		"aliases and entities": {
			{"yaml laughs", YAML(), []byte(laughs)}, {"yaml itself", YAML(), []byte("a: &a [*a]\n")}, {"xml entities", XML(XMLOptions{}), []byte(entity)},
			{"xml external entity", XML(XMLOptions{}), []byte(`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`)},
		},
	}
}

// mostMemory is what reading a bomb of some megabytes may take.
const mostMemory = 160 << 20

// allocated is how many bytes f asks for.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestNoFormatReadsABomb(t *testing.T) {
	for kind, list := range bombs(t) {
		for _, b := range list {
			t.Run(kind+"/"+b.name, func(t *testing.T) {
				var err error
				bytes := allocated(func() { _, err = b.format.Coder.Decode(b.payload) })
				if err == nil {
					t.Error("it was read")
				} else if len(err.Error()) > 2000 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
				if bytes > mostMemory {
					t.Errorf("it took %d MiB", bytes>>20)
				}
			})
		}
	}
}

func TestWhatIsManyButAllowedTakesLittleMemory(t *testing.T) {
	const n = 1 << 20
	for name, c := range map[string]struct {
		format  *Format
		payload []byte
	}{
		"msgpack": {Msgpack(), append(binary.BigEndian.AppendUint32([]byte{0xdd}, 900_000), bytes.Repeat([]byte{0x90}, 900_000)...)},
		"cbor":    {must(t)(CBOR()), append(binary.BigEndian.AppendUint32([]byte{0x9a}, 900_000), bytes.Repeat([]byte{0x80}, 900_000)...)},
		"csv":     {must(t)(CSV(CSVOptions{})), bytes.Repeat([]byte("a\n"), n/4)},
	} {
		var err error
		bytes := allocated(func() { _, err = c.format.Coder.Decode(c.payload) })
		if err != nil || bytes > mostMemory {
			t.Errorf("%s: %v, %d MiB", name, err, bytes>>20)
		}
	}
}

func TestNoByteCodecExpandsABomb(t *testing.T) {
	zeros := make([]byte, 64<<20)
	gz, err := Gzip(9)
	if err != nil {
		t.Fatal(err)
	}
	zs, err := Zstd()
	if err != nil {
		t.Fatal(err)
	}
	// A frame that says it holds 2^40 bytes.
	wide := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0xf8}, 0, 0, 0, 0, 0, 1, 0, 0)
	made := func(l Layer) []byte {
		b, err := l.Do(nil, zeros)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := map[string]struct {
		layer   Layer
		payload []byte
	}{
		"gzip 1028 to 1":     {gz, made(gz)},
		"zstd":               {zs, made(zs)},
		"zstd wide window":   {zs, wide},
		"snappy":             {Snappy(false), made(Snappy(false))},
		"snappy framed":      {Snappy(true), made(Snappy(true))},
		"snappy huge length": {Snappy(false), binary.AppendUvarint(nil, 1<<32-1)},
		"gzip members":       {gz, bytes.Repeat(made(gz)[:], 4)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var err error
			bytes := allocated(func() {
				_, err = (&Chain{Layers: []Layer{test.layer}}).Unwrap(test.payload, 1<<20)
			})
			if err == nil || bytes > 64<<20 {
				t.Errorf("%v after %d MiB", err, bytes>>20)
			}
		})
	}
}

func TestASmallPayloadMayRepeat(t *testing.T) {
	gz, err := Gzip(9)
	if err != nil {
		t.Fatal(err)
	}
	chain := &Chain{Layers: []Layer{gz}}
	for _, test := range []struct {
		size int
		ok   bool
	}{{64 << 10, true}, {65 << 10, false}, {10 << 20, false}} {
		wrapped, err := chain.Wrap(nil, make([]byte, test.size))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Unwrap(wrapped, 1<<20); (err == nil) != test.ok {
			t.Errorf("%d zeros in %d bytes: %v", test.size, len(wrapped), err)
		}
	}
	// What does not repeat may become four times max_message, and no more.
	random := make([]byte, 0, 6<<20)
	seed := uint32(1)
	for len(random) < cap(random) {
		seed = seed*1664525 + 1013904223
		random = append(random, byte(seed>>24)&0x0f)
	}
	for size, ok := range map[int]bool{4 << 20: true, 4<<20 + 1: false} {
		wrapped, err := chain.Wrap(nil, random[:size])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Unwrap(wrapped, 1<<20); (err == nil) != ok {
			t.Errorf("%d bytes in %d: %v", size, len(wrapped), err)
		}
	}
}

func TestTheBrokenAreNamedByPlace(t *testing.T) {
	cbor := must(t)(CBOR())
	avro := must(t)(Avro(AvroOptions{Schema: []byte(`{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"l","type":{"type":"array","items":"int"}}]}`), ID: -1}))
	framed := must(t)(Avro(AvroOptions{Schema: []byte(`"long"`), Confluent: true, ID: 7}))
	csv := must(t)(CSV(CSVOptions{Header: true, Types: map[string]string{"n": "int"}}))
	tests := []struct {
		format        *Format
		payload, want string
	}{
		{NDJSON(), "1\n\n{\"a\":}\n", `line 3: `},
		{NDJSON(), "1\n[2,]", `at byte 5`},
		{csv, "n,m\n1,2\nx,3\n", `row 2 (line 3): column "n": "x" is no whole number of 64 bits`},
		{csv, "n,m\n1\n", `row 1 (line 2): it has 1 fields, and there are 2 columns`},
		{csv, "n,m\n1,\"2\n", `line 2`},
		{csv, "n,n\n", `the header names the column "n" twice`},
		{csv, "n\n\xff\n", `not UTF-8`},
		{XML(XMLOptions{}), "<a>\n<b></a>", `<b> is ended by </a>, in line 2`},
		{XML(XMLOptions{}), "<a>", `<a> has no end`},
		{XML(XMLOptions{}), "<a/><b/>", `a second element`},
		{XML(XMLOptions{}), "x<a/>", `text stands outside`},
		{XML(XMLOptions{}), "<a>&copy;</a>", `invalid character entity`},
		{XML(XMLOptions{}), `<a x="1" x="2"/>`, `the attribute x comes twice`},
		{YAML(), "a: 1\nb: 0x1F\n", `body["b"]: "0x1F" is a number to some readers`},
		{YAML(), "a: .inf", `.inf`}, {YAML(), "a: 0123", `0123`}, {YAML(), "a: 1_000", `1_000`},
		{YAML(), "a: 1\na: 2\n", `the key "a" comes twice, in line 2`},
		{YAML(), "1: a", `a key that is no text`}, {YAML(), "a: 1\n---\nb: 2\n", `a second document`},
		{YAML(), "<<: {a: 1}", `merge key`}, {YAML(), "a: !x 1", `the tag`}, {YAML(), "a: 9223372036854775808000000000", ``},
		{Msgpack(), "\x81\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff", `body["a"]: the integer 18446744073709551615 is larger than an int can hold, at byte 12`},
		{Msgpack(), "\x92\x01", `the payload ends too early`}, {Msgpack(), "\x01\x02", `more behind the end`},
		{Msgpack(), "\x81\x01\x02", `a key of a map is no string`}, {Msgpack(), "\xd4\x05\x00", `the extension type 5 is not known`},
		{Msgpack(), "\xc1", `0xc1 begins no value`}, {Msgpack(), "\xa1\xff", `not UTF-8`},
		{cbor, "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", `the integer 18446744073709551615 is larger than an int can hold`}, {cbor, "\xa1\x01\x02", `a key of a map is no text but a positive integer`}, {cbor, "\xd8\x25\x41x", `the tag 37 is not known`},
		{cbor, "\xa2\x61a\x01\x61a\x02", `duplicate`}, {cbor, "\x82\x01", `unexpected EOF`}, {cbor, "\x61\xff", `UTF-8`},
		{avro, "\x02x\x02\x80\x80\x80\x80\x80\x01\x00", `body["l"][0]: an int of more than 32 bits`}, {avro, "\x08x", `body["a"]: the payload ends too early, at byte 1`},
		{avro, "\x00\x00\x00", `more behind the end, at byte 2`}, {framed, "\x00\x00\x00\x00\x08\x02", `it was written with schema 8, not 7`},
		{framed, "\x01\x02", `does not begin with a zero byte`},
		{readingProto(t), "\x0a\x05ab", `wire-format`}, {readingProto(t), "\x0a\x01\xff", `UTF-8`},
		{readingProto(t), "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", `body["total"]: the integer 18446744073709551615`},
	}
	for _, test := range tests {
		v, err := test.format.Coder.Decode([]byte(test.payload))
		if test.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %q: got %v, %v, want %s", test.format.Name, test.payload, v.Box(), err, test.want)
		}
	}
}

func TestBase64SaysWhereItIsNone(t *testing.T) {
	if _, err := Base64(false, true).Undo([]byte("aGVs!G8="), 100); err == nil || !strings.Contains(err.Error(), "at byte 4") {
		t.Error(err)
	}
	if b, err := Base64(false, true).Undo([]byte("aGVs\r\nbG8=\n"), 100); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
}
