// Package file reads messages from files and writes them to files, one per line or one per file. Paths are relative to the working
// directory.
package file

import "github.com/millstream/millstream/pipelines/config"

// Type is the connector file.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:      "file",
		Doc:       "Reads messages from files and writes them to files.",
		NewSource: func() config.SourceConfig { return &Source{} },
		NewSink:   func() config.SinkConfig { return &Sink{} },
	}
}

// The framings.
const (
	framingLines = "lines"
	framingWhole = "whole"
)
