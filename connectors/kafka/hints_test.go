package kafka

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millstream/millstream/flow"
)

func TestHintsTurnTextIntoTypesAgain(t *testing.T) {
	h := func(pairs ...string) (hs []kgo.RecordHeader) {
		for i := 0; i+1 < len(pairs); i += 2 {
			hs = append(hs, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
		}
		return hs
	}
	tests := []struct {
		name string
		in   []kgo.RecordHeader
		want []string
	}{
		{"int", h("n", "-5", "millstream-ht-n", "int"), []string{"n int -5"}},
		{"float", h("f", "1.5", "millstream-ht-f", "float"), []string{"f float 1.5"}},
		{"bool", h("b", "true", "millstream-ht-b", "bool"), []string{"b bool true"}},
		{"time", h("t", "2026-01-02T03:04:05.6Z", "millstream-ht-t", "time"), []string{"t time 2026-01-02T03:04:05.6Z"}},
		{"list", h("l", `[1,"a"]`, "millstream-ht-l", "list"), []string{`l list [1,"a"]`}},
		{"map", h("m", `{"a":1}`, "millstream-ht-m", "map"), []string{`m map {"a":1}`}},
		{"nil", append([]kgo.RecordHeader{{Key: "v"}}, h("millstream-ht-v", "nil")...), []string{"v nil "}},
		{"empty is not nil", h("v", "", "millstream-ht-v", "nil"), []string{"v bytes ", "millstream-ht-v bytes nil"}},
		{"repeated names", h("n", "1", "millstream-ht-n", "int", "n", "2", "millstream-ht-n", "int"), []string{"n int 1", "n int 2"}},
		{"text that another writer made", h("n", "007", "millstream-ht-n", "int"), []string{"n bytes 007", "millstream-ht-n bytes int"}},
		{"a hint that lies", h("n", "x", "millstream-ht-n", "int"), []string{"n bytes x", "millstream-ht-n bytes int"}},
		{"a type that is not known", h("n", "1", "millstream-ht-n", "uuid"), []string{"n bytes 1", "millstream-ht-n bytes uuid"}},
		{"a hint elsewhere", h("n", "1", "o", "2", "millstream-ht-n", "int"), []string{"n bytes 1", "o bytes 2", "millstream-ht-n bytes int"}},
		{"a hint alone", h("millstream-ht-n", "int"), []string{"millstream-ht-n bytes int"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			read := fillHeaders(nil, test.in)
			var got []string
			for _, h := range read {
				got = append(got, h.Name+" "+h.Value.Kind().String()+" "+h.Text())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			var again headerWriter
			for _, h := range read {
				again.header(h)
			}
			if diff := cmp.Diff(test.in, again.hs); diff != "" {
				t.Errorf("a hop from Kafka to Kafka changes headers: %s", diff)
			}
		})
	}
}

func TestTypesSurviveKafka(t *testing.T) {
	o, err := prepare(&preparer{constant: "x"}, "amqp", flow.Record{Body: []byte("{}"), Headers: typedHeaders()})
	if err != nil {
		t.Fatal(err)
	}
	extra, ok := o.Native.(*prepared)
	if !ok {
		t.Fatal("no headers")
	}
	show := func(hs []flow.Header) (all []string) {
		for _, h := range hs {
			all = append(all, h.Name+" "+h.Value.Kind().String()+" "+h.Text())
		}
		return all
	}
	if diff := cmp.Diff(show(typedHeaders()), show(fillHeaders(nil, extra.headers))); diff != "" {
		t.Error(diff)
	}
}
