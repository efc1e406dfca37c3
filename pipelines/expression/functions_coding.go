package expression

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"net/url"
	"slices"
	"strings"
)

type fromBytes = func([]byte) string

func codingFunctions() []Function { return slices.Concat(hashFunctions(), encodingFunctions()) }

func hashFunctions() []Function {
	return []Function{
		digest("sha256", "The SHA-256 of a string or bytes, in hex.", sha256.New,
			[2]Example{{`sha256("abc")`, `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`}, {`sha256("")[0:8]`, `"e3b0c442"`}}),
		digest("sha1", "The SHA-1 of a string or bytes, in hex; for protocols that ask for it.", sha1.New,
			[2]Example{{`sha1("abc")`, `"a9993e364706816aba3e25717850c26c9cd0d89d"`}, {`sha1("")[0:8]`, `"da39a3ee"`}}),
		digest("sha512", "The SHA-512 of a string or bytes, in hex.", sha512.New,
			[2]Example{{`sha512("abc")[0:16]`, `"ddaf35a193617aba"`}, {`len(sha512(""))`, `128`}}),
		digest("md5", "The MD5 of a string or bytes, in hex; for protocols that ask for it.", md5.New,
			[2]Example{{`md5("abc")`, `"900150983cd24fb0d6963f7d28e17f72"`}, {`md5("")[0:8]`, `"d41d8cd9"`}}),
		{Name: "xxhash", Types: []any{new(fromText), new(fromBytes)}, Pure: true, Doc: "The 64-bit xxHash of a string or bytes, in hex: fast, not for secrets.",
			Examples: [2]Example{{`xxhash("")`, `"ef46db3751d8e999"`}, {`xxhash("abc")`, `"44bc2cf5ad770999"`}},
			Impl: func(c *Call, a []any) (any, error) {
				return withBytes(c, a[0], func(b []byte) any { return fmt.Sprintf("%016x", xxhash64(b)) })
			}},
		{Name: "crc32", Types: []any{new(func(string) int), new(func([]byte) int)}, Pure: true, Doc: "The CRC-32 (IEEE) of a string or bytes, as an int.",
			Examples: [2]Example{{`crc32("123456789")`, `3421780262`}, {`crc32("")`, `0`}},
			Impl: func(c *Call, a []any) (any, error) {
				return withBytes(c, a[0], func(b []byte) any { return int(crc32.ChecksumIEEE(b)) })
			}},
		{Name: "hmac", Types: []any{new(fromTexts), new(func(string, string, string) string), new(func([]byte, string) string), new(func([]byte, string, string) string)}, Pure: true,
			Doc:      "The HMAC of a string or bytes under a key, in hex: sha256, or sha1, sha512, md5 as third argument.",
			Examples: [2]Example{{`hmac("what do ya want for nothing?", "Jefe")[0:16]`, `"5bdcc146bf60754e"`}, {`hmac("what do ya want for nothing?", "Jefe", "md5")`, `"750c783e6ab0b503eaa86e310a5db738"`}}, Impl: macOf},
	}
}

var digests = map[string]func() hash.Hash{"sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New, "md5": md5.New}

func digest(name, doc string, h func() hash.Hash, examples [2]Example) Function {
	return Function{Name: name, Types: []any{new(fromText), new(fromBytes)}, Pure: true, Doc: doc, Examples: examples,
		Impl: func(c *Call, a []any) (any, error) {
			return withBytes(c, a[0], func(b []byte) any {
				d := h()
				d.Write(b)
				return hex.EncodeToString(d.Sum(nil))
			})
		}}
}

// withBytes charges for reading x, a string or bytes, and hands its bytes to f.
func withBytes(c *Call, x any, f func([]byte) any) (any, error) {
	b, ok := x.([]byte)
	if !ok {
		b = []byte(x.(string))
	}
	if err := c.spend(len(b) / bytesAStep); err != nil {
		return nil, err
	}
	return f(b), nil
}

func macOf(c *Call, a []any) (any, error) {
	name := "sha256"
	if len(a) == 3 {
		name = a[2].(string)
	}
	h, ok := digests[name]
	if !ok {
		return nil, fmt.Errorf("hmac knows sha256, sha1, sha512 and md5, not %q", name)
	}
	return withBytes(c, a[0], func(b []byte) any {
		m := hmac.New(h, []byte(a[1].(string)))
		m.Write(b)
		return hex.EncodeToString(m.Sum(nil))
	})
}

func encodingFunctions() []Function {
	return []Function{
		encoder("toHex", "Hex of a string or bytes.", hex.EncodeToString, [2]Example{{`toHex("hi")`, `"6869"`}, {`toHex(b"\xff")`, `"ff"`}}),
		decoder("fromHex", "The text, or else the bytes, that hex stands for.", hex.DecodeString, [2]Example{{`fromHex("6869")`, `"hi"`}, {`fromHex("ff") == b"\xff"`, `true`}}),
		encoder("toBase64", "Base64 of a string or bytes.", base64.StdEncoding.EncodeToString, [2]Example{{`toBase64("hi?")`, `"aGk/"`}, {`toBase64(b"\xff")`, `"/w=="`}}),
		decoder("fromBase64", "The text, or else the bytes, that Base64 stands for.", base64.StdEncoding.DecodeString, [2]Example{{`fromBase64("aGk/")`, `"hi?"`}, {`fromBase64("/w==") == b"\xff"`, `true`}}),
		encoder("toBase64URL", "Base64 for URLs and tokens, without padding.", base64.RawURLEncoding.EncodeToString, [2]Example{{`toBase64URL("hi?")`, `"aGk_"`}, {`toBase64URL(b"\xff")`, `"_w"`}}),
		decoder("fromBase64URL", "The text, or else the bytes, that Base64 for URLs stands for, with or without padding.",
			func(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "=")) },
			[2]Example{{`fromBase64URL("aGk_")`, `"hi?"`}, {`fromBase64URL("_w==") == b"\xff"`, `true`}}),
		{Name: "encodeURL", Types: []any{new(fromText)}, Pure: true, Doc: "Escaped for a part of a URL's path or query.",
			Examples: [2]Example{{`encodeURL("a b/c?")`, `"a%20b%2Fc%3F"`}, {`encodeURL("é")`, `"%C3%A9"`}},
			Impl:     mapped(func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") })},
		{Name: "decodeURL", Types: []any{new(fromText)}, Pure: true, Doc: "The text that an escaped part of a URL stands for.",
			Examples: [2]Example{{`decodeURL("a%20b%2Fc")`, `"a b/c"`}, {`decodeURL("a+b")`, `"a+b"`}}, Impl: decodeURL},
	}
}

func encoder(name, doc string, f func([]byte) string, examples [2]Example) Function {
	return Function{Name: name, Types: []any{new(fromText), new(fromBytes)}, Pure: true, Doc: doc, Examples: examples,
		Impl: func(c *Call, a []any) (any, error) {
			return withBytes(c, a[0], func(b []byte) any { return f(b) })
		}}
}

func decoder(name, doc string, f func(string) ([]byte, error), examples [2]Example) Function {
	return Function{Name: name, Types: []any{new(func(string) any)}, Pure: true, Doc: doc, Examples: examples,
		Impl: func(c *Call, a []any) (any, error) {
			b, err := f(a[0].(string))
			if err != nil {
				return nil, fmt.Errorf("the string cannot be decoded: %w", err)
			}
			return asText(b), c.made(len(b))
		}}
}

func decodeURL(c *Call, a []any) (any, error) {
	s, err := url.PathUnescape(a[0].(string))
	if err != nil {
		return nil, fmt.Errorf("the string holds a wrong escape")
	}
	return asText([]byte(s)), c.made(len(s))
}
