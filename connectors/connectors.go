// Package connectors lists the technologies that a pipeline file may name. Each has a folder of its own; a main that wants more, or
// fewer, makes its own list.
package connectors

import (
	"io"

	"github.com/millstream/millstream/connectors/amqp"
	"github.com/millstream/millstream/connectors/drop"
	"github.com/millstream/millstream/connectors/file"
	"github.com/millstream/millstream/connectors/generate"
	"github.com/millstream/millstream/connectors/http"
	"github.com/millstream/millstream/connectors/kafka"
	"github.com/millstream/millstream/connectors/memory"
	"github.com/millstream/millstream/connectors/stdio"
	"github.com/millstream/millstream/pipelines/config"
)

// Types are all connectors. stdin and stdout are the process's own, or a test's. Memory topics are shared by all programs that are
// compiled against one list.
func Types(stdin io.Reader, stdout io.Writer) []config.ConnectorType {
	return append(stdio.Types(stdin, stdout),
		file.Type(),
		generate.Type(),
		drop.Type(),
		http.Type(),
		memory.Type(memory.NewHub()),
		kafka.Type(),
		amqp.Type(),
	)
}
