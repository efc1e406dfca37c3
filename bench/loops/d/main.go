// Command d is the hand-written loop for the task that keeps nested events by two members deep inside: each event is checked to be JSON,
// as a pipeline does, then the members are looked up.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/tidwall/gjson"
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
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 {
			if !gjson.ValidBytes(line) {
				return fmt.Errorf("not JSON: %.80q", line)
			}
			if gjson.GetBytes(line, "vehicle.engine.oil.temp").Num > 60 &&
				gjson.GetBytes(line, "trip.next_stop.address.country").String() == "DE" {
				_, _ = w.Write(line) // the writer keeps its first error for Flush
				_ = w.WriteByte('\n')
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
