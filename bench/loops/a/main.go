// Command a is the hand-written loop for the task that keeps half of the events and changes four members of them. It reads only the
// members it needs and splices the result, which is the fastest way that does not write a parser of its own. It judges no event: what
// is not JSON passes as if it were.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"os"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

func main() {
	r := bufio.NewReaderSize(os.Stdin, 1<<20)
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	if err := each(r, w); err != nil {
		log.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
}

func each(r *bufio.Reader, w *bufio.Writer) error {
	for {
		line, err := r.ReadSlice('\n')
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 && gjson.GetBytes(line, "speed").Num > 60 {
			out, err := change(line)
			if err != nil {
				return err
			}
			_, _ = w.Write(out) // the writer keeps its first error for Flush
			_ = w.WriteByte('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func change(line []byte) (out []byte, err error) {
	temperature := gjson.GetBytes(line, "temperature").Num
	device := gjson.GetBytes(line, "device_id").String()
	if out, err = sjson.SetBytes(line, "device", device); err != nil {
		return nil, err
	}
	if out, err = sjson.DeleteBytes(out, "device_id"); err != nil {
		return nil, err
	}
	if out, err = sjson.SetBytes(out, "source", "bench"); err != nil {
		return nil, err
	}
	return sjson.SetBytes(out, "fahrenheit", temperature*1.8+32)
}
