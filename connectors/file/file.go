// Package file reads messages from files and writes them to files, one per line or one per file. Paths are relative to the working
// directory.
package file

import (
	"path/filepath"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
)

// Type is the connector file.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:      "file",
		Doc:       "Reads messages from files and writes them to files.",
		NewSource: func() config.SourceConfig { return &Source{} },
		NewSink:   func() config.SinkConfig { return &Sink{} },
	}
}

// address is the file that a path means; empty for a pattern.
func address(path string) string {
	if strings.ContainsAny(path, "*?[") {
		return ""
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if target, err := filepath.EvalSymlinks(whole); err == nil {
		whole = target
	}
	return "file:" + whole
}

// The framings.
const (
	framingLines = "lines"
	framingWhole = "whole"
)
