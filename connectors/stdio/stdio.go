// Package stdio connects pipelines with the process's standard input and output: one message per line, each way. It does not know which
// files those are: a main hands in what it likes.
package stdio

import (
	"io"

	"github.com/millstream/millstream/pipelines/config"
)

// Types are the connectors stdin and stdout over two streams. All pipelines of a registry share them: one source reads in at a time,
// and the sinks take turns at out, a whole batch of lines each.
func Types(in io.Reader, out io.Writer) []config.ConnectorType {
	source, sink := newInput(in), newOutput(out)
	return []config.ConnectorType{
		{
			Name:      "stdin",
			Doc:       "Reads one message per line from standard input.",
			NewSource: func() config.SourceConfig { return &Source{input: source} },
		},
		{
			Name:    "stdout",
			Doc:     "Writes one line per message to standard output.",
			NewSink: func() config.SinkConfig { return &Sink{output: sink} },
		},
	}
}
