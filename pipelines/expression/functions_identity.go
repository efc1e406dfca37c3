package expression

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

func identityFunctions() []Function {
	return []Function{
		{Name: "uuid", Types: []any{new(func() string)}, Doc: "A random UUID (version 4).",
			Examples: [2]Example{{`uuid() matches "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"`, `true`}, {`uuid() == uuid()`, `false`}},
			Impl: func(*Call, []any) (any, error) {
				var b [16]byte
				_, _ = rand.Read(b[:]) // never fails, see crypto/rand
				return uuidText(b, 4), nil
			}},
		{Name: "uuid7", Types: []any{new(func() string)}, Doc: "A UUID that sorts by time (version 7, by the pipeline's clock).",
			Examples: [2]Example{{`uuid7() matches "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"`, `true`}, {`len(uuid7())`, `36`}},
			Impl:     func(c *Call, _ []any) (any, error) { return uuidText(timed(c.now()), 7), nil }},
		{Name: "ulid", Types: []any{new(func() string)}, Doc: "A ULID: 26 characters that sort by time.",
			Examples: [2]Example{{`ulid() matches "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"`, `true`}, {`len(ulid())`, `26`}},
			Impl:     func(c *Call, _ []any) (any, error) { return ulidText(timed(c.now())), nil }},
		{Name: "hashID", Types: []any{new(func(any, ...any) string)}, Pure: true, Doc: "The same 32 hex digits for the same parts, whatever they are: an id that makes repeats harmless.",
			Examples: [2]Example{{`hashID("a", 1) == hashID("a", 1)`, `true`}, {`hashID("ab", "c") == hashID("a", "bc")`, `false`}}, Impl: hashID},
	}
}

// timed is 48 bits of milliseconds and 80 random bits.
func timed(t time.Time) (b [16]byte) {
	_, _ = rand.Read(b[6:]) // never fails, see crypto/rand
	ms := uint64(t.UnixMilli())
	binary.BigEndian.PutUint16(b[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:6], uint32(ms))
	return b
}

// uuidText sets version and variant as RFC 9562, section 4, has them.
func uuidText(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func ulidText(b [16]byte) string {
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	var out [26]byte
	for i := 25; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

func hashID(c *Call, a []any) (any, error) {
	h := sha256.New()
	for _, x := range a {
		if f, ok := x.(float64); ok {
			if err := tells(f); err != nil {
				return nil, err
			}
		}
		text, err := encodeJSON(c, stringify(x))
		if err != nil {
			return nil, err
		}
		h.Write([]byte(text.(string)))
		h.Write([]byte{0}) // JSON has no such byte: parts cannot run into each other
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

func stringify(x any) any {
	if b, ok := x.([]byte); ok {
		return []any{"bytes", hex.EncodeToString(b)}
	}
	return x
}
