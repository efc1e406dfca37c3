package value_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

var berlin = time.FixedZone("CET", 3600)

func TestValueBoxesToWhatItWasMadeOf(t *testing.T) {
	at := time.Date(1200, 1, 2, 3, 4, 5, 6, berlin)
	tests := []struct {
		v    value.Value
		kind value.Kind
		want any
	}{
		{value.Value{}, value.KindNil, nil},
		{value.Bool(true), value.KindBool, true},
		{value.Bool(false), value.KindBool, false},
		{value.Int(math.MinInt64), value.KindInt, math.MinInt64},
		{value.Float(-0.5), value.KindFloat, -0.5},
		{value.String(""), value.KindString, ""},
		{value.String("ä"), value.KindString, "ä"},
		{value.Bytes([]byte{0, 255}), value.KindBytes, []byte{0, 255}},
		{value.Time(at), value.KindTime, at},
		{value.Duration(-time.Second), value.KindDuration, -time.Second},
		{value.List([]any{1, "a"}), value.KindList, []any{1, "a"}},
		{value.Map(map[string]any{"a": 1}), value.KindMap, map[string]any{"a": 1}},
		{value.Delete(), value.KindDelete, value.Marker(value.KindDelete)},
		{value.Keep(), value.KindKeep, value.Marker(value.KindKeep)},
	}
	for _, tt := range tests {
		t.Run(tt.kind.String(), func(t *testing.T) {
			got := tt.v.Box()
			if tt.v.Kind() != tt.kind || !cmp.Equal(got, tt.want) || reflect.TypeOf(got) != reflect.TypeOf(tt.want) {
				t.Errorf("got %v of %T, want %v", got, got, tt.want)
			}
			back, err := value.FromAny(got)
			if err != nil || back.Kind() != tt.kind || !value.Equal(back, tt.v) {
				t.Errorf("comes back as %v (%v)", back.Box(), err)
			}
			if tt.v.IsNil() != (tt.kind == value.KindNil) || tt.v.IsNumber() != (tt.kind == value.KindInt || tt.kind == value.KindFloat) {
				t.Error("IsNil or IsNumber is wrong")
			}
		})
	}
}

func TestTimeKeepsItsLocation(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, berlin)
	if got := value.Time(at).Time(); got.Format(time.RFC3339Nano) != "2026-01-02T03:04:05.000000006+01:00" {
		t.Errorf("got %s", got)
	}
}

func TestBytesCannotBeAppendedInto(t *testing.T) {
	buffer := []byte("abcd")
	_ = append(value.Bytes(buffer[:2]).BytesValue(), 'X')
	if string(buffer) != "abcd" {
		t.Errorf("the buffer became %s", buffer)
	}
}

func TestScalarsDoNotAllocate(t *testing.T) {
	at, text := time.Now(), strings.Repeat("x", 3)
	var sum int64
	if n := testing.AllocsPerRun(10, func() {
		for _, v := range [...]value.Value{value.Int(1 << 40), value.Float(1.5), value.String(text), value.Time(at), value.Duration(9), value.Bool(true)} {
			sum += v.Int()
		}
	}); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}

type named string

func TestFromAnyTakesUsualGoTypes(t *testing.T) {
	tests := []struct {
		name     string
		in, want any
	}{
		{"small integers", []any{int8(-1), int16(2), int32(3), int64(4), uint8(5), uint16(6), uint32(7), uint64(8), uint(9)}, []any{-1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"float32", float32(0.5), 0.5},
		{"typed list", []string{"a", "b"}, []any{"a", "b"}},
		{"list of ints", []int{1}, []any{1}},
		{"list of maps", []map[string]int{{"a": 1}}, []any{map[string]any{"a": 1}}},
		{"array", [2]bool{true, false}, []any{true, false}},
		{"typed map", map[string]string{"a": "b"}, map[string]any{"a": "b"}},
		{"map with keys of any", map[any]any{"a": []int64{1}}, map[string]any{"a": []any{1}}},
		{"named string", named("x"), "x"},
		{"a Value inside", []any{value.Int(3)}, []any{3}},
		{"bytes stay bytes", map[string]any{"a": []byte{1}}, map[string]any{"a": []byte{1}}},
		{"deep change", map[string]any{"a": []any{"same", int8(1)}}, map[string]any{"a": []any{"same", 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := value.FromAny(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Box()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFromAnyCopiesOnlyWhatChanges(t *testing.T) {
	in := map[string]any{"a": []any{int8(1), "x"}, "b": map[string]any{"c": 1}}
	got, err := value.FromAny(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, changed := in["a"].([]any)[0].(int); changed {
		t.Error("the input was changed")
	}
	got.Map()["b"].(map[string]any)["c"] = 2 // allowed here only: it tells whether the map is shared
	if in["b"].(map[string]any)["c"] != 2 {
		t.Error("a map without changes was copied")
	}
}

func TestFromAnyNamesWhatCannotStandInAMessage(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = loop
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"function", func() {}, "func()"},
		{"channel in a list", []any{make(chan int)}, "chan int"},
		{"struct in a map", map[string]any{"a": struct{ X int }{}}, "struct { X int }"},
		{"pointer", new(int), "*int"},
		{"large unsigned", uint64(math.MaxUint64), "18446744073709551615"},
		{"keys that are no strings", map[int]string{7: "x"}, "keys"},
		{"a map that contains itself", loop, "contains itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := value.FromAny(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestEqualComparesNumbersByValue(t *testing.T) {
	utc := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		a, b value.Value
		want bool
	}{
		{"int and float", value.Int(1), value.Float(1), true},
		{"float and int", value.Float(-3), value.Int(-3), true},
		{"int and fraction", value.Int(1), value.Float(1.5), false},
		{"neighbours above 2^53", value.Int(1<<53 + 1), value.Float(1 << 53), false},
		{"beyond int64", value.Int(math.MaxInt64), value.Float(1 << 63), false},
		{"NaN", value.Float(math.NaN()), value.Float(math.NaN()), false},
		{"signed zeros", value.Float(math.Copysign(0, -1)), value.Float(0), true},
		{"string and bytes", value.String("a"), value.Bytes([]byte("a")), false},
		{"nil and false", value.Value{}, value.Bool(false), false},
		{"one instant in two zones", value.Time(utc), value.Time(utc.In(berlin)), true},
		{"numbers in lists", value.List([]any{1, 2.0}), value.List([]any{1.0, 2}), true},
		{"lists of different length", value.List([]any{1}), value.List([]any{1, nil}), false},
		{"maps", value.Map(map[string]any{"a": []any{1}}), value.Map(map[string]any{"a": []any{1.0}}), true},
		{"nil member and missing one", value.Map(map[string]any{"a": nil}), value.Map(map[string]any{"b": nil}), false},
		{"bytes", value.Bytes([]byte{1}), value.Bytes([]byte{1}), true},
		{"durations", value.Duration(1), value.Duration(2), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := value.Equal(tt.a, tt.b); got != tt.want {
				t.Errorf("got %v", got)
			}
			if got := value.Equal(tt.b, tt.a); got != tt.want {
				t.Errorf("got %v the other way round", got)
			}
		})
	}
}

func TestOwnSharesNothingWithThePayload(t *testing.T) {
	payload := []byte(`{"key":["text",{"a":"b"}]}`)
	v, err := value.ParseJSON(payload)
	if err != nil {
		t.Fatal(err)
	}
	owned := []value.Value{value.Own(v), value.Own(value.String(v.Map()["key"].([]any)[0].(string))), value.Own(value.Bytes(payload[:2]))}
	for i := range payload {
		payload[i] = '#'
	}
	if diff := cmp.Diff(map[string]any{"key": []any{"text", map[string]any{"a": "b"}}}, owned[0].Box()); diff != "" {
		t.Error(diff)
	}
	if owned[1].Str() != "text" || string(owned[2].BytesValue()) != `{"` {
		t.Error("a string or bytes still alias the payload")
	}
}

func TestParseNumberKeepsIntegersExact(t *testing.T) {
	tests := []struct {
		text string
		want any
	}{
		{"0", 0}, {"-0", 0}, {"-0.0", math.Copysign(0, -1)}, {"104.0", 104.0}, {"9223372036854775807", math.MaxInt64},
		{"-9223372036854775808", math.MinInt64}, {"9223372036854775808", 9223372036854775808.0}, {"1e2", 100.0}, {"0.1", 0.1},
		{"123456789012345678", 123456789012345678}, {"0.30000000000000004", 0.30000000000000004}, {"1e-400", 0.0},
		{"9007199254740.993", 9007199254740.993}, {"17976931348623157" + strings.Repeat("0", 292), math.MaxFloat64},
	}
	for _, tt := range tests {
		got, err := value.ParseNumber([]byte(tt.text), strings.ContainsAny(tt.text, ".eE"))
		if err != nil || !reflect.DeepEqual(got.Box(), tt.want) {
			t.Errorf("%s: got %v (%v), want %v", tt.text, got.Box(), err, tt.want)
		}
	}
	for _, text := range []string{"", "-", "01", "1.", "1e", "1x", "1e999", strings.Repeat("9", 310)} {
		if v, err := value.ParseNumber([]byte(text), false); err == nil {
			t.Errorf("%q was read as %v", text, v.Box())
		}
	}
}

func TestParseJSONSaysWhatIsWrongAndWhere(t *testing.T) {
	tests := []struct {
		name, text string
		offset     int
		reason     string
	}{
		{"nothing", "", 0, "expected a value"},
		{"white space only", " \n", 2, "expected a value"},
		{"cut short", `{"a":[1,`, 8, "expected a value"},
		{"missing colon", `{"a" 1}`, 5, "':'"},
		{"key without quotes", `{a:1}`, 1, "double quotes"},
		{"comma before the end", `{"a":1,}`, 7, "double quotes"},
		{"missing comma", `[1 2]`, 3, "',' or ']'"},
		{"missing comma in a map", `{"a":1 "b":2}`, 7, "',' or '}'"},
		{"text behind", `{} x`, 3, "behind the end"},
		{"leading zero", `[01]`, 1, "malformed number"},
		{"too large", `{"a":1e999}`, 5, "too large"},
		{"escape", `"a\x"`, 2, "escape"},
		{"short unicode escape", `"\u12"`, 1, "escape"},
		{"raw newline", "\"a\nb\"", 2, "control character"},
		{"open string", `"abc`, 4, "closing quote"},
		{"literal", `[nul]`, 1, "expected a value"},
		{"no UTF-8", "{\"a\":\"\xff\"}", 6, "UTF-8"},
		{"half a rune", "\"\xe2\x82\"", 1, "UTF-8"},
		{"byte order mark", "\ufeff{}", 0, "byte order mark"},
		{"too deep", strings.Repeat("[", 600), 512, "512 lists and maps"},
		{"too deep in maps", strings.Repeat(`{"a":`, 600), 512 * 5, "512 lists and maps"},
		{"too many values", "[" + strings.Repeat("1,", 1_000_000) + "1]", 2_000_000, "1000000 values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := value.ParseJSON([]byte(tt.text))
			e, ok := err.(*syntax.Error)
			if !ok {
				t.Fatalf("got error %v", err)
			}
			if tt.name != "too many values" && e.Offset != tt.offset {
				t.Errorf("got offset %d, want %d", e.Offset, tt.offset)
			}
			if !strings.Contains(e.Error(), tt.reason) {
				t.Errorf("got %q, want %q in it", e, tt.reason)
			}
		})
	}
}

func TestParseJSONTakesAsManyValuesAsItMay(t *testing.T) {
	list := "[" + strings.Repeat("1,", syntax.MaxValues-2) + "1]"
	if v, err := value.ParseJSON([]byte(list)); err != nil || len(v.List()) != syntax.MaxValues-1 {
		t.Fatal(err)
	}
	long := `{"a":"` + strings.Repeat(`,[{`, 1_000_000) + `"}` // these stand in a string
	if _, err := value.ParseJSON([]byte(long)); err != nil {
		t.Fatal(err)
	}
	nested := "[" + strings.Repeat(`{"a":[]},`, syntax.MaxValues/2-1) + "{}]"
	if _, err := value.ParseJSON([]byte(nested)); err != nil {
		t.Fatal(err)
	}
	if _, err := value.ParseJSON([]byte("[" + strings.Repeat(`{"a":[]},`, syntax.MaxValues/2) + "{}]")); err == nil {
		t.Fatal("one value too many was read")
	}
}

func TestParseJSONReadsWhatTheTextSays(t *testing.T) {
	tests := []struct {
		name, text string
		want       any
	}{
		{"last of duplicate keys", `{"a":1,"\u0061":2}`, map[string]any{"a": 2}},
		{"escapes", `"\"\\\/\b\f\n\r\tä\u00e4"`, "\"\\/\b\f\n\r\tää"},
		{"surrogate pair", `"\ud83d\ude00"`, "😀"},
		{"half a surrogate pair", `"\ud83dx\ude00"`, "\uFFFDx\uFFFD"},
		{"half before a pair", `"\ud83d\ud83d\ude00"`, "\uFFFD😀"},
		{"empty ones", ` [ { } , [ ] , "" ] `, []any{map[string]any{}, []any{}, ""}},
		{"literals", `[true,false,null]`, []any{true, false, nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := value.ParseJSON([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Box()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAppendJSONWritesTheShortestForm(t *testing.T) {
	tests := []struct {
		name string
		v    value.Value
		want string
	}{
		{"nil", value.Value{}, "null"},
		{"whole float", value.Float(104.0), "104"},
		{"fraction", value.Float(0.1), "0.1"},
		{"large float", value.Float(1e21), "1e+21"},
		{"small float", value.Float(1e-7), "1e-7"},
		{"float with a long exponent", value.Float(1.5e-300), "1.5e-300"},
		{"int", value.Int(math.MinInt64), "-9223372036854775808"},
		{"no HTML escapes", value.String("<a&b>\u2028"), "\"<a&b>\u2028\""},
		{"control characters", value.String("\"\\\n\t\r\x01\x7f"), "\"\\\"\\\\\\n\\t\\r\\u0001\x7f\""},
		{"sorted keys", value.Map(map[string]any{"b": 1, "a": []any{nil, true}, "": map[string]any{}}), `{"":{},"a":[null,true],"b":1}`},
		{"time in UTC", value.Time(time.Date(2026, 1, 2, 3, 4, 5, 600, berlin)), `"2026-01-02T02:04:05.0000006Z"`},
		{"duration", value.Duration(90 * time.Second), `"1m30s"`},
		{"nil list and map", value.List([]any{[]any(nil), map[string]any(nil)}), `[[],{}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := value.AppendJSON([]byte("x"), tt.v)
			if err != nil || string(got) != "x"+tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

func TestAppendJSONRefusesWhatJSONCannotSay(t *testing.T) {
	loop := []any{nil}
	loop[0] = loop
	tests := []struct {
		name string
		v    value.Value
		want string
	}{
		{"NaN", value.Float(math.NaN()), "not finite"},
		{"infinity in a list", value.List([]any{1, math.Inf(-1)}), "not finite"},
		{"bytes", value.Map(map[string]any{"a": []byte{1}}), "toBase64"},
		{"invalid string", value.String("\xff"), "UTF-8"},
		{"invalid key", value.Map(map[string]any{"\xff": 1}), "UTF-8"},
		{"far year", value.Time(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "year"},
		{"marker", value.Delete(), "delete"},
		{"foreign type", value.List([]any{int8(1)}), "int8"},
		{"a list that contains itself", value.List(loop), "deeply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := value.AppendJSON([]byte("x"), tt.v)
			if err == nil || !strings.Contains(err.Error(), tt.want) || string(got) != "x" {
				t.Errorf("got %q and error %v, want one with %q", got, err, tt.want)
			}
		})
	}
	if got := value.AppendJSONString(nil, "a\xffb"); string(got) != "\"a\uFFFDb\"" {
		t.Errorf("got %s", got)
	}
}
