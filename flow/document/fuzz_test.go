package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

func name(s string) document.Segment { return document.Segment{Name: s} }
func index(i int) document.Segment   { return document.Segment{Index: i, IsIndex: true} }

var fuzzSegments = []document.Segment{name("a"), name("b"), name("x y"), name(""), index(0), index(1), index(-1), name("c")}

var fuzzValues = []value.Value{
	{}, value.Int(7), value.Float(104), value.String("text\n"), value.Bool(true),
	value.Map(map[string]any{}), value.Map(map[string]any{"a": 1, "b": map[string]any{"a": "deep"}, "c": []any{1, nil}}),
	value.List([]any{}), value.List([]any{1, map[string]any{"a": 2}, []any{"x"}}),
	value.Bytes([]byte{1, 2}), value.Time(time.Unix(1, 5).UTC()), value.Delete(), value.Keep(), value.String("s"),
	value.Map(map[string]any{"a": []any{map[string]any{"a": 1.5}, 2}}), value.Duration(time.Second),
}

// operation is one step of a fuzzed program.
type operation struct {
	verb     byte
	path     []document.Segment
	other    []document.Segment
	slot     document.Slot
	otherAt  document.Slot
	constant value.Value
}

// program reads operations from fuzzed bytes and declares their paths.
func program(code []byte) (*document.Paths, []operation) {
	p := document.NewPaths()
	next := func() byte {
		if len(code) == 0 {
			return 0
		}
		c := code[0]
		code = code[1:]
		return c
	}
	path := func() []document.Segment {
		var segments []document.Segment
		for n := next() % 4; n > 0; n-- {
			segments = append(segments, fuzzSegments[int(next())%len(fuzzSegments)])
		}
		return segments
	}
	var ops []operation
	for len(code) > 0 && len(ops) < 12 {
		op := operation{verb: next() % 12, path: path()}
		switch op.verb {
		case 0, 1:
			op.slot = p.Read(op.path...)
		case 2, 3, 4:
			op.slot, op.constant = p.Write(op.path...), fuzzValues[int(next())%len(fuzzValues)]
		case 5, 6:
			op.slot = p.Write(op.path...)
		case 7, 8:
			op.other = path()
			op.slot, op.otherAt = p.Write(op.path...), p.Read(op.other...)
		}
		ops = append(ops, op)
	}
	p.Freeze()
	return p, ops
}

// pair runs each operation on both implementations.
type pair struct {
	t     *testing.T
	lazy  *document.Document
	whole oracle
	mark  *document.Mark
	saved oracle
}

func (x *pair) run(op operation) {
	x.t.Helper()
	switch op.verb {
	case 0, 1:
		read := x.lazy.Get
		if op.verb == 1 {
			read = x.lazy.Lookup
		}
		got, err := read(op.slot)
		want, wantErr := x.whole.get(op.path, op.verb == 0)
		if x.sameError(op, err, wantErr); err == nil {
			x.sameValue(op, got, want)
		}
	case 2, 3, 4:
		err := x.lazy.Set(op.slot, op.constant)
		var wantErr error
		switch op.constant.Kind() {
		case value.KindDelete:
			wantErr = x.whole.remove(op.path)
		case value.KindKeep:
		default:
			wantErr = x.whole.set(op.path, op.constant.Box())
		}
		x.sameError(op, err, wantErr)
	case 5, 6:
		x.sameError(op, x.lazy.Delete(op.slot), x.whole.remove(op.path))
	case 7, 8:
		err := x.lazy.Copy(op.otherAt, op.slot)
		v, wantErr := x.whole.get(op.other, true)
		if wantErr == nil {
			wantErr = x.whole.set(op.path, v)
		}
		x.sameError(op, err, wantErr)
	case 9:
		m := x.lazy.Mark()
		x.mark, x.saved = &m, x.whole
	case 10:
		if x.mark != nil {
			x.lazy.Rollback(*x.mark)
			x.whole = x.saved
		}
	case 11:
		var d document.Document
		d.CopyFrom(x.lazy)
		_ = x.lazy.Set(document.Root, value.Int(1)) // must not show in the copy
		x.lazy, x.mark = &d, nil
	}
}

func (x *pair) sameError(op operation, got, want error) {
	x.t.Helper()
	var decode, wantDecode *document.DecodeError
	if (got == nil) != (want == nil) || errors.As(got, &decode) != errors.As(want, &wantDecode) {
		x.t.Fatalf("%v: got error %v, want %v", op, got, want)
	}
	if decode != nil && x.whole.format == document.JSON && decode.Offset != wantDecode.Offset {
		x.t.Fatalf("%v: got error %v, want offset %d", op, got, wantDecode.Offset)
	}
}

func (x *pair) sameValue(op operation, got value.Value, want any) {
	x.t.Helper()
	w, err := value.FromAny(want)
	if err != nil {
		x.t.Fatal(err)
	}
	if got.Kind() != w.Kind() || !value.Equal(got, w) {
		x.t.Fatalf("%v: got %v, want %v", op, got.Box(), want)
	}
}

// sameOutput compares what is written: in meaning, and untouched payloads byte for byte.
func (x *pair) sameOutput() []byte {
	x.t.Helper()
	got, err := x.lazy.AppendTo([]byte("prefix"))
	if !bytes.HasPrefix(got, []byte("prefix")) {
		x.t.Fatalf("the prefix is lost: %q", got)
	}
	got = got[len("prefix"):]
	want, wantErr := x.whole.encode()
	if (err == nil) != (wantErr == nil) {
		x.t.Fatalf("write: got error %v, want %v", err, wantErr)
	}
	if err != nil {
		return nil
	}
	if x.whole.format != document.JSON || !x.whole.written || x.whole.none {
		if !bytes.Equal(got, want) {
			x.t.Fatalf("got %q, want %q", got, want)
		}
		return got
	}
	w, wantErr := value.ParseJSON(want)
	g, err := value.ParseJSON(got)
	if err != nil || wantErr != nil {
		if wantErr == nil && !strings.Contains(err.Error(), "inside each other") {
			x.t.Fatalf("wrote %q: %v", got, err)
		}
		return got
	}
	if !value.Equal(g, w) {
		x.t.Fatalf("got %s, want %s", got, want)
	}
	return got
}

func addSeeds(f *testing.F) {
	payloads := []string{
		`{"a":{"b":1,"c":[1,{"a":2}]},"b":"x","x y":null}`, `{"a":1,"a":2,"b":{"a":1},"b":{"a":3,"a":4}}`, "", "null", "[1,[2],{\"a\":3}]",
		"{ \"a\" : [ 1 , 2 , 3 ] ,\n\t\"b\": 18446744073709551615 }\n", `"scalar"`, `{"a":1e999}`, `{"a":"\ud800","\u0061":{"b":null}}`, `{"a":`,
		"{\"a\":\"\xff\"}", `{"":{"":{"":1.0}}}`, `{"a":[[0,1,2],[3]],"b":[{"a":1,"b":2},{"a":3}]}`,
	}
	programs := [][]byte{
		{2, 1, 0, 6, 2, 2, 0, 1, 1, 0, 1, 0}, {5, 1, 0, 2, 2, 0, 1, 3, 0, 0}, {2, 0, 5, 2, 1, 0, 1, 0, 0},
		{2, 2, 0, 1, 1, 0, 1, 0, 5, 2, 0, 1, 0, 1, 0}, {5, 2, 0, 4, 5, 2, 0, 4, 0, 1, 0}, {7, 1, 1, 1, 0, 2, 2, 1, 7, 3},
		{2, 2, 0, 6, 1, 0, 2, 0, 6}, {9, 2, 1, 0, 1, 10, 0, 1, 0}, {11, 0, 1, 0, 2, 1, 0, 1, 11, 0, 0}, {5, 0, 2, 2, 0, 1, 1, 0, 0},
		{2, 3, 0, 4, 0, 1, 5, 2, 0, 5, 0, 0},
	}
	for _, payload := range payloads {
		for _, code := range programs {
			f.Add([]byte(payload), code, byte(0))
		}
		f.Add([]byte(payload), programs[2], byte(1))
		f.Add([]byte(payload), programs[5], byte(2))
	}
}

func FuzzLazyEqualsWhole(f *testing.F) {
	addSeeds(f)
	f.Fuzz(lazyEqualsWhole)
}

// lazyEqualsWhole runs one program on one payload in both implementations.
func lazyEqualsWhole(t *testing.T, payload, code []byte, format byte) {
	p, ops := program(code)
	var d document.Document
	frm := document.Format(format % 3)
	d.Reset(p, []byte(`{"a":{"b":[1,2]},"b":1,"c":2,"":3}`), document.JSON) // a message before must not show
	_, _ = d.Get(document.Root)
	for _, op := range ops {
		if len(op.path) > 0 && op.constant.Kind() != value.KindNil {
			_ = d.Set(op.slot, op.constant)
		}
	}
	raw := slices.Clone(payload)
	d.Reset(p, raw, frm)
	x := &pair{t: t, lazy: &d, whole: oracle{raw: payload, format: frm}}
	for _, op := range ops {
		x.run(op)
	}
	out := x.sameOutput()
	if x.lazy.Written() != x.whole.written {
		t.Fatalf("written is %v, want %v", x.lazy.Written(), x.whole.written)
	}
	if !bytes.Equal(raw, payload) {
		t.Fatal("the payload was changed")
	}
	if x.whole.written && frm == document.JSON {
		keptBytes(t, payload, out, touched(ops), "body")
	}
}

// touched is the paths that a program may have written.
func touched(ops []operation) [][]document.Segment {
	var paths [][]document.Segment
	for _, op := range ops {
		if op.verb >= 2 && op.verb <= 8 {
			paths = append(paths, op.path)
		}
	}
	return paths
}

// keptBytes holds every member that no path touches to its bytes in the payload. Lists are looked into only by the paths' reads.
func keptBytes(t *testing.T, before, after []byte, paths [][]document.Segment, at string) {
	t.Helper()
	var was, is map[string]json.RawMessage
	for _, path := range paths {
		if len(path) == 0 || path[0].IsIndex {
			return
		}
	}
	if json.Unmarshal(before, &was) != nil || was == nil || json.Unmarshal(after, &is) != nil {
		return
	}
	for key, text := range was {
		var below [][]document.Segment
		for _, path := range paths {
			if path[0].Name == key {
				below = append(below, path[1:])
			}
		}
		switch {
		case len(below) > 0:
			keptBytes(t, text, is[key], below, at+"."+key)
		case !bytes.Equal(text, is[key]):
			t.Fatalf("%s.%s was %s and is %s", at, key, text, is[key])
		}
	}
}

// FuzzSplice makes one edit and holds the payload to have changed in the one stretch that the edit names.
func FuzzSplice(f *testing.F) {
	for _, payload := range []string{`{"a":1}`, ` { "a" : 1 , "b" : 2 } `, `{"a":{"b":1,"a":2},"c":[1,2]}`, `{ }`, `{"a":[1,2,3],"b":[]}`, `null`} {
		for code := range 8 {
			f.Add([]byte(payload), []byte{byte(code), 1, 0, 1, 1})
			f.Add([]byte(payload), []byte{byte(code), 2, 0, 1, 1})
			f.Add([]byte(payload), []byte{byte(code), 2, 0, 6, 1})
		}
	}
	f.Fuzz(func(t *testing.T, payload, code []byte) {
		p, ops := program(code)
		ops = slices.DeleteFunc(ops, func(op operation) bool { return op.verb < 2 || op.verb > 6 || len(op.path) == 0 })
		if len(ops) == 0 {
			return
		}
		op := ops[0]
		var d document.Document
		d.Reset(p, payload, document.JSON)
		x := &pair{t: t, lazy: &d, whole: oracle{raw: payload}}
		x.run(op)
		out := x.sameOutput()
		if !x.whole.written || len(payload) == 0 || out == nil || repeatsKeys(payload) {
			return
		}
		start, end, there := locate(payload, op.path)
		removed, added := difference(payload, out)
		switch {
		case op.verb >= 5 || op.constant.Kind() == value.KindDelete:
			if added != "" || len(removed) < end-start {
				t.Fatalf("%v: %q became %q", op, payload, out)
			}
		case there:
			text, err := value.AppendJSON(nil, op.constant)
			if want := string(payload[:start]) + string(text) + string(payload[end:]); err == nil && string(out) != want {
				t.Fatalf("%v: got %q, want %q", op, out, want)
			}
		case removed != "" && !bytes.Contains(payload, []byte("null")):
			t.Fatalf("%v: %q became %q, which lacks %q", op, payload, out, removed)
		}
	})
}

// locate finds a value in a text by the tokens of encoding/json.
func locate(text []byte, path []document.Segment) (start, end int, there bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if len(path) == 0 {
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return 0, 0, false
		}
		end := int(dec.InputOffset())
		return end - len(raw), end, true
	}
	s := path[0]
	open, err := dec.Token()
	if err != nil || (open != json.Delim('{') && open != json.Delim('[')) || (open == json.Delim('[')) != s.IsIndex {
		return 0, 0, false
	}
	var spans [][2]int
	found := -1
	for dec.More() {
		if !s.IsIndex {
			key, err := dec.Token()
			if err != nil {
				return 0, 0, false
			}
			if key == s.Name {
				found = len(spans)
			}
		}
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return 0, 0, false
		}
		end := int(dec.InputOffset())
		spans = append(spans, [2]int{end - len(raw), end})
	}
	if s.IsIndex {
		if found = s.Index; found < 0 {
			found += len(spans)
		}
	}
	if found < 0 || found >= len(spans) {
		return 0, 0, false
	}
	start, end, there = locate(text[spans[found][0]:spans[found][1]], path[1:])
	return start + spans[found][0], end + spans[found][0], there
}

// difference is the stretch that is not common to both ends.
func difference(before, after []byte) (removed, added string) {
	prefix := 0
	for prefix < min(len(before), len(after)) && before[prefix] == after[prefix] {
		prefix++
	}
	suffix := 0
	for suffix < min(len(before), len(after))-prefix && before[len(before)-1-suffix] == after[len(after)-1-suffix] {
		suffix++
	}
	return string(before[prefix : len(before)-suffix]), string(after[prefix : len(after)-suffix])
}

// repeatsKeys reports whether decoding loses members.
func repeatsKeys(payload []byte) bool {
	v, err := value.ParseJSON(payload)
	if err != nil {
		return true
	}
	again, err := value.AppendJSON(nil, v)
	return err != nil || members(again) != members(payload)
}

// members counts the colons outside strings.
func members(text []byte) (count int) {
	inside := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inside = !inside
		case inside && c == '\\':
			i++
		case !inside && c == ':':
			count++
		}
	}
	return count
}
