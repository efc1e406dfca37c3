package nodes_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

func TestEveryVerbHasItsNameAsAnOption(t *testing.T) {
	var names []string
	for _, n := range nodes.Types() {
		names = append(names, n.Name)
		if n.Doc == "" {
			t.Errorf("%s has no line for the reference", n.Name)
		}
		if keys := yamldoc.KnownKeys(n.New()); len(keys) == 0 || keys[0] != n.Name {
			t.Errorf("%s takes the keys %v", n.Name, keys)
		}
	}
	if diff := cmp.Diff([]string{"filter", "transform", "route", "split", "decode", "encode", "schema", "sample", "throttle", "call", "cloudevent", "log"}, names); diff != "" {
		t.Error(diff)
	}
}
