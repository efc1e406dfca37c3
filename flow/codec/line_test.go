package codec

import (
	"strings"
	"testing"

	"github.com/millstream/millstream/flow/value"
)

func csvOf(t *testing.T, o CSVOptions) *Format {
	t.Helper()
	return must(t)(CSV(o))
}

func TestARowOfCSVOnALineHasNoEndAndNoHeader(t *testing.T) {
	row := value.Map(map[string]any{"n": 1, "s": "a,b"})
	for _, test := range []struct {
		name string
		o    CSVOptions
		v    value.Value
		want string
		head string
	}{
		{"names", CSVOptions{Columns: []string{"s", "n"}}, row, `"a,b",1`, ""},
		{"a header and its order", CSVOptions{Header: true, Columns: []string{"n", "s"}}, row, `1,"a,b"`, "n,s"},
		{"a list of one row", CSVOptions{Columns: []string{"s", "n"}}, value.List([]any{row.Box()}), `"a,b",1`, ""},
		{"no names", CSVOptions{Delimiter: ';'}, value.List([]any{1, "a;b"}), `1;"a;b"`, ""},
		{"an empty field alone", CSVOptions{Columns: []string{"a"}}, value.Map(map[string]any{"a": ""}), `""`, ""},
		{"a mark", CSVOptions{Columns: []string{"a"}}, value.Map(map[string]any{"a": "\ufeffx"}), "\ufeff\ufeffx", ""},
	} {
		lined, head, err := csvOf(t, test.o).Lined()
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		got, err := lined.Append([]byte("before "), test.v)
		if err != nil || string(got) != "before "+test.want || string(head) != test.head {
			t.Errorf("%s: %q under %q, %v", test.name, got, head, err)
		}
	}
}

func TestWhatNoLineOfCSVCanSayIsAnError(t *testing.T) {
	named := CSVOptions{Columns: []string{"a"}}
	for want, v := range map[string]value.Value{
		`column "a" holds a newline`:          value.Map(map[string]any{"a": "x\ny"}),
		"the body has 2 rows":                 value.List([]any{map[string]any{"a": 1}, map[string]any{"a": 2}}),
		"the body has 0 rows":                 value.List([]any{}),
		`there is no column for "b"`:          value.Map(map[string]any{"a": 1, "b": 2}),
		"it is string, and must be a map of":  value.String("x"),
		`it is int, and must be a map of col`: value.List([]any{1}),
	} {
		lined, _, _ := csvOf(t, named).Lined()
		if got, err := lined.Append(nil, v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
	}
	if _, _, err := csvOf(t, CSVOptions{Header: true}).Lined(); err == nil {
		t.Error("a header without columns is written once, whatever comes later")
	}
}

func TestLinesReadAsTheHeaderAboveThemSays(t *testing.T) {
	f := csvOf(t, CSVOptions{Header: true, Delimiter: ';', Types: map[string]string{"n": "int"}})
	if !f.Headed() || JSON().Headed() || csvOf(t, CSVOptions{Columns: []string{"a"}}).Headed() {
		t.Error("Headed is wrong")
	}
	under := f.Under([]byte("\ufeffid;\"n\""))
	v, err := under.Decode([]byte("d1;5"))
	if err != nil || !value.Equal(v, value.List([]any{map[string]any{"id": "d1", "n": 5}})) {
		t.Errorf("%v, %v", v.Box(), err)
	}
	if out, err := under.Append(nil, v); err != nil || string(out) != "d1;5" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := under.Decode([]byte("d1;5;6")); err == nil {
		t.Error("a field too many is taken")
	}
	for header, want := range map[string]string{"a;a": `names the column "a" twice`, "\"a": "the header line: line 1", "\xff": "the header line: it holds bytes"} {
		if _, err := f.Under([]byte(header)).Decode([]byte("1;2")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", header, err, want)
		}
	}
}
