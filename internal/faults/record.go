package faults

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"
)

// Record is one message of a run: who it is, and a checksum over the rest.
type Record struct {
	Run string `json:"run"`
	Key string `json:"key"`
	// ID counts all messages of the run from 0, Seq those of the key from 0.
	ID  int    `json:"id"`
	Seq int    `json:"seq"`
	Pad string `json:"pad"`
	// Bad marks a message that no node can work on: it must end as a dead letter.
	Bad bool `json:"bad,omitempty"`
	// At is when it was made, in microseconds since 1970; 0 where nobody asks how long it was under way.
	At    int64  `json:"at,omitempty"`
	CRC32 uint32 `json:"crc32"`
}

const padding = "x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

// Generator makes the messages of a run, round robin over its keys. The same settings give the same messages but for their times.
type Generator struct {
	Run  string
	Keys int
	// Poison makes one message of so many a bad one; 0 makes none.
	Poison int

	next int
}

// Next makes the next n messages, and tells the key of each.
func (g *Generator) Next(n int) (payloads [][]byte, keys []string) {
	now := time.Now().UnixMicro()
	for range n {
		payloads = append(payloads, g.make(g.next, now))
		keys = append(keys, KeyOf(g.next, g.Keys))
		g.next++
	}
	return payloads, keys
}

// Made is how many messages there are so far.
func (g *Generator) Made() int { return g.next }

func (g *Generator) make(id int, at int64) []byte {
	r := Record{Run: g.Run, Key: KeyOf(id, g.Keys), ID: id, Seq: id / g.Keys, Pad: padding, Bad: bad(id, g.Poison), At: at}
	r.CRC32 = r.sum()
	b, _ := json.Marshal(r) //nolint:errchkjson // plain fields cannot fail
	return b
}

func bad(id, poison int) bool { return poison > 0 && id%poison == poison-1 }

// Generate makes the payloads of a run at once: n messages over keys keys, without times.
func Generate(run string, n, keys int) [][]byte {
	g := Generator{Run: run, Keys: keys}
	out := make([][]byte, n)
	for i := range out {
		out[i] = g.make(i, 0)
	}
	return out
}

func (r Record) sum() uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%s|%s|%d|%d|%s|%v|%d", r.Run, r.Key, r.ID, r.Seq, r.Pad, r.Bad, r.At))
}

// KeyOf gives the key of message i when there are keys keys.
func KeyOf(i, keys int) string { return fmt.Sprintf("k%03d", i%keys) }
