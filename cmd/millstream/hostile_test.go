//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostileMemory is what validate may take for any file, in KiB as the kernel counts it.
const hostileMemory = 256 << 10

// hostileTimeout ends a run that hangs. What it takes is measured elsewhere; this only tells it from never ending.
const hostileTimeout = 30 * time.Second

var anyFinding = regexp.MustCompile(`(?m)^hostile\.yaml:\d+:\d+: error: .* \[[a-z-]+\]$`)

func TestHostileFilesGetAFindingWithinBoundedMemory(t *testing.T) {
	for name, text := range hostileFiles() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "hostile.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), hostileTimeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, "millstream", "validate", "hostile.yaml")
			var out, errOut bytes.Buffer
			cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errOut
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != exitInvalid {
				t.Errorf("exit code %d, want %d: %.300s", code, exitInvalid, errOut.String())
			}
			if !anyFinding.Match(out.Bytes()) || errOut.Len() > 0 {
				t.Errorf("no finding in %.300q, on stderr %.300q", out.String(), errOut.String())
			}
			if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); !ok || usage.Maxrss > hostileMemory {
				t.Errorf("it took %+v, of memory %d KiB are allowed", usage, hostileMemory)
			}
		})
	}
}

// hostileFiles are files that a parser pays for dearly: each is written to exhaust the stack, memory or patience.
func hostileFiles() map[string]string {
	const megabyte, long = 1_000_000, 15_000
	quoted := func(expr string) string { return stepFile("filter: '" + strings.ReplaceAll(expr, "'", "''") + "'") }
	files := map[string]string{
		"an alias inside itself":      wrapped("x-a: &a [*a]"),
		"aliases of lists":            bomb("[x, x, x]", "[", "]", ""),
		"aliases of mappings":         bomb("{ k: v }", "{", "}", "k"),
		"merge keys of merge keys":    bomb("{ k: v }", "{ <<: [", "] }", ""),
		"10,000 lists":                wrapped("vars: { v: " + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + " }"),
		"10,000 mappings":             wrapped("vars: { v: " + strings.Repeat("{ a: ", 10_000) + "1" + strings.Repeat("}", 10_000) + " }"),
		"10,000 dashes":               wrapped("vars:\n  v:\n    " + strings.Repeat("- ", 10_000) + "x"),
		"10,000 parentheses":          quoted(strings.Repeat("(", 10_000) + "true" + strings.Repeat(")", 10_000)),
		"5,000,000 brackets":          wrapped("vars: { v: " + strings.Repeat("[", 5_000_000)),
		"a NUL":                       stepFile("filter: body.a == \"\x00\""),
		"a byte that is no UTF-8":     stepFile("filter: body.a == \"\xff\xfe\""),
		"UTF-16":                      "\xff\xfen\x00a\x00m\x00e\x00",
		"an endless document":         strings.Repeat("---\n", megabyte/4),
		"one key again and again":     wrapped(strings.Repeat("order: source\n", 40_000)),
		"a pair of quotes repeated":   "name: a\nfrom: { stdin: {} }\nto: { file: { path: " + strings.Repeat(`"`, megabyte) + " } }\n",
		"variables never closed":      "name: a\nfrom: { stdin: {} }\nto: { file: { path: " + strings.Repeat("${", megabyte/2) + " } }\n",
		"defaults inside of defaults": "name: a\nfrom: { stdin: {} }\nto: { file: { path: '" + strings.Repeat("${X:-", 150_000) + "' } }\n",
		"80,000 templates":            "name: a\nfrom: { stdin: {} }\nto: { file: { path: 'x" + strings.Repeat("{{ body.a }}", 80_000) + "' } }\n",
		"a target of 10,000 names":    stepFile("transform: { body" + strings.Repeat(".a", 10_000) + "[: 1 }"),
		"a pattern that explodes":     quoted(`body.a matches "((((a{100}){100}){100}){100})"`),
		"a text that doubles":         quoted(`repeat("x", 1000000) + repeat("y", 100000000) == 1`),
		"loops inside of loops":       quoted(`all(1..9999, all(1..9999, all(1..9999, true)))`),
		"a range without end":         quoted(`len(1..100000000) > 1`),
		"60 long wrong expressions":   "name: a\nfrom: { stdin: {} }\nsteps:\n" + strings.Repeat("  - filter: '"+strings.Repeat("!", long)+"'\n", 60) + "to: { stdout: {} }\n",
	}
	for _, sign := range []string{"[", "{", "(", "!", "-", "not ", `"`, "&", "*", "? ", ": ", "{{", "${", "\\", "`", "#"} {
		files["a megabyte of "+sign] = strings.Repeat(sign, megabyte/len(sign))
		files["an expression of a megabyte of "+sign] = quoted(strings.Repeat(sign, megabyte/len(sign)))
		files["an expression that ends in many "+sign] = quoted("body.a ~ " + strings.Repeat(sign, long/len(sign)))
	}
	return files
}

func wrapped(lines string) string {
	return "name: a\nfrom: { stdin: {} }\nto: { stdout: {} }\n" + lines + "\n"
}

func stepFile(step string) string {
	return "name: a\nfrom: { stdin: {} }\nsteps:\n  - " + step + "\nto: { stdout: {} }\n"
}

// bomb is ten generations of values, each with nine aliases of the one before.
func bomb(seed, opening, closing, key string) string {
	var b strings.Builder
	b.WriteString("x-a: &a " + seed + "\n")
	for c := 'b'; c <= 'j'; c++ {
		b.WriteString("x-" + string(c) + ": &" + string(c) + " " + opening)
		for i := range 9 {
			if i > 0 {
				b.WriteString(", ")
			}
			if key != "" {
				b.WriteString(key + string(rune('0'+i)) + ": ")
			}
			b.WriteString("*" + string(c-1))
		}
		b.WriteString(closing + "\n")
	}
	return wrapped(b.String() + "vars: { v: *j }")
}
