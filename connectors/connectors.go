// Package connectors lists the technologies that a pipeline file may name. Each has a folder of its own; a main that wants more appends
// to the list.
package connectors

import (
	"io"

	"github.com/millstream/millstream/connectors/drop"
	"github.com/millstream/millstream/connectors/generate"
	"github.com/millstream/millstream/connectors/memory"
	"github.com/millstream/millstream/connectors/stdio"
	"github.com/millstream/millstream/pipelines/config"
)

// Types are all connectors, in the order in which lists and the reference show them. Pipelines that are compiled with the same list share
// the two streams and the topics of memory.
func Types(stdin io.Reader, stdout io.Writer) []config.ConnectorType {
	types := stdio.Types(stdin, stdout)
	return append(types,
		generate.Type(),
		drop.Type(),
		memory.Type(memory.NewHub()),
	)
}
