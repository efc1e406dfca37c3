package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/millstream/millstream/engine/trial"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/examples"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// exampleDir is where the shipped pipelines are, seen from the top.
const exampleDir = "pipelines/examples"

// millstream runs the program at the top of the repository and returns what it wrote.
func millstream(t *testing.T, stdin []byte, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command("millstream", args...)
	var out, errOut bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = root, bytes.NewReader(stdin), &out, &errOut
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func exampleNames(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(examples.FS, "*.yaml")
	if err != nil || len(names) < 6 {
		t.Fatalf("the examples are %v: %v", names, err)
	}
	return names
}

func TestEveryExampleIsValidAndPassesItsTests(t *testing.T) {
	names := exampleNames(t)
	if out, errOut, code := millstream(t, nil, []string{"WEBHOOK_SECRET=secret"}, "validate", exampleDir); code != 0 || strings.Count(out, "is valid\n") != len(names) {
		t.Errorf("validate: exit code %d\n%s%s", code, out, errOut)
	}
	out, errOut, code := millstream(t, nil, nil, "test", exampleDir)
	if code != 0 {
		t.Errorf("test: exit code %d\n%s%s", code, out, errOut)
	}
	for _, name := range names {
		if !strings.Contains(out, name+":") {
			t.Errorf("%s has no tests", name)
		}
	}
}

// examplesAlone are the examples that need nobody else and write the same in each run, examplesOver what they read from stdin.
var (
	examplesAlone = []string{
		"access-log", "cloudevents", "csv-to-json", "github", "mask-personal-data", "openstack", "orders-by-tag", "quickstart", "telemetry-alerts",
	}
	examplesOver = map[string]string{"telemetry-alerts": "testdata/telemetry.ndjson"}
)

// varying is what a dead letter says that is not the same in each run.
var varying = regexp.MustCompile(`"(failed_at|revision)":"[^"]*"`)

// TestExamplesWriteWhatTheGoldenFileSays really runs the examples over the data in testdata.
func TestExamplesWriteWhatTheGoldenFileSays(t *testing.T) {
	golden := filepath.Join(root, "testdata", "examples.txtar")
	got := &txtar.Archive{Comment: []byte("What the examples write: TestExamplesWriteWhatTheGoldenFileSays. Large files are given by their hash.\n\n")}
	for _, name := range examplesAlone {
		var input []byte
		if file := examplesOver[name]; file != "" {
			var err error
			if input, err = os.ReadFile(filepath.Join(root, file)); err != nil {
				t.Fatal(err)
			}
		}
		dir := t.TempDir()
		stdout, stderr, code := millstream(t, input, []string{"OUT=" + dir}, "run", "--log-level", "error", exampleDir+"/"+name+".yaml")
		if code != 0 {
			t.Fatalf("%s: exit code %d\n%s", name, code, stderr)
		}
		add := func(file string, text []byte) {
			text = varying.ReplaceAll(text, []byte(`"$1":"…"`))
			if len(text) > 8<<10 {
				text = fmt.Appendf(nil, "%d lines, SHA-256 %x\n", bytes.Count(text, []byte("\n")), sha256.Sum256(text))
			}
			got.Files = append(got.Files, txtar.File{Name: name + "/" + file, Data: text})
		}
		add("stdout", []byte(stdout))
		add("stderr", []byte(stderr))
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			add(filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator))), text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(txtar.Format(got))); d != "" {
		t.Errorf("the examples write something else (-want +got):\n%s", d)
	}
}

func TestTheOpenStackExampleLetsNothingPrivateThrough(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, code := millstream(t, nil, []string{"OUT=" + dir}, "run", "--quiet", exampleDir+"/openstack.yaml"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "events.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"user_id", "tenant_id", "key_name", "public_key", "action_initiator_user"} {
		if shown := regexp.MustCompile(`"`+key+`":"[^*"]`).FindAllString(string(text), -1); len(shown) > 0 {
			t.Errorf("%s is shown %d times", key, len(shown))
		}
	}
	if !strings.Contains(string(text), `"user_id":"***"`) {
		t.Error("no user is hidden")
	}
}

// yamlBlock is a block of a document with its info string: yaml compiles, yaml custom needs the custom build, yaml part is no whole file.
var yamlBlock = regexp.MustCompile("(?ms)^```yaml( [a-z]+)?\n(.*?)^```$")

// TestYAMLInTheDocumentsIsValid compiles the pipelines that README and docs show, and runs their tests.
func TestYAMLInTheDocumentsIsValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(append(files, deeper...), filepath.Join(root, "README.md"))
	compiled := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if block[1] != "" {
				continue
			}
			compiled++
			s := &streams{in: &bytes.Buffer{}, out: &bytes.Buffer{}, err: &bytes.Buffer{}}
			opts := pipelines.Options{Registry: s.registry(), Env: yamldoc.MapEnv{
				"KAFKA": "localhost:9092", "AMQP_URL": "amqp://localhost", "RABBITMQ": "amqp://localhost",
			}}
			program, findings := pipelines.Compile(filepath.Base(file), []byte(block[2]), opts)
			if findings.Len() > 0 {
				var out strings.Builder
				_ = diag.WriteText(&out, findings)
				t.Errorf("a pipeline in %s has findings:\n%s\n%s", file, out.String(), block[2])
				continue
			}
			for i := range program.Tests {
				if r := trial.Run(t.Context(), program, &program.Tests[i]); !r.Passed {
					t.Errorf("a test in %s fails: %s: %v", file, r.Test, r.Differences)
				}
			}
		}
	}
	if compiled < 3 {
		t.Errorf("only %d pipelines were found in %d documents", compiled, len(files))
	}
}
