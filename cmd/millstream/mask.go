package main

import "io"

// maskWriter hides the secrets of pipelines in what is written: each Write is taken for whole lines.
type maskWriter struct {
	to    io.Writer
	masks []func(string) string
}

// Write implements io.Writer.
func (w *maskWriter) Write(b []byte) (int, error) {
	if len(w.masks) == 0 {
		return w.to.Write(b)
	}
	text := string(b)
	for _, hide := range w.masks {
		text = hide(text)
	}
	if _, err := io.WriteString(w.to, text); err != nil {
		return 0, err
	}
	return len(b), nil
}
