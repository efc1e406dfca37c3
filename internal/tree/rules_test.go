package tree

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is the import path of the repository's root.
const module = "github.com/millstream/millstream"

// Limits of one non-test Go file and of one function's body.
const (
	maxFileLines     = 500
	maxFunctionLines = 70
)

// importRule says what the packages in one folder may know of the others. A folder stands for itself and all below it;
// the longest matching folder of the table wins.
type importRule struct {
	folder string
	may    []string // folders that it may import directly; "." stands for the folder itself
	never  []string // folders that it may not reach through any chain of imports
}

// vocabulary is the part of the language that nodes and connectors write their configuration in.
var vocabulary = []string{
	"flow", "pipelines/config", "pipelines/diag", "pipelines/expression", "pipelines/yamldoc",
}

// importRules is the direction of imports:
//
//	cmd → connectors, nodes → flow and the vocabulary of pipelines
//	cmd → engine → pipelines, flow
var importRules = []importRule{
	{folder: "cmd", may: []string{".", "connectors", "console", "engine", "flow", "internal", "nodes", "pipelines"}},
	{folder: "bench", may: []string{".", "connectors", "engine", "flow", "internal", "nodes", "pipelines"}},
	{folder: "console", may: []string{".", "engine", "flow", "internal", "pipelines"}, never: []string{"connectors", "nodes"}},
	{folder: "engine", may: []string{".", "flow", "internal", "pipelines"}, never: []string{"connectors", "nodes"}},
	{folder: "connectors", may: append([]string{".", "internal"}, vocabulary...), never: []string{"engine", "nodes"}},
	{folder: "nodes", may: append([]string{".", "internal"}, vocabulary...), never: []string{"connectors", "engine"}},
	{folder: "pipelines", may: []string{".", "flow", "internal/textfile"}, never: []string{"connectors", "engine", "nodes"}},
	{folder: "flow", may: []string{"."}},
	{folder: "internal", may: []string{".", "engine", "flow", "pipelines"}, never: []string{"connectors", "nodes"}},
}

// source is what the checks know of one package's non-test files.
type source struct {
	folder  string
	imports map[string][]string // own folders imported, and the files that import them
	shape   []string            // offences against the limits and against init
}

// read parses the non-test Go files of a tree, whatever their build tags, and returns its packages by folder.
func read(tree fs.FS) (map[string]*source, error) {
	found := map[string]*source{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && ignoredFolder(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if found[folder] == nil {
			found[folder] = &source{folder: folder, imports: map[string][]string{}}
		}
		return found[folder].add(name, text)
	})
	return found, err
}

func ignoredFolder(name string) bool {
	return name == "testdata" || name == "vendor" || name == "node_modules" ||
		strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// add parses one file and notes its imports and offences.
func (s *source) add(name string, text []byte) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if own, ok := strings.CutPrefix(imported, module+"/"); ok {
			s.imports[own] = append(s.imports[own], name)
		}
	}
	if ast.IsGenerated(file) {
		return nil
	}
	if lines := files.File(file.Pos()).LineCount(); lines > maxFileLines {
		s.shape = append(s.shape, fmt.Sprintf("%s: %d lines, the limit is %d", name, lines, maxFileLines))
	}
	for _, declaration := range file.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Body != nil {
			s.addFunction(files, name, function)
		}
	}
	return nil
}

func (s *source) addFunction(files *token.FileSet, name string, function *ast.FuncDecl) {
	first := files.Position(function.Body.Lbrace).Line
	last := files.Position(function.Body.Rbrace).Line
	where := fmt.Sprintf("%s:%d: %s", name, files.Position(function.Pos()).Line, function.Name.Name)
	if lines := last - first - 1; lines > maxFunctionLines {
		s.shape = append(s.shape, fmt.Sprintf("%s has %d lines, the limit is %d", where, lines, maxFunctionLines))
	}
	if function.Recv == nil && function.Name.Name == "init" {
		s.shape = append(s.shape, where+": no package does anything when it is imported")
	}
}

// shapeOffences lists what breaks the limits of files and functions.
func shapeOffences(sources map[string]*source) []string {
	var out []string
	for _, s := range sources {
		out = append(out, s.shape...)
	}
	slices.Sort(out)
	return out
}

// importOffences lists the imports that break the rules, and the folders that no rule speaks of.
func importOffences(sources map[string]*source, rules []importRule) []string {
	var out []string
	for _, s := range sources {
		if s.folder == "." {
			continue
		}
		rule, ok := ruleFor(s.folder, rules)
		if !ok {
			out = append(out, s.folder+": no rule says what this folder may import")
			continue
		}
		for imported, files := range s.imports {
			if !rule.allows(imported) {
				out = append(out, fmt.Sprintf("%s imports %s; %s may import: %s",
					strings.Join(files, ", "), imported, rule.folder, strings.Join(rule.may, ", ")))
			}
		}
		for _, never := range rule.never {
			if chain := reach(sources, s.folder, never); len(chain) > 2 {
				out = append(out, fmt.Sprintf("%s reaches %s: %s", s.folder, never, strings.Join(chain, " → ")))
			}
		}
	}
	slices.Sort(out)
	return out
}

func ruleFor(folder string, rules []importRule) (importRule, bool) {
	var best importRule
	for _, rule := range rules {
		if within(folder, rule.folder) && len(rule.folder) > len(best.folder) {
			best = rule
		}
	}
	return best, best.folder != ""
}

func (r importRule) allows(imported string) bool {
	for _, folder := range r.may {
		if folder == "." {
			folder = r.folder
		}
		if within(imported, folder) {
			return true
		}
	}
	return false
}

func within(folder, parent string) bool {
	return folder == parent || strings.HasPrefix(folder, parent+"/")
}

// reach returns a shortest chain of imports from one folder into another, or nil.
func reach(sources map[string]*source, from, into string) []string {
	chains := [][]string{{from}}
	seen := map[string]bool{from: true}
	for len(chains) > 0 {
		chain := chains[0]
		chains = chains[1:]
		here := chain[len(chain)-1]
		if here != from && within(here, into) {
			return chain
		}
		if sources[here] == nil {
			continue
		}
		next := make([]string, 0, len(sources[here].imports))
		for imported := range sources[here].imports {
			next = append(next, imported)
		}
		slices.Sort(next)
		for _, imported := range next {
			if !seen[imported] {
				seen[imported] = true
				chains = append(chains, append(slices.Clone(chain), imported))
			}
		}
	}
	return nil
}
