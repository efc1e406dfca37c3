package codec

import (
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/millstream/millstream/flow/value"
)

// fatal is what must needs of a test.
type fatal interface {
	Helper()
	Fatal(args ...any)
}

// must makes a format whose options are known to be right.
func must(t fatal) func(f *Format, err error) *Format {
	return func(f *Format, err error) *Format {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

const readingSchema = `{"type":"record","name":"Reading","namespace":"plant","fields":[
	{"name":"device","type":"string"},{"name":"seq","type":"long"},{"name":"temp","type":["null","double"]},{"name":"ok","type":"boolean"},
	{"name":"raw","type":"bytes"},{"name":"id","type":{"type":"fixed","name":"ID","size":4}},
	{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
	{"name":"tags","type":{"type":"array","items":"string"}},{"name":"limits","type":{"type":"map","values":"int"}},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"day","type":{"type":"int","logicalType":"date"}},
	{"name":"took","type":{"type":"long","logicalType":"time-micros"}},
	{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":3}},
	{"name":"next","type":["null","Reading"]},{"name":"either","type":["null","string","long","double"]}]}`

func readingAvro(t testing.TB) *Format {
	return must(t)(Avro(AvroOptions{Schema: []byte(readingSchema), ID: -1}))
}

func readingProto(t testing.TB) *Format {
	return must(t)(Protobuf(t.Context(), ProtobufOptions{File: "reading.proto", Message: "plant.Reading", Open: fromTestdata}))
}

func fromTestdata(path string) (io.ReadCloser, error) {
	return os.Open(filepath.Join("testdata", path))
}

// texts are strings of all sorts; those of XML and YAML leave out what they cannot say, or read otherwise.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "null", "true", "yes", "0x1F", "0123", "1.5", " a ", "a: b", "- x", "#", "2026-01-02",
		"'", "\"", "~", "<<", "\n", "a\n\nb\n", "\t", "日本", "e\u0301", "\u0085", "\u2028", "!!int 5", "&a", "*a", "<a>&amp;</a>", "]]>", "1_000", ".inf"}))
}

func numbers() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) any { return rapid.Int().Draw(t, "int") }),
		rapid.Custom(func(t *rapid.T) any {
			return rapid.SampledFrom([]int{0, -1, math.MaxInt64, math.MinInt64, 1<<53 + 1, 127, -32, 255, 65536}).Draw(t, "edge")
		}),
		rapid.Custom(func(t *rapid.T) any {
			f := rapid.Float64().Draw(t, "float")
			if math.IsNaN(f) || math.IsInf(f, 0) {
				return 0.5
			}
			return f
		}),
	)
}

func times() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		return time.Unix(rapid.Int64Range(-62_135_596_800, 253_402_300_799).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
	})
}

// domain says what a format can say besides what JSON can.
type domain struct{ bytes, times bool }

// tree is any value of a domain.
func tree(d domain, depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "bool") }), numbers(),
		rapid.Custom(func(t *rapid.T) any { return texts().Draw(t, "text") }),
	}
	if d.bytes {
		leaves = append(leaves, rapid.Custom(func(t *rapid.T) any { return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes") }))
	}
	if d.times {
		leaves = append(leaves, times())
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	list := rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(tree(d, depth-1), 0, 4).Draw(t, "list") })
	mapping := rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(texts(), tree(d, depth-1), 0, 4).Draw(t, "map") })
	return rapid.OneOf(append(leaves, list, mapping)...)
}

// roundTrip writes a value and reads it again.
func roundTrip(t *rapid.T, f *Format, x any) {
	v := value.Unbox(x)
	payload, err := f.Coder.Append([]byte("before"), v)
	if err != nil {
		t.Fatalf("%s cannot write %#v: %v", f.Name, x, err)
	}
	if !strings.HasPrefix(string(payload), "before") {
		t.Fatalf("%s wrote over what was there", f.Name)
	}
	payload = payload[len("before"):]
	if len(payload) == 0 {
		t.Fatalf("%s wrote nothing for %#v", f.Name, x)
	}
	back, err := f.Coder.Decode(payload)
	if err != nil {
		t.Fatalf("%s cannot read %q: %v", f.Name, payload, err)
	}
	if !same(x, back.Box()) {
		t.Fatalf("%s: %#v became %#v by %q", f.Name, x, back.Box(), payload)
	}
	if f.Text && !utf8.Valid(payload) {
		t.Fatalf("%s wrote no text: %q", f.Name, payload)
	}
}

// same compares by type and value; 104.0 may come back as 104, as in JSON.
func same(a, b any) bool {
	if l, ok := a.([]any); ok {
		m, ok := b.([]any)
		if !ok || len(l) != len(m) {
			return false
		}
		for i := range l {
			if !same(l[i], m[i]) {
				return false
			}
		}
		return true
	}
	if l, ok := a.(map[string]any); ok {
		m, ok := b.(map[string]any)
		if !ok || len(l) != len(m) {
			return false
		}
		for k := range l {
			if !same(l[k], m[k]) {
				return false
			}
		}
		return true
	}
	if f, ok := a.(float64); ok {
		if i, ok := b.(int); ok {
			return float64(i) == f
		}
	}
	return fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b) && value.Equal(value.Unbox(a), value.Unbox(b))
}

func TestAnyValueOfItsDomainComesBackFromEachFormat(t *testing.T) {
	formats := map[string]struct {
		*Format
		domain
	}{
		"msgpack": {Msgpack(), domain{bytes: true, times: true}},
		"cbor":    {must(t)(CBOR()), domain{bytes: true, times: true}},
		"yaml":    {YAML(), domain{bytes: true}},
	}
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { roundTrip(t, f.Format, tree(f.domain, 3).Draw(t, "value")) })
		})
	}
	t.Run("ndjson", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { roundTrip(t, NDJSON(), rapid.SliceOfN(tree(domain{}, 2), 1, 4).Draw(t, "lines")) })
	})
}

func TestRowsComeBackFromCSV(t *testing.T) {
	cell := rapid.Custom(func(t *rapid.T) any {
		return rapid.OneOf(texts(), rapid.StringMatching("[a\"\r\n]{0,6}")).Draw(t, "cell")
	})
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z"; ,]{1,5}`), 1, 4, rapid.ID).Draw(t, "columns")
		rows := make([]any, rapid.IntRange(1, 4).Draw(t, "rows"))
		lists := make([]any, len(rows))
		for i := range rows {
			row, list := map[string]any{}, []any{}
			for _, c := range columns {
				row[c] = cell.Draw(t, "cell")
				list = append(list, row[c])
			}
			rows[i], lists[i] = row, list
		}
		for _, delimiter := range []rune{0, ';', '\t', '|'} {
			roundTrip(t, must(t)(CSV(CSVOptions{Header: true, Delimiter: delimiter})), rows)
			roundTrip(t, must(t)(CSV(CSVOptions{Columns: columns, Delimiter: delimiter})), rows)
			roundTrip(t, must(t)(CSV(CSVOptions{Delimiter: delimiter})), lists)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		row := map[string]any{"i": rapid.Int().Draw(t, "i"), "f": rapid.Float64Range(-1e300, 1e300).Draw(t, "f"), "b": rapid.Bool().Draw(t, "b"), "none": nil}
		roundTrip(t, must(t)(CSV(CSVOptions{Header: true, Types: map[string]string{"i": "int", "f": "float", "b": "bool", "none": "int"}})), []any{row})
	})
}

func TestElementsComeBackFromXML(t *testing.T) {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if !isXMLRune(r) || r == '\r' {
				return -1
			}
			return r
		}, s)
	}
	text := rapid.Custom(func(t *rapid.T) any { return clean(texts().Draw(t, "text")) })
	name := rapid.StringMatching(`[a-zA-Z_][a-z0-9._-]{0,3}(:[a-z]{1,3})?`)
	var content func(depth int) *rapid.Generator[any]
	content = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return text
		}
		return rapid.OneOf(text, rapid.Custom(func(t *rapid.T) any {
			m := map[string]any{}
			for _, n := range rapid.SliceOfN(name, 0, 3).Draw(t, "elements") {
				m[n] = content(depth-1).Draw(t, "element")
				if rapid.Bool().Draw(t, "repeat") {
					m[n] = []any{m[n], content(depth-1).Draw(t, "second")}
				}
			}
			for _, n := range rapid.SliceOfN(name, 0, 2).Draw(t, "attributes") {
				m["@"+n] = text.Draw(t, "attribute")
			}
			if len(m) == 0 {
				return ""
			}
			if s := text.Draw(t, "own"); strings.TrimSpace(s.(string)) != "" {
				m["#text"] = s
			}
			return m
		}))
	}
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, XML(XMLOptions{}), map[string]any{name.Draw(t, "root"): content(3).Draw(t, "content")})
	})
}

func anyReading(t *rapid.T, depth int, nanosOf int64) map[string]any {
	r := map[string]any{
		"device": texts().Draw(t, "device"), "seq": rapid.Int().Draw(t, "seq"), "temp": nil, "ok": rapid.Bool().Draw(t, "ok"),
		"raw": rapid.SliceOf(rapid.Byte()).Draw(t, "raw"), "id": rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "id"),
		"kind": rapid.SampledFrom([]string{"A", "B"}).Draw(t, "kind"), "tags": []any{}, "limits": map[string]any{},
		"at":  time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "at"), rapid.Int64Range(0, 999).Draw(t, "ms")*nanosOf).UTC(),
		"day": time.Unix(rapid.Int64Range(-1e5, 1e5).Draw(t, "day")*86400, 0).UTC(), "took": time.Duration(rapid.Int64Range(0, 86400e6).Draw(t, "took")) * time.Microsecond,
		"price": decimalText(big.NewInt(rapid.Int64().Draw(t, "price")), 3), "next": nil, "either": rapid.SampledFrom([]any{nil, "x", 5, 2.5, 2.0}).Draw(t, "either"),
	}
	if rapid.Bool().Draw(t, "has temp") {
		r["temp"] = rapid.Float64().Draw(t, "temp")
	}
	for range rapid.IntRange(0, 3).Draw(t, "n") {
		r["tags"] = append(r["tags"].([]any), texts().Draw(t, "tag"))
		r["limits"].(map[string]any)[texts().Draw(t, "limit")] = int(rapid.Int32().Draw(t, "int"))
	}
	if depth > 0 {
		r["next"] = anyReading(t, depth-1, nanosOf)
	}
	return r
}

func TestRecordsComeBackFromAvro(t *testing.T) {
	plain := readingAvro(t)
	framed := must(t)(Avro(AvroOptions{Schema: []byte(readingSchema), Confluent: true, ID: 7}))
	rapid.Check(t, func(t *rapid.T) {
		r := anyReading(t, rapid.IntRange(0, 2).Draw(t, "depth"), 1e6)
		roundTrip(t, plain, r)
		roundTrip(t, framed, r)
	})
}

func TestMessagesComeBackFromProtobuf(t *testing.T) {
	f := readingProto(t)
	var message func(t *rapid.T, depth int) map[string]any
	message = func(t *rapid.T, depth int) map[string]any {
		m := map[string]any{
			"device": texts().Draw(t, "device"), "seq": rapid.Int().Draw(t, "seq"), "count": int(rapid.Uint32().Draw(t, "count")),
			"total": int(rapid.Int64Range(0, math.MaxInt64).Draw(t, "total")), "temp": rapid.Float64().Draw(t, "temp"),
			"ratio": float64(rapid.Float32().Draw(t, "ratio")), "ok": rapid.Bool().Draw(t, "ok"), "raw": rapid.SliceOf(rapid.Byte()).Draw(t, "raw"),
			"kind": rapid.SampledFrom([]any{"KIND_UNKNOWN", "KIND_HOT", 7}).Draw(t, "kind"), "tags": []any{}, "limits": map[string]any{},
		}
		if rapid.Bool().Draw(t, "has note") {
			m["note"] = texts().Draw(t, "note")
		}
		if rapid.Bool().Draw(t, "times") {
			m["at"], m["took"] = times().Draw(t, "at"), time.Duration(rapid.Int64Range(-9e18, 9e18).Draw(t, "took"))
			m["maybe"] = texts().Draw(t, "maybe")
			m["free"] = rapid.MapOfN(texts(), tree(domain{}, 0), 0, 3).Filter(exact).Draw(t, "free")
		}
		switch rapid.IntRange(0, 2).Draw(t, "oneof") {
		case 0:
			m["name"] = texts().Draw(t, "name")
		case 1:
			m["number"] = int(rapid.Int32().Draw(t, "number"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			m["tags"] = append(m["tags"].([]any), texts().Draw(t, "tag"))
			m["limits"].(map[string]any)[fmt.Sprint(rapid.Int64().Draw(t, "key"))] = texts().Draw(t, "limit")
		}
		if depth > 0 {
			m["next"] = message(t, depth-1)
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		payload, err := f.Coder.Append(nil, value.Map(message(t, rapid.IntRange(0, 2).Draw(t, "depth"))))
		if err != nil {
			t.Fatal(err)
		}
		first, err := f.Coder.Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		if len(payload) > 0 {
			roundTrip(t, f, first.Box())
		}
	})
}

// exact leaves out integers that a Struct, whose numbers are floats, cannot hold.
func exact(m map[string]any) bool {
	for _, x := range m {
		if n, ok := x.(int); ok && (n > 1<<53 || n < -1<<53) {
			return false
		}
	}
	return true
}

func TestBytesComeBackFromEachByteCodec(t *testing.T) {
	gz, err := Gzip(6)
	if err != nil {
		t.Fatal(err)
	}
	zs, err := Zstd()
	if err != nil {
		t.Fatal(err)
	}
	layers := []Layer{gz, zs, Snappy(false), Snappy(true), Base64(false, true), Base64(true, false)}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		for _, l := range layers {
			out, err := l.Do([]byte("x"), b)
			if err != nil || out[0] != 'x' {
				t.Fatalf("%s: %v %q", l.Name, err, out)
			}
			back, err := l.Undo(out[1:], 1<<20)
			if err != nil || string(back) != string(b) {
				t.Fatalf("%s: %q became %q: %v", l.Name, b, back, err)
			}
		}
		chain := &Chain{Layers: []Layer{layers[4], layers[1]}} // base64 around zstd
		wrapped, err := chain.Wrap([]byte("x"), b)
		if err != nil || len(b) > 0 && wrapped[0] != 'x' {
			t.Fatal(err)
		}
		back, err := chain.Unwrap(wrapped[1:], 1<<20)
		if err != nil || string(back) != string(b) {
			t.Fatalf("%q became %q: %v", b, back, err)
		}
	})
}
