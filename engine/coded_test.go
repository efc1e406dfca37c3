package engine

import (
	"testing"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// shouted is a format whose payloads begin with a sign, and which can say texts only.
type shouted struct{}

func (shouted) Decode(payload []byte) (value.Value, error) {
	if payload[0] != '!' {
		return value.Value{}, flow.Errorf(flow.Permanent, flow.CodeDecode, "no sign")
	}
	return value.String(string(payload[1:])), nil
}

func (shouted) Append(dst []byte, v value.Value) ([]byte, error) {
	if v.Kind() != value.KindString {
		return dst, flow.Errorf(flow.Permanent, flow.CodeEncode, "%s cannot be shouted", v.Kind())
	}
	return append(append(dst, '!'), v.Str()...), nil
}

func TestBodiesOfOtherFormatsSurviveWhateverHappensToTheirMessage(t *testing.T) {
	open := func(payload string) *flow.Message {
		m := &flow.Message{}
		paths := document.NewPaths()
		paths.Freeze()
		env := &flow.Env{Paths: paths, Format: document.Coded, Coder: shouted{}}
		m.Open(env, &flow.Batch{Records: []flow.Record{{Body: []byte(payload)}}}, 0)
		return m
	}
	read := func(m *flow.Message) any {
		v, err := m.Body.Get(document.Root)
		if err != nil {
			return err
		}
		return v.Box()
	}
	for _, written := range []value.Value{value.String("new"), value.Int(5)} { // the second has no form in the format
		m := open("!old")
		if err := m.SetBody(document.Root, written); err != nil {
			t.Fatal(err)
		}
		var o flow.Outgoing
		o.Fill(m, []byte("encoded"))
		if err := (&worker{run: &run{}}).keep(m, &o); err != nil {
			t.Fatal(err)
		}
		o.Own()
		restored := &flow.Message{}
		o.Restore(restored)
		if got := read(restored); !value.Equal(value.Unbox(got), written) {
			t.Errorf("restored as %v, want %v", got, written.Box())
		}
		m.Own()
		if got := read(m); !value.Equal(value.Unbox(got), written) {
			t.Errorf("owned as %v, want %v", got, written.Box())
		}
		if got := read(m.Clone()); !value.Equal(value.Unbox(got), written) {
			t.Errorf("cloned as %v, want %v", got, written.Box())
		}
	}
	m := open("old")
	if text, err := asJSON(m, nil); string(text) != "old" || err != nil {
		t.Errorf("a letter of what cannot be read holds %q, %v", text, err)
	}
	m = open("!old")
	_ = m.SetBody(document.Root, value.Int(5))
	if text, err := asJSON(m, errLate); string(text) != "5" || err != nil {
		t.Errorf("a letter holds %q, %v", text, err)
	}
	_ = m.SetBody(document.Root, value.Bytes([]byte{0xff}))
	if text, err := asJSON(m, errLate); text != nil || err != errLate {
		t.Errorf("a letter holds %q, %v", text, err)
	}
}

func TestPropertiesSayWhatACodecMade(t *testing.T) {
	m := &flow.Message{}
	paths := document.NewPaths()
	paths.Freeze()
	props := &flow.Properties{ContentType: "text/x", ContentEncoding: "gzip", MessageID: "1"}
	m.Open(&flow.Env{Paths: paths}, &flow.Batch{Records: []flow.Record{{Body: []byte("{}"), Props: props}}}, 0)
	var o flow.Outgoing
	o.Fill(m, nil)
	if o.Props() != props {
		t.Error("untouched properties are not the record's")
	}
	m.Reopen([]byte("{}"), document.JSON, nil, &flow.Content{})
	o.Fill(m, nil)
	if p := o.Props(); p.ContentType != "text/x" || p.ContentEncoding != "" || p.MessageID != "1" {
		t.Errorf("%+v", p)
	}
	o.SetContent(&flow.Content{Type: "text/csv", Encoding: "zstd"})
	if p := o.Props(); p.ContentType != "text/csv" || p.ContentEncoding != "zstd" || props.ContentEncoding != "gzip" {
		t.Errorf("%+v", p)
	}
}
