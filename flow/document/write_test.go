package document_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// script runs lines such as `set a.b = {"c":1}`, `delete a`, `copy a.b = c`, `get a = 1` and `none` on a payload. A line may end
// in ` ! error`.
func script(t *testing.T, payload string, lines []string) *document.Document {
	t.Helper()
	type step struct {
		line, verb, value, err string
		to, from               document.Slot
	}
	p := document.NewPaths()
	var steps []step
	for _, line := range lines {
		s := step{line: line}
		rest, err, _ := strings.Cut(line, " ! ")
		s.err = err
		s.verb, rest, _ = strings.Cut(rest, " ")
		path, after, _ := strings.Cut(rest, " = ")
		s.value = after
		switch s.verb {
		case "get":
			s.to = p.Read(segments(path)...)
		case "copy":
			s.to, s.from = p.Write(segments(path)...), p.Read(segments(after)...)
		case "set", "delete":
			s.to = p.Write(segments(path)...)
		}
		steps = append(steps, s)
	}
	p.Freeze()
	d := &document.Document{}
	d.Reset(p, []byte(payload), document.JSON)
	for _, s := range steps {
		var err error
		var v value.Value
		switch s.verb {
		case "get":
			if v, err = d.Get(s.to); err == nil {
				if diff := cmp.Diff(decoded(t, s.value).Box(), v.Box()); diff != "" {
					t.Errorf("%s: %s", s.line, diff)
				}
			}
		case "set":
			err = d.Set(s.to, decoded(t, s.value))
		case "delete":
			err = d.Delete(s.to)
		case "copy":
			err = d.Copy(s.from, s.to)
		case "none":
			d.SetNone()
		default:
			t.Fatalf("no such verb in %q", s.line)
		}
		if s.err != "" {
			expectPathError(t, p.String(max(s.to, 0)), err, s.err)
		} else if err != nil {
			t.Errorf("%s: %v", s.line, err)
		}
	}
	return d
}

func decoded(t *testing.T, text string) value.Value {
	t.Helper()
	v, err := value.ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestWritesAreSplicedIntoThePayload(t *testing.T) {
	tests := []struct {
		name, payload string
		lines         []string
		want          string
	}{
		{"nothing written", ` { "a" : 1.0 } `, []string{"get a = 1.0"}, ` { "a" : 1.0 } `},
		{"replaced", ` { "a" : 1 , "b":1.0 } `, []string{`set a = [1,"x"]`}, ` { "a" : [1,"x"] , "b":1.0 } `},
		{"added", `{"a":1}`, []string{"set b = 2", "set c = 3"}, `{"a":1,"b":2,"c":3}`},
		{"added to an empty map", `{ }`, []string{"set b = 2"}, `{"b":2 }`},
		{"added before the white space at the end", "{\n  \"a\": 1\n}\n", []string{"set b = 2"}, "{\n  \"a\": 1,\"b\":2\n}\n"},
		{"added in the order of the writes", `{}`, []string{"set z = 1", "set a.y = 2", "set m = 3", "set a.b = 4"}, `{"z":1,"a":{"y":2,"b":4},"m":3}`},
		{"nested", `{"a":{"b":{"c":1}},"d":2}`, []string{"set a.b.c = 5", "set a.x = 6", "delete d"}, `{"a":{"b":{"c":5},"x":6}}`},
		{"maps made", `{"z":0}`, []string{"set a.b.c = 1"}, `{"z":0,"a":{"b":{"c":1}}}`},
		{"a map made of null", `{"a": null ,"b":1}`, []string{"set a.b = 1"}, `{"a": {"b":1} ,"b":1}`},
		{"a map made and emptied", `{"a":null}`, []string{"set a.b = 1", "delete a.b"}, `{"a":{}}`},
		{"a missing map made and emptied", `{}`, []string{"set a.b = 1", "delete a.b", "get a = {}"}, `{"a":{}}`},
		{"a null root", ` null `, []string{"set a = 1"}, ` {"a":1} `},
		{"an empty payload", ``, []string{"set a.b = 1"}, `{"a":{"b":1}}`},
		{"no payload", `{"a":1}`, []string{"none", "get  = null", "set b = 1"}, `{"b":1}`},
		{"key that needs escapes", `{}`, []string{`set " = 1`}, `{"\"":1}`},
		{"escaped key", `{"\u0061":1}`, []string{"set a = 2"}, `{"\u0061":2}`},
		{"element", `{"a":[1, 2 ,3]}`, []string{"set a.[1] = 5"}, `{"a":[1, 5 ,3]}`},
		{"element from the end", `{"a":[1, 2.0 ,3]}`, []string{"set a.[-1] = 5"}, `{"a":[1, 2.0 ,5]}`},
		{"inside an element", `{"a":[{"b":1.0}, {"b":2}]}`, []string{"set a.[1].b = 5", "set a.[1].c = 6"}, `{"a":[{"b":1.0}, {"b":5,"c":6}]}`},

		{"first deleted", `{"a":1 , "b":2, "c":3}`, []string{"delete a"}, `{"b":2, "c":3}`},
		{"middle deleted", `{"a":1 , "b":2, "c":3}`, []string{"delete b"}, `{"a":1 , "c":3}`},
		{"last deleted", `{"a":1 , "b":2, "c":3 }`, []string{"delete c"}, `{"a":1 , "b":2 }`},
		{"first two deleted", `{"a":1,"b":2,"c":3}`, []string{"delete b", "delete a"}, `{"c":3}`},
		{"last two deleted", `{"a":1,"b":2,"c":3}`, []string{"delete b", "delete c"}, `{"a":1}`},
		{"first and last deleted", `{"a":1,"b":2,"c":3}`, []string{"delete a", "delete c"}, `{"b":2}`},
		{"all deleted", `{ "a":1, "b":2 }`, []string{"delete a", "delete b"}, `{  }`},
		{"all deleted and one added", `{ "a":1, "b":2 }`, []string{"delete a", "delete b", "set c = 3"}, `{ "c":3 }`},
		{"last deleted and one added", `{"a":1,"b":2}`, []string{"delete b", "set c = 3"}, `{"a":1,"c":3}`},
		{"deleted and written again", `{"a":1,"b":2}`, []string{"delete a", "set a = 3"}, `{"a":3,"b":2}`},
		{"absent deleted", `{"a":1}`, []string{"delete b", "delete c.d", "delete a.[-1] ! body.a is a number, cannot write body.a[-1]"}, `{"a":1}`},
		{"written and deleted", `{"a":1}`, []string{"set b = 1", "delete b"}, `{"a":1}`},
		{"only member of a nested map", `{"a":{"b":1},"c":2}`, []string{"delete a.b"}, `{"a":{},"c":2}`},

		{"element deleted", `{"a":[ 1.0, 2 , 18446744073709551615 ]}`, []string{"delete a.[1]", "get a.[1] = 18446744073709551615"}, `{"a":[ 1.0 , 18446744073709551615 ]}`},
		{"two elements deleted", `{"a":[1.0,2.0,3.0]}`, []string{"delete a.[0]", "delete a.[1]", "get a = [2.0]"}, `{"a":[2.0]}`},
		{"last element deleted", `[1.0, 2]`, []string{"delete [-1]"}, `[1.0]`},
		{"element of the root deleted", " [ 1.0, 2 ]\n", []string{"delete [1]", "delete [5]"}, " [ 1.0 ]\n"},
		{"an edited root copied", " { \"a\":1.0 }\n", []string{"set b = 1", "copy c = "}, " { \"a\":1.0,\"b\":1,\"c\":{ \"a\":1.0,\"b\":1 } }\n"},
		{"element written and another deleted", `{"a":[1.0,{"b":2.0},3.0]}`, []string{"set a.[1].c = 1", "delete a.[0]", "set a.[0].d = 2"}, `{"a":[{"b":2.0,"c":1,"d":2},3.0]}`},
		{"element behind the end deleted", `{"a":[1.0]}`, []string{"delete a.[5]", "delete a.[5].b"}, `{"a":[1.0]}`},

		{"all occurrences of a written key", `{"a":1, "b":2, "a":3, "a": 4 }`, []string{"set a = 5"}, `{"b":2, "a": 5 }`},
		{"all occurrences of a deleted key", `{"a":1, "b":2, "a":3, "c":0, "a": 4 }`, []string{"delete a"}, `{"b":2, "c":0 }`},
		{"only occurrences of a deleted key", `{"a":1, "\u0061":2}`, []string{"delete a", "set b = 1"}, `{"b":1}`},
		{"written inside the last occurrence", `{"a":{"b":1,"b":2},"a":{"c":3}}`, []string{"set a.b = 5"}, `{"a":{"b":1,"b":2},"a":{"c":3,"b":5}}`},
		{"repeated inside a repeated one", `{"a":{"b":1,"b":2},"a":{"b":3,"b":4}}`, []string{"delete a.b"}, `{"a":{"b":1,"b":2},"a":{}}`},

		{"copied with its bytes", `{"a": 1.00 }`, []string{"copy b = a", "get b = 1.00"}, `{"a": 1.00,"b":1.00 }`},
		{"renamed", `{"a":{"x": 18446744073709551615},"c":1}`, []string{"copy b = a", "delete a"}, `{"c":1,"b":{"x": 18446744073709551615}}`},
		{"copied after an edit", `{"a":{"x": 1.0,"y":1}}`, []string{"set a.y = 2", "copy b = a"}, `{"a":{"x": 1.0,"y":2},"b":{"x": 1.0,"y":2}}`},
		{"copied before an edit", `{"a":{"x": 1.0,"y":1}}`, []string{"copy b = a", "set a.y = 2", "get b.y = 1"}, `{"a":{"x": 1.0,"y":2},"b":{"x": 1.0,"y":1}}`},
		{"copied and written into", `{"a":{"x": 1.0,"y":1}}`, []string{"copy b = a", "set b.y = 2", "delete b.z"}, `{"a":{"x": 1.0,"y":1},"b":{"x": 1.0,"y":2}}`},
		{"copied out of a copy", `{"a":{"x": 1.0}}`, []string{"copy b = a", "copy c = b.x"}, `{"a":{"x": 1.0},"b":{"x": 1.0},"c":1.0}`},
		{"a part becomes the whole", `{"a":{"x": 1.0}}`, []string{"copy  = a", "get x = 1.0"}, `{"x": 1.0}`},
		{"copied into itself", `{"a":{"x":1}}`, []string{"copy a.y = a"}, `{"a":{"x":1,"y":{"x":1}}}`},
		{"missing copied", `{}`, []string{"copy b = a"}, `{"b":null}`},
		{"deleted copied", `{"a":1}`, []string{"delete a", "copy b = a"}, `{"b":null}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := script(t, tt.payload, tt.lines)
			got, err := d.AppendTo([]byte("<"))
			if err != nil || string(got) != "<"+tt.want {
				t.Errorf("got  %s (%v)\nwant <%s", got, err, tt.want)
			}
			var branch document.Document
			branch.CopyFrom(d)
			d.SetNone()
			if again, err := branch.AppendTo(nil); err != nil || string(again) != tt.want {
				t.Errorf("a copy writes %s (%v)", again, err)
			}
		})
	}
}

func TestOverlappingPathsAreReadAsWritten(t *testing.T) {
	const payload = `{"a":{"b":1,"c":{"d":2}},"x":"s"}`
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"above, then below", []string{`set a = {"z":1}`, "set a.b = 2", `get a = {"z":1,"b":2}`, "get a.b = 2", "get a.c = null"}, `{"a":{"b":2,"z":1},"x":"s"}`},
		{"below, then above", []string{"set a.b = 2", `set a = {"z":1}`, "get a.b = null", "get a.z = 1"}, `{"a":{"z":1},"x":"s"}`},
		{"below, then read above", []string{"set a.c.d = 3", `get a = {"b":1,"c":{"d":3}}`, `get  = {"a":{"b":1,"c":{"d":3}},"x":"s"}`, "get a.c.d = 3"}, `{"a":{"b":1,"c":{"d":3}},"x":"s"}`},
		{"read above before and after", []string{`get a.c = {"d":2}`, "set a.c.d = 3", `get a.c = {"d":3}`, "set a.c.d = 4", `get a.c = {"d":4}`}, `{"a":{"b":1,"c":{"d":4}},"x":"s"}`},
		{"deleted, then written below", []string{"delete a", "set a.b = 2", `get a = {"b":2}`}, `{"a":{"b":2},"x":"s"}`},
		{"deleted below, then read above", []string{"delete a.c", `get a = {"b":1}`, "get a.c = null"}, `{"a":{"b":1},"x":"s"}`},
		{"deleted, then read below", []string{"delete a", "get a.b = null ! body.a is nil, cannot read body.a.b; write body.a?.b, or give a default with ??"}, `{"x":"s"}`},
		{"the root, then below", []string{`set  = {"q":{}}`, "set q.r = 1", `get q = {"r":1}`, "get a = null"}, `{"q":{"r":1}}`},
		{"below, then the root", []string{"set a.b = 2", `set  = [1]`, `get [0] = 1`}, `[1]`},
		{"made maps are maps", []string{"set n.m = 1", "get n.o = null", "get n.[0] = null ! body.n is a map, cannot read body.n[0]"}, `{"a":{"b":1,"c":{"d":2}},"x":"s","n":{"m":1}}`},
		{"deleted in an assigned map", []string{`set a = {"b":{"c":1,"d":[1,2]}}`, "delete a.b.c", "delete a.b.d.[0]", "delete a.q.r", `get a = {"b":{"d":[2]}}`}, `{"a":{"b":{"d":[2]}},"x":"s"}`},
		{"elements of an assigned list", []string{`set a = [1,{"b":2}]`, "set a.[1].b = 3", "set a.[0] = 0", "get a.[-1].b = 3"}, `{"a":[0,{"b":3}],"x":"s"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := script(t, payload, tt.lines).AppendTo(nil)
			if err != nil || string(got) != tt.want {
				t.Errorf("got  %s (%v)\nwant %s", got, err, tt.want)
			}
		})
	}
}

func TestWriteErrorsNameThePathAndChangeNothing(t *testing.T) {
	tests := []struct{ name, payload, line string }{
		{"through a string", `{"a":"x"}`, "set a.b = 1 ! body.a is a string, cannot write body.a.b"},
		{"far through a number", `{"a":{"b":1}}`, "set a.b.c.d = 1 ! body.a.b is a number, cannot write body.a.b.c.d"},
		{"name in a list", `{"a":[]}`, "set a.b = 1 ! body.a is a list, cannot write body.a.b"},
		{"index in a map", `{"a":{}}`, "set a.[0] = 1 ! body.a is a map, cannot write body.a[0]"},
		{"behind the end", `{"a":[1]}`, "set a.[1] = 1 ! body.a has 1 element, cannot write body.a[1]"},
		{"element of nil", `{}`, "set a.[0] = 1 ! body.a is nil, cannot write body.a[0]; a list's element must exist to be written"},
		{"element of nil from the end", `{}`, "set a.[-1] = 1 ! body.a is nil, cannot write body.a[-1]; a list's element must exist to be written"},
		{"root is a list", `[1]`, "set a = 1 ! body is a list, cannot write body.a"},
		{"root is a scalar", `"x"`, "set a.b = 1 ! body is a string, cannot write body.a.b"},
		{"deleted through a scalar", `{"a":true}`, "delete a.b ! body.a is a bool, cannot write body.a.b"},
		{"copied from below nil", `{}`, "copy c = a.b ! body.a is nil, cannot read body.a.b; write body.a?.b, or give a default with ??"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line, want, _ := strings.Cut(tt.line, " ! ")
			if strings.HasPrefix(line, "copy") {
				p := document.NewPaths()
				from, to := p.Read(segments("a.b")...), p.Write(segments("c")...)
				p.Freeze()
				var d document.Document
				d.Reset(p, []byte(tt.payload), document.JSON)
				expectPathError(t, "body.a.b", d.Copy(from, to), want)
				return
			}
			d := script(t, tt.payload, []string{tt.line})
			if out, err := d.AppendTo(nil); err != nil || string(out) != tt.payload || d.Written() {
				t.Errorf("wrote %s (%v)", out, err)
			}
		})
	}
}

func TestAssignedValuesAreNeverChanged(t *testing.T) {
	shared := map[string]any{"b": map[string]any{"c": 1}, "l": []any{1, 2}}
	p := document.NewPaths()
	a, c, l, n := p.Write(segments("a")...), p.Write(segments("a.b.c")...), p.Write(segments("a.l.[0]")...), p.Write(segments("a.n")...)
	p.Freeze()
	var d document.Document
	d.Reset(p, []byte("{}"), document.JSON)
	if err := d.Set(a, value.Map(shared)); err != nil {
		t.Fatal(err)
	}
	before, _ := d.Get(a)
	for _, err := range []error{d.Set(c, value.Int(2)), d.Delete(l), d.Set(n, value.Int(3))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]any{"b": map[string]any{"c": 1}, "l": []any{1, 2}}, shared); diff != "" {
		t.Error(diff)
	}
	after, _ := d.Get(a)
	if value.Equal(before, after) {
		t.Error("nothing was written")
	}
}

func TestAssignedValuesKeepTheirTypes(t *testing.T) {
	p := document.NewPaths()
	at, elem, copied := p.Write(segments("l.[1].at")...), p.Write(segments("l.[0]")...), p.Write(segments("c")...)
	moved, list := p.Read(segments("c.[0].at")...), p.Read(segments("l")...)
	p.Freeze()
	var d document.Document
	d.Reset(p, []byte(`{"l":[0,{}]}`), document.JSON)
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, err := range []error{d.Set(at, value.Time(when)), d.Delete(elem), d.Copy(list, copied)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if v, err := d.Get(moved); err != nil || v.Kind() != value.KindTime || !v.Time().Equal(when) {
		t.Errorf("got %v (%v)", v.Box(), err)
	}
}

func TestWhatJSONCannotSayIsAnErrorThatNamesThePath(t *testing.T) {
	p := document.NewPaths()
	b := p.Write(segments("a.b")...)
	e := p.Write(segments("l.[0].x")...)
	l := p.Write(segments("l.[1]")...)
	p.Freeze()
	var d document.Document
	d.Reset(p, []byte(`{"a":{},"l":[{},1.0,2]}`), document.JSON)
	if err := d.Set(b, value.Bytes([]byte{1})); err != nil {
		t.Fatal(err)
	}
	out, err := d.AppendTo([]byte("<"))
	if err == nil || !strings.Contains(err.Error(), "body.a.b") || !strings.Contains(err.Error(), "toBase64") || string(out) != "<" {
		t.Errorf("got %q and error %v", out, err)
	}
	// A later write mends it, also where a list was rewritten meanwhile.
	for _, err := range []error{d.Set(b, value.Int(1)), d.Set(e, value.Bytes([]byte{1})), d.Delete(l), d.Set(e, value.Int(2))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := d.AppendTo(nil); err != nil || string(out) != `{"a":{"b":1},"l":[{"x":2},2]}` {
		t.Errorf("wrote %s (%v)", out, err)
	}
}

func TestMarkersDeleteAndKeep(t *testing.T) {
	p := document.NewPaths()
	a, b := p.Write(name("a")), p.Write(name("b"))
	p.Freeze()
	var d document.Document
	d.Reset(p, []byte(`{"a":1,"b":2}`), document.JSON)
	if d.Set(a, value.Delete()) != nil || d.Set(b, value.Keep()) != nil {
		t.Fatal("a marker failed")
	}
	if out, err := d.AppendTo(nil); err != nil || string(out) != `{"b":2}` {
		t.Errorf("wrote %s (%v)", out, err)
	}
	if d.Set(document.Root, value.Delete()) != nil || !d.None() {
		t.Error("the payload is still there")
	}
}

func TestNoneDiffersFromNullAndEmpty(t *testing.T) {
	p := document.NewPaths()
	p.Freeze()
	var d document.Document
	for _, tt := range []struct {
		name    string
		raw     []byte
		do      func()
		none    bool
		written bool
		out     string
	}{
		{"no payload", nil, func() {}, true, false, ""},
		{"empty payload", []byte{}, func() {}, false, false, ""},
		{"null", []byte("null"), func() {}, false, false, "null"},
		{"deleted", []byte("1"), d.SetNone, true, true, ""},
		{"deleted by path", []byte("1"), func() { _ = d.Delete(document.Root) }, true, true, ""},
		{"nil assigned", []byte("1"), func() { _ = d.Set(document.Root, value.Value{}) }, false, true, "null"},
		{"nil assigned to none", nil, func() { _ = d.Set(document.Root, value.Value{}) }, false, true, "null"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.Reset(p, tt.raw, document.JSON)
			tt.do()
			if out, err := d.AppendTo(nil); err != nil || string(out) != tt.out || d.None() != tt.none || d.Written() != tt.written {
				t.Errorf("wrote %q (%v), none %v, written %v", out, err, d.None(), d.Written())
			}
		})
	}
}

func TestRollbackRestoresWhatTheMarkSaw(t *testing.T) {
	p := document.NewPaths()
	a, ab, b, l0 := p.Write(segments("a")...), p.Write(segments("a.b")...), p.Write(segments("b")...), p.Write(segments("l.[0]")...)
	p.Freeze()
	const payload = `{"a":{"b":1},"b":2,"l":[1.0,2.0]}`
	var d document.Document
	render := func() string {
		out, err := d.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	writes := []struct {
		name string
		do   func() error
	}{
		{"root", func() error { return d.Set(document.Root, value.Int(1)) }},
		{"none", func() error { d.SetNone(); return nil }},
		{"above", func() error { return d.Set(a, value.Map(map[string]any{"q": 1})) }},
		{"below", func() error { return d.Set(ab, value.Int(5)) }},
		{"deleted", func() error { return d.Delete(b) }},
		{"element", func() error { return d.Delete(l0) }},
		{"copied", func() error { return d.Copy(a, b) }},
	}
	for _, first := range writes {
		for _, second := range writes {
			t.Run(first.name+" then "+second.name, func(t *testing.T) {
				d.Reset(p, []byte(payload), document.JSON)
				start := d.Mark()
				if err := first.do(); err != nil {
					t.Fatal(err)
				}
				before, beforeValue := render(), d.Written()
				inner := d.Mark()
				_ = second.do() // below a scalar root it fails, which changes nothing either
				d.Rollback(inner)
				if got := render(); got != before || d.Written() != beforeValue {
					t.Errorf("got %s, want %s", got, before)
				}
				d.Rollback(start)
				if got := render(); got != payload || d.Written() || d.None() {
					t.Errorf("got %s, want the payload", got)
				}
				if v, err := d.Get(ab); err != nil || v.Int() != 1 {
					t.Errorf("reads %v (%v)", v.Box(), err)
				}
			})
		}
	}
}

func TestUndeclaredPathsAreNotWritten(t *testing.T) {
	p := document.NewPaths()
	a := p.Read(name("a"))
	p.Freeze()
	var d document.Document
	d.Reset(p, []byte(`{"a":1}`), document.JSON)
	if err := d.Set(a, value.Int(2)); err == nil || !strings.Contains(err.Error(), "body.a") {
		t.Errorf("got error %v", err)
	}
}
