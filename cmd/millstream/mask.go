package main

import (
	"io"
	"sync/atomic"

	"github.com/millstream/millstream/pipelines"
)

// maskWriter hides the secrets of pipelines in what is written: each Write is taken for whole lines.
type maskWriter struct {
	to    io.Writer
	masks atomic.Pointer[[]func(string) string]
}

// hide makes it hide the secrets of these programs, and no longer those of others.
func (w *maskWriter) hide(programs []*pipelines.Program) {
	masks := make([]func(string) string, len(programs))
	for i, p := range programs {
		masks[i] = p.Mask
	}
	w.masks.Store(&masks)
}

// Write implements io.Writer.
func (w *maskWriter) Write(b []byte) (int, error) {
	masks := w.masks.Load()
	if masks == nil || len(*masks) == 0 {
		return w.to.Write(b)
	}
	text := string(b)
	for _, hide := range *masks {
		text = hide(text)
	}
	if _, err := io.WriteString(w.to, text); err != nil {
		return 0, err
	}
	return len(b), nil
}
