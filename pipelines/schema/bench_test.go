package schema_test

import (
	"testing"

	"github.com/millstream/millstream/pipelines/schema"
)

const order = `{"type":"object","required":["id","total"],"additionalProperties":false,"properties":{"id":{"type":"string"},
	"total":{"type":"number","minimum":0},"kind":{"enum":["a","b"]},"lines":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string"}}}}}}`

func BenchmarkCompile(b *testing.B) {
	doc := parsed(b, order).Box()
	for b.Loop() {
		if s, p := schema.Compile(doc); p != nil || s.Shape() == nil {
			b.Fatal(p)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	s := compiled(b, order)
	body := parsed(b, `{"id":"o-1","total":12.5,"kind":"a","lines":[{"sku":"x"},{"sku":"y"}]}`)
	for b.Loop() {
		if err := s.Check(body); err != nil {
			b.Fatal(err)
		}
	}
}
