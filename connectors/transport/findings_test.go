package transport_test

import (
	"testing"

	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

func TestASecretInATextThatIsShownIsFound(t *testing.T) {
	for _, tainted := range []bool{true, false} {
		list := &diag.List{}
		transport.CheckSecret(&config.Builder{Findings: list}, &yamldoc.Text{Tainted: tainted})
		if found := list.All(); (len(found) == 1) != tainted || tainted && found[0].Code != diag.SecretShown {
			t.Errorf("tainted %v: %v", tainted, found)
		}
	}
}
