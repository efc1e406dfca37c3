package http

import (
	"bytes"
	"encoding/hex"
	nethttp "net/http"
	"strings"
	"testing"

	"github.com/millstream/millstream/internal/httpclient"
)

func FuzzSignature(f *testing.F) {
	for _, seed := range []string{"", "sha256=", "sha256=" + strings.Repeat("0a", 32), strings.Repeat("FF", 32), "sha1=00", "=", "sha256=" + strings.Repeat("zz", 32)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sum, ok := parseSignature(text, "sha256", 32)
		if !ok {
			return
		}
		digits := strings.TrimPrefix(text, "sha256=")
		if want, err := hex.DecodeString(digits); err != nil || !bytes.Equal(sum, want) || len(sum) != 32 {
			t.Fatalf("%q is read as %x", text, sum)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add("x-a", "1")
	f.Add("a b", "x\r\ny: z")
	f.Add("", "\x00")
	f.Add("ä", " x ")
	f.Fuzz(func(t *testing.T, name, text string) {
		h := headers{Header: nethttp.Header{}}
		h.add(name, text)
		for n, values := range h.Header {
			for _, v := range values {
				if !httpclient.ValidHeader(n, v) {
					t.Fatalf("%q: %q goes out as %q: %q", name, text, n, v)
				}
			}
		}
		if name != "" && len(h.Header) != 1 {
			t.Fatalf("%q is lost", name)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("no gzip"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		var charge int64
		m := memory{most: 1 << 20}
		plain, a := room{memory: &m, charge: &charge, most: 1 << 16}.unpack("gzip", packed)
		if len(plain) > 1<<16 || (a.status == 0) != (plain != nil) || charge != m.used.Load() || charge > 1<<20 {
			t.Fatalf("%d bytes, answer %+v, charged %d of %d", len(plain), a, charge, m.used.Load())
		}
	})
}
