package main

import (
	"slices"
	"testing"

	"github.com/millstream/millstream/pipelines/mapping"
	"github.com/millstream/millstream/pipelines/reference"
)

func TestEveryConnectorIsInTheMappingTable(t *testing.T) {
	for _, c := range testGrammar(t, reference.Comments{}).Connectors {
		if c.Source != nil && !slices.Contains(mapping.Sources(), c.Name) {
			t.Errorf("%s is not among the sources of pipelines/mapping", c.Name)
		}
		if c.Sink != nil && !slices.Contains(mapping.Sinks(), c.Name) {
			t.Errorf("%s is not among the sinks of pipelines/mapping", c.Name)
		}
	}
}
