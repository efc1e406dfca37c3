package file

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzPath renders any name below a directory: whatever is written is below it, and names one file.
func FuzzPath(f *testing.F) {
	for _, name := range []string{"a", "a/b.txt", "../x", "a/../../x", "..", ".", "", "/etc/passwd", "a//b", "a\x00b", "ä", "a\u0308", ".hidden", strings.Repeat("x", 201)} {
		f.Add("out/", name)
		f.Add("out/by-", name)
		f.Add("", name)
	}
	f.Fuzz(func(t *testing.T, literal, name string) {
		l, err := renderedLocation(literal+name, len(literal))
		if err != nil {
			return
		}
		if !filepath.IsLocal(l.rel) {
			t.Errorf("%q leads out of its directory", l.rel)
		}
		want := "."
		if at := strings.LastIndexByte(literal, '/'); at >= 0 {
			want = filepath.Clean(literal[:at+1])
		}
		if l.base != want || !l.guarded {
			t.Errorf("the directory is %q, want %q", l.base, want)
		}
		for element := range strings.SplitSeq(l.rel, "/") {
			if len(element) > 200 || element[0] == '.' || strings.Trim(element, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
				t.Errorf("the name %q was taken", element)
			}
		}
	})
}

// FuzzCut cuts any file to its last whole line.
func FuzzCut(f *testing.F) {
	f.Add([]byte("a\nb\nhal"), uint8(0))
	f.Add([]byte("no line"), uint8(3))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, text []byte, blocks uint8) {
		text = append(text, bytes.Repeat([]byte("x"), int(blocks)<<10)...)
		end, err := lastLineEnd(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(bytes.LastIndexByte(text, '\n') + 1); end != want {
			t.Errorf("cut at %d, want %d", end, want)
		}
	})
}

// FuzzExpand reads any bytes as a compressed file: it ends, and never gives more than it may.
func FuzzExpand(f *testing.F) {
	for _, name := range []string{"testdata/small.gz", "testdata/small.zst"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, zst bool) {
		name := "x.gz"
		if zst {
			name = "x.zst"
		}
		r, closing, err := expand(name, bytes.NewReader(b), 100)
		if err != nil {
			return
		}
		defer closing()
		n := int64(0)
		buf := make([]byte, 64<<10)
		for err == nil {
			var k int
			k, err = r.Read(buf)
			n += int64(k)
		}
		if n > freeExpansion && n > 101*int64(len(b))+int64(len(buf)) {
			t.Errorf("%d bytes came of %d", n, len(b))
		}
	})
}
