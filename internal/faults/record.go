package faults

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// Record is one message of a run: who it is, and a checksum over the rest.
type Record struct {
	Run string `json:"run"`
	Key string `json:"key"`
	// ID counts all messages of the run from 0, Seq those of the key from 0.
	ID    int    `json:"id"`
	Seq   int    `json:"seq"`
	Pad   string `json:"pad"`
	CRC32 uint32 `json:"crc32"`
}

const padding = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Generate makes the payloads of a run: n messages over keys keys, round robin.
func Generate(run string, n, keys int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		r := Record{Run: run, Key: fmt.Sprintf("k%03d", i%keys), ID: i, Seq: i / keys, Pad: padding}
		r.CRC32 = r.sum()
		out[i], _ = json.Marshal(r) //nolint:errchkjson // plain fields cannot fail
	}
	return out
}

func (r Record) sum() uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%s|%s|%d|%d|%s", r.Run, r.Key, r.ID, r.Seq, r.Pad))
}

// KeyOf gives the key of message i when there are keys keys.
func KeyOf(i, keys int) string { return fmt.Sprintf("k%03d", i%keys) }
