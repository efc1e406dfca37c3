package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// exampleLink is a link from the index to an example.
var exampleLink = regexp.MustCompile(`\]\(\.\./pipelines/examples/([a-z0-9-]+\.yaml)\)`)

// trimmed are the lines of a text without what indents them.
func trimmed(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// contains says whether lines hold others, one behind the other.
func contains(lines, others []string) bool {
	for i := 0; i+len(others) <= len(lines); i++ {
		if slices.Equal(lines[i:i+len(others)], others) {
			return true
		}
	}
	return false
}

// TestTheIndexOfExamplesShowsTheirOwnLines reads docs/examples.md: it links to every example, and quotes each as it is.
func TestTheIndexOfExamplesShowsTheirOwnLines(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "examples.md"))
	if err != nil {
		t.Fatal(err)
	}
	index, quoted := string(text), 0
	for _, name := range exampleNames(t) {
		if !strings.Contains(index, "](../"+exampleDir+"/"+name+")") {
			t.Errorf("the index does not name %s", name)
		}
	}
	for _, section := range strings.Split(index, "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		link := exampleLink.FindStringSubmatch(section)
		if link == nil {
			t.Errorf("%q links to no example", title)
			continue
		}
		example, err := os.ReadFile(filepath.Join(root, exampleDir, link[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		blocks := yamlBlock.FindAllStringSubmatch(section, -1)
		for _, block := range blocks {
			quoted++
			if !contains(trimmed(string(example)), trimmed(block[2])) {
				t.Errorf("%s does not say\n%s", link[1], block[2])
			}
		}
	}
	if quoted < 14 {
		t.Errorf("only %d quotes were found", quoted)
	}
}

// TestEveryExampleSaysWhatItIsFor looks at what a reader sees first, and for a good and a bad message at least.
func TestEveryExampleSaysWhatItIsFor(t *testing.T) {
	for _, file := range exampleNames(t) {
		text, err := os.ReadFile(filepath.Join(root, exampleDir, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not begin with what it is for", file)
		}
		if !strings.Contains(string(text), "\nname: "+strings.TrimSuffix(file, ".yaml")+"\n") {
			t.Errorf("the pipeline of %s has another name", file)
		}
		if n := strings.Count(string(text), "\n  - name: "); n < 2 {
			t.Errorf("%s has %d tests", file, n)
		}
	}
}
