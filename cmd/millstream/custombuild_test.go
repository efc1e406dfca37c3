package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// TestACustomBuildHasItsOwnPubSub builds testdata/custompubsub, which docs/watermill.md explains, and leads messages in and out of it.
func TestACustomBuildHasItsOwnPubSub(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "custom")
	if out, err := exec.Command("go", "build", "-o", program, "../../testdata/custompubsub").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	run := func(file, text, stdin string) *exec.Cmd {
		t.Helper()
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, path)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
		return cmd
	}
	in := run("in.yaml", "name: in\nfrom: { stdin: {} }\nto: { folder: { topic: 'orders-{{ body.country }}' } }\n",
		`{"country":"de","n":1}`+"\n"+`{"country":"fr","n":2}`+"\n"+`{"country":"de","n":3}`+"\n")
	if out, err := in.CombinedOutput(); err != nil {
		t.Fatalf("in: %v\n%s", err, out)
	}
	out := run("out.yaml", "name: out\nfrom: { folder: { topic: orders-de } }\nsteps:\n  - transform:\n      body.seen: true\nto: { file: { path: out.ndjson } }\n", "")
	if err := out.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Process.Kill(); _ = out.Wait() }()
	want := `{"country":"de","n":1,"seen":true}` + "\n" + `{"country":"de","n":3,"seen":true}` + "\n"
	end := time.Now().Add(waiting)
	for {
		got, _ := os.ReadFile(filepath.Join(dir, "out.ndjson"))
		left, _ := filepath.Glob(filepath.Join(dir, "messages/orders-de/*"))
		if string(got) == want && len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it wrote %q and left %v", got, left)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "messages/orders-fr/*.msg")); len(left) != 1 {
		t.Errorf("the other topic has %v", left)
	}
}
