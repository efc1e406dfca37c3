package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// loadFlags are the flags of every command that reads pipeline files.
type loadFlags struct {
	envFiles []string
	set      []string
	format   string
}

func (f *loadFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.envFiles, "env-file", nil, "read variables for ${NAME} from a file of NAME=value lines; the environment wins")
	c.Flags().StringArrayVar(&f.set, "set", nil, "override an entry of the file's vars, as name=value")
}

func (f *loadFlags) addFormat(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "text", "how findings are printed: text, json or github")
}

// load compiles all files that paths name. Findings about several of them together are among the findings.
func (s *streams) load(paths []string, f *loadFlags, forTest bool) ([]*pipelines.Program, *diag.List, error) {
	opts := pipelines.Options{Registry: s.registry(), ForTest: forTest, Vars: map[string]string{}}
	set := map[string]bool{}
	var seeing sync.Mutex
	opts.VarSeen = func(name string) {
		seeing.Lock()
		defer seeing.Unlock()
		set[name] = true
	}
	env, err := environment(f.envFiles)
	if err != nil {
		return nil, nil, failWith(exitInvalid, err)
	}
	opts.Env = env
	for _, kv := range f.set {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return nil, nil, failWith(exitInvalid, fmt.Errorf("--set %s: write it as name=value", kv))
		}
		opts.Vars[name] = value
	}
	findings := &diag.List{}
	files, err := pipelineFiles(paths, findings)
	if err != nil {
		return nil, nil, failWith(exitInvalid, err)
	}
	programs := loadAll(files, opts, findings)
	for name := range opts.Vars {
		if !set[name] && !findings.HasErrors() {
			return nil, nil, failWith(exitInvalid, fmt.Errorf("--set %s: no file has %s under vars", name, name))
		}
	}
	checkTogether(programs, findings)
	return programs, findings, nil
}

// loadAll compiles files, as many at once as there are processors, and keeps their order.
func loadAll(files []string, opts pipelines.Options, findings *diag.List) []*pipelines.Program {
	programs, found := make([]*pipelines.Program, len(files)), make([]*diag.List, len(files))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(files); i = int(next.Add(1)) - 1 {
				programs[i], found[i] = pipelines.Load(files[i], opts)
			}
		})
	}
	workers.Wait()
	for _, f := range found {
		findings.Merge(f)
	}
	return slices.DeleteFunc(programs, func(p *pipelines.Program) bool { return p == nil })
}

// checkTogether finds what is right in each file and cannot be in one process.
func checkTogether(programs []*pipelines.Program, findings *diag.List) {
	names, taken := map[string]*pipelines.Program{}, map[string]*pipelines.Program{}
	for _, p := range programs {
		if first, twice := names[p.Name]; twice {
			findings.Add(p.Finding(diag.DuplicateName, fmt.Sprintf("the pipeline name %q is taken by %s", p.Name, first.Path),
				"give one of the two another name"))
			continue
		}
		names[p.Name] = p
		for _, what := range exclusive(p) {
			if first, twice := taken[what]; twice && first != p {
				findings.Add(p.Finding(diag.ConflictingKey, fmt.Sprintf("%s is taken by pipeline %q, and only one can have it", what, first.Name),
					"run one of the two in a process of its own"))
			}
			taken[what] = p
		}
	}
}

// exclusive lists what only one holder can have at a time.
func exclusive(p *pipelines.Program) []string {
	var all []string
	for i := range p.Sources {
		all = append(all, p.Sources[i].Traits.Exclusive)
	}
	for i := range p.Sinks {
		all = append(all, p.Sinks[i].Traits.Exclusive)
	}
	return slices.DeleteFunc(all, func(what string) bool { return what == "" })
}

// pipelineFiles lists the files that paths mean: files as they are, of a directory every *.yaml in it, not recursively.
func pipelineFiles(paths []string, findings *diag.List) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
		if !info.IsDir() {
			files = append(files, filepath.Clean(path))
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
		before := len(files)
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			switch {
			case e.IsDir() || strings.HasPrefix(e.Name(), "."):
			case strings.HasSuffix(e.Name(), ".yaml"):
				files = append(files, name)
			case strings.HasSuffix(e.Name(), ".yml"):
				findings.Add(diag.Finding{Path: name, Line: 1, Col: 1, Severity: diag.Warning, Code: diag.FileExtension,
					Message: "files of a directory are read when they end in .yaml", Hint: "rename it to " + strings.TrimSuffix(e.Name(), ".yml") + ".yaml"})
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s holds no *.yaml file", path)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// processEnv is the environment, then the files given.
type processEnv struct{ files yamldoc.MapEnv }

// Lookup implements yamldoc.Env.
func (e processEnv) Lookup(name string) (string, bool) {
	if v, ok := os.LookupEnv(name); ok {
		return v, true
	}
	return e.files.Lookup(name)
}

func environment(files []string) (yamldoc.Env, error) {
	vars := yamldoc.MapEnv{}
	for _, file := range files {
		if err := readEnvFile(file, vars); err != nil {
			return nil, err
		}
	}
	return processEnv{vars}, nil
}

func readEnvFile(path string, into yamldoc.MapEnv) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			return fmt.Errorf("%s:%d: write NAME=value", path, n)
		}
		into[strings.TrimSpace(name)] = unquoted(strings.TrimSpace(value))
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	return nil
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
