package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestACustomBuildHasItsOwnVerb builds and runs testdata/custombuild, which docs/custom-build.md explains.
func TestACustomBuildHasItsOwnVerb(t *testing.T) {
	program := filepath.Join(t.TempDir(), "custom")
	if out, err := exec.Command("go", "build", "-o", program, "../../testdata/custombuild").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	pipeline := func(text string) string {
		file := filepath.Join(t.TempDir(), "p.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := "name: x\nfrom: { stdin: {}, decode: text }\nsteps:\n  - shout: body\n    marks: ${MARKS:-2}\nto: { stdout: {} }\n"
	cmd := exec.Command(program, pipeline(good))
	cmd.Env = append(os.Environ(), "MARKS=3")
	cmd.Stdin = strings.NewReader("hello\n")
	if out, err := cmd.Output(); err != nil || string(out) != "HELLO!!!\n" {
		t.Errorf("it says %q: %v", out, err)
	}
	out, err := exec.Command(program, pipeline(strings.Replace(good, "shout: body", "shout: boddy", 1))).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `unknown name "boddy"`) {
		t.Errorf("a mistake in the verb gives %v and\n%s", err, out)
	}
}
