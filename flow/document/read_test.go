package document_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// segments reads a path as a test writes it: names and indexes between dots, such as "a.list.[0].x y"; "" is the root.
func segments(path string) []document.Segment {
	var out []document.Segment
	if path == "" {
		return nil
	}
	for part := range strings.SplitSeq(path, ".") {
		switch part {
		case "[0]", "[1]", "[2]", "[5]":
			out = append(out, index(int(part[1]-'0')))
		case "[-1]":
			out = append(out, index(-1))
		default:
			out = append(out, name(part))
		}
	}
	return out
}

func TestPathsAreWrittenAsExpressionsWriteThem(t *testing.T) {
	p := document.NewPaths()
	tests := map[string]string{
		"": "body", "a.b": "body.a.b", "a.b c.d.[0]": `body.a["b c"].d[0]`, "ä": `body["ä"]`, "_x1.2": `body._x1["2"]`, "l.[-1]": "body.l[-1]", `"`: `body["\""]`,
	}
	for path, want := range tests {
		slot := p.Read(segments(path)...)
		if got := p.String(slot); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if again := p.Write(segments(path)...); again != slot {
			t.Errorf("%s has slots %d and %d", want, slot, again)
		}
	}
	if p.String(document.Root) != "body" || p.Len() != 12 {
		t.Errorf("there are %d paths", p.Len())
	}
}

func TestGetAndLookup(t *testing.T) {
	const nilA = "body.a is nil, cannot read body.a.b; write body.a?.b, or give a default with ??"
	tests := []struct {
		name, payload, path string
		want                any
		getError            string // what Get says
		lookupError         bool   // Lookup says the same, instead of nil
	}{
		{"int", `{"a":9223372036854775807}`, "a", 9223372036854775807, "", false},
		{"too long for an int", `{"a":9223372036854775808}`, "a", 9223372036854775808.0, "", false},
		{"whole float", `{"a":104.0}`, "a", 104.0, "", false},
		{"negative zero", `{"a":-0}`, "a", 0, "", false},
		{"string", `{"a":"x"}`, "a", "x", "", false},
		{"escaped string", `{"a":"x\n\u00e4\ud800"}`, "a", "x\nä\uFFFD", "", false},
		{"literals", `{"a":{"b":true}}`, "a.b", true, "", false},
		{"false", `{"a":false}`, "a", false, "", false},
		{"null", `{"a":null}`, "a", nil, "", false},
		{"map", `{"a":{"b":[1,{"c":null}]}}`, "a", map[string]any{"b": []any{1, map[string]any{"c": nil}}}, "", false},
		{"root", ` [1] `, "", []any{1}, "", false},
		{"element", `{"a":[1,[2,3]]}`, "a.[1].[0]", 2, "", false},
		{"element from the end", `{"a":[1,2,{"b":3}]}`, "a.[-1].b", 3, "", false},
		{"escaped key", `{"\u0061":{"b\u0020c":1}}`, "a.b c", 1, "", false},
		{"empty key", `{"":1}`, "", map[string]any{"": 1}, "", false},
		{"last of duplicate keys", `{"a":1,"b":0,"a":2}`, "a", 2, "", false},
		{"superseded map", `{"a":{"b":1},"a":{}}`, "a.b", nil, "", false},
		{"superseded by null", `{"a":{"b":1},"a":null}`, "a.b", nil, nilA, false},
		{"missing", `{"b":1}`, "a", nil, "", false},
		{"below missing", `{}`, "a.b", nil, nilA, false},
		{"below null", `{"a":null}`, "a.b", nil, nilA, false},
		{"far below missing", `{}`, "a.b.c", nil, "body.a is nil, cannot read body.a.b.c; write body.a?.b.c, or give a default with ??", false},
		{"element of nil", `{}`, "a.[0]", nil, "body.a is nil, cannot read body.a[0]; write body.a?.[0], or give a default with ??", false},
		{"below a missing member of a map", `{"a":{}}`, "a.b.c", nil, "body.a.b is nil, cannot read body.a.b.c; write body.a.b?.c, or give a default with ??", false},
		{"below a null root", `null`, "a", nil, "body is nil, cannot read body.a; write body?.a, or give a default with ??", false},
		{"below an empty payload", ``, "a", nil, "body is nil, cannot read body.a; write body?.a, or give a default with ??", false},
		{"below a string", `{"a":"x"}`, "a.b", nil, "body.a is a string, cannot read body.a.b", true},
		{"below a number", `{"a":{"b":1}}`, "a.b.c.d", nil, "body.a.b is a number, cannot read body.a.b.c.d", true},
		{"below a bool", `true`, "a", nil, "body is a bool, cannot read body.a", true},
		{"name in a list", `{"a":[1]}`, "a.b", nil, "body.a is a list, cannot read body.a.b", true},
		{"index in a map", `{"a":{}}`, "a.[0]", nil, "body.a is a map, cannot read body.a[0]", true},
		{"behind the end", `{"a":[1]}`, "a.[1]", nil, "body.a has 1 element, cannot read body.a[1]", false},
		{"far behind the end", `{"a":[1,2]}`, "a.[5].b", nil, "body.a has 2 elements, cannot read body.a[5].b", false},
		{"before the start", `{"a":[]}`, "a.[-1]", nil, "body.a has 0 elements, cannot read body.a[-1]", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := document.NewPaths()
			slot := p.Read(segments(tt.path)...)
			p.Freeze()
			var d document.Document
			d.Reset(p, []byte(tt.payload), document.JSON)
			for range 2 { // decoded, and from what was decoded
				got, err := d.Get(slot)
				expectPathError(t, p.String(slot), err, tt.getError)
				if diff := cmp.Diff(tt.want, got.Box()); diff != "" {
					t.Error(diff)
				}
				_, err = d.Lookup(slot)
				if tt.lookupError {
					expectPathError(t, p.String(slot), err, tt.getError)
				} else if err != nil {
					t.Errorf("Lookup: %v", err)
				}
			}
		})
	}
}

func expectPathError(t *testing.T, path string, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("got error %v", err)
		}
		return
	}
	var e *document.PathError
	if !errors.As(err, &e) || e.Path != path || e.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestMalformedPayloadFailsEachReadAndKeepsItsBytes(t *testing.T) {
	tests := []struct {
		name, payload string
		format        document.Format
		offset        int
	}{
		{"cut short", `{"a":1`, document.JSON, 6},
		{"an unread member", `{"a":1,"z":01}`, document.JSON, 11},
		{"an unread number out of range", `{"a":1,"z":[1e999]}`, document.JSON, 12},
		{"no UTF-8 in an unread member", "{\"z\":\"\xff\",\"a\":1}", document.JSON, 6},
		{"too deep in an unread member", `{"z":` + strings.Repeat("[", 600), document.JSON, 5 + 511},
		{"text", "ab\xff", document.Text, 2},
		{"white space only", " ", document.JSON, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := document.NewPaths()
			a, b := p.Read(name("a")), p.Write(name("b"))
			p.Freeze()
			var d document.Document
			d.Reset(p, []byte(tt.payload), tt.format)
			_, first := d.Get(a)
			_, second := d.Lookup(document.Root)
			for _, err := range []error{first, second, d.Set(b, value.Int(1)), d.Delete(b), d.Copy(a, b)} {
				var e *document.DecodeError
				if !errors.As(err, &e) || e.Offset != tt.offset || !strings.Contains(e.Error(), "decode body") {
					t.Errorf("got error %v, want one at %d", err, tt.offset)
				}
			}
			if out, err := d.AppendTo(nil); err != nil || string(out) != tt.payload || d.Written() {
				t.Errorf("wrote %q (%v)", out, err)
			}
			if err := d.Set(document.Root, value.String("mended")); err != nil {
				t.Error(err)
			}
			if v, err := d.Get(document.Root); err != nil || v.Str() != "mended" {
				t.Errorf("got %v (%v)", v.Box(), err)
			}
		})
	}
}

func TestUnreadPayloadIsNeverJudged(t *testing.T) {
	p := document.NewPaths()
	p.Read(name("a"))
	p.Freeze()
	var d document.Document
	d.Reset(p, []byte("no json"), document.JSON)
	if out, err := d.AppendTo(nil); err != nil || string(out) != "no json" {
		t.Errorf("wrote %q (%v)", out, err)
	}
	if err := d.Set(document.Root, value.Map(map[string]any{"a": 1})); err != nil {
		t.Fatal(err)
	}
	if out, err := d.AppendTo(nil); err != nil || string(out) != `{"a":1}` {
		t.Errorf("wrote %q (%v)", out, err)
	}
	d.Reset(p, []byte("no json"), document.JSON)
	if d.SetNone(); !d.None() {
		t.Error("the payload is still there")
	}
}

func TestTextAndBytesAreReadAndWrittenAsTheyAre(t *testing.T) {
	p := document.NewPaths()
	a := p.Write(name("a"))
	p.Freeze()
	tests := []struct {
		name    string
		format  document.Format
		payload string
		want    any
		assign  value.Value
		out     string
		err     string
	}{
		{"text", document.Text, "ä{", "ä{", value.String("new"), "new", ""},
		{"bytes", document.Bytes, "\xff", []byte("\xff"), value.Bytes([]byte{0xfe}), "\xfe", ""},
		{"empty text", document.Text, "", nil, value.Value{}, "", ""},
		{"bytes into text", document.Text, "x", "x", value.Bytes([]byte("y")), "y", ""},
		{"bytes that are no text", document.Text, "x", "x", value.Bytes([]byte{0xff}), "", "UTF-8"},
		{"a number into text", document.Text, "x", "x", value.Int(1), "", "it is a number"},
		{"a map into bytes", document.Bytes, "x", []byte("x"), value.Map(nil), "", "toJSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d document.Document
			d.Reset(p, []byte(tt.payload), tt.format)
			got, err := d.Get(document.Root)
			if diff := cmp.Diff(tt.want, got.Box()); diff != "" || err != nil {
				t.Error(diff, err)
			}
			if _, err := d.Get(a); err == nil {
				t.Error("a path into the payload was read")
			}
			if d.Written() || d.Format() != tt.format {
				t.Error("reading counts as writing, or the format is lost")
			}
			if out, err := d.AppendTo(nil); err != nil || string(out) != tt.payload {
				t.Errorf("untouched: wrote %q (%v)", out, err)
			}
			if err := d.Set(document.Root, tt.assign); err != nil {
				t.Fatal(err)
			}
			out, err := d.AppendTo([]byte("<"))
			if string(out) != "<"+tt.out || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("wrote %q (%v)", out, err)
			}
		})
	}
	var d document.Document
	d.Reset(p, []byte("x"), document.Text)
	expectPathError(t, "body.a", d.Set(a, value.Int(1)), "body is a string, cannot write body.a")
}

func TestStringsAliasThePayloadUntilTheyAreOwned(t *testing.T) {
	p := document.NewPaths()
	a := p.Read(name("a"))
	p.Freeze()
	payload := []byte(`{"a":"text"}`)
	var d document.Document
	d.Reset(p, payload, document.JSON)
	v, err := d.Get(a)
	if err != nil {
		t.Fatal(err)
	}
	own := value.Own(v)
	copy(payload, strings.Repeat("#", len(payload)))
	if own.Str() != "text" || v.Str() == "text" {
		t.Errorf("owned %q, aliasing %q", own.Str(), v.Str())
	}
}
