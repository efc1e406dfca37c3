package document_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// randomJSON writes a document over the fuzzed paths' names, with white space, escaped and repeated keys, and long integers.
func randomJSON(r *rand.Rand, dst []byte, depth int) []byte {
	space := func() {
		for range r.IntN(3) / 2 {
			dst = append(dst, " \n\t"[r.IntN(3)])
		}
	}
	kind := r.IntN(9)
	if depth > 3 {
		kind = r.IntN(6)
	}
	space()
	switch {
	case kind == 0:
		dst = append(dst, "null"...)
	case kind < 6:
		scalars := []string{"1", "-0", "2.50", "18446744073709551615", `"s"`, `"a\u00e4\n"`, "true", "1E2", `""`, `"ä"`}
		dst = append(dst, scalars[r.IntN(len(scalars))]...)
	case kind == 6:
		dst = append(dst, '[')
		for i := range r.IntN(4) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = randomJSON(r, dst, depth+1)
		}
		space()
		dst = append(dst, ']')
	default:
		keys := []string{`"a"`, `"b"`, `"x y"`, `""`, `"c"`, `"\u0061"`, `"z"`, `"0"`}
		dst = append(dst, '{')
		for i := range r.IntN(6) {
			if i > 0 {
				dst = append(dst, ',')
			}
			space()
			dst = append(dst, keys[r.IntN(len(keys))]...)
			space()
			dst = append(dst, ':')
			dst = randomJSON(r, dst, depth+1)
			space()
		}
		space()
		dst = append(dst, '}')
	}
	space()
	return dst
}

func TestLazyEqualsWholeOnRandomDocuments(t *testing.T) {
	for seed := range uint64(30_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		payload := randomJSON(r, nil, 0)
		for depth := 0; depth < 4 && payload[0] != '{' && payload[0] != '['; depth++ { // mostly maps and lists
			payload = randomJSON(r, payload[:0], 0)
		}
		code := make([]byte, r.IntN(48))
		for i := range code {
			code[i] = byte(r.Uint32())
		}
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { lazyEqualsWhole(t, payload, code, 0) }) {
			t.Fatalf("payload %q, program %v", payload, code)
		}
	}
}
