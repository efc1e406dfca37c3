// Command c is the hand-written loop for the task that passes lines from its input to its output.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"os"
)

func main() {
	r := bufio.NewReaderSize(os.Stdin, 1<<20)
	w := bufio.NewWriterSize(os.Stdout, 1<<20)
	if err := copyLines(r, w); err != nil {
		log.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		log.Fatal(err)
	}
}

func copyLines(r *bufio.Reader, w *bufio.Writer) error {
	for {
		line, err := r.ReadSlice('\n')
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 {
			_, _ = w.Write(line) // the writer keeps its first error for Flush
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
