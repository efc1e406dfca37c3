package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/internal/watch"
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

// load compiles all files that paths name. Findings about several of them together are among the findings,
// but with forTest, where each is looked at by itself.
func (s *streams) load(paths []string, f *loadFlags, forTest bool) ([]*pipelines.Program, *diag.List, error) {
	set := s.loadSet(paths, f, forTest, nil)
	if set.Err != nil {
		return nil, nil, failWith(exitInvalid, set.Err)
	}
	if err := noFiles(set); err != nil {
		return nil, nil, failWith(exitInvalid, err)
	}
	findings := set.Findings
	var programs []*pipelines.Program
	for i := range set.Files {
		findings.Merge(set.Files[i].Findings)
		if p := set.Files[i].Program; p != nil {
			programs = append(programs, p)
		}
	}
	if !forTest { // tests run one after another
		revision.CheckTogether(programs, findings)
	}
	return programs, findings, nil
}

// noFiles is the error of directories without pipelines, where there must be some.
func noFiles(set *revision.Set) error {
	for _, folder := range set.Folders {
		in := func(f revision.File) bool { return filepath.Dir(f.Path) == filepath.Clean(folder) }
		if !slices.ContainsFunc(set.Files, in) {
			return fmt.Errorf("%s holds no *.yaml file", folder)
		}
	}
	return nil
}

// loadSet reads and compiles all files that paths name, each by itself, and notes what was read. What cached has, which may be nil, is not
// compiled again.
func (s *streams) loadSet(paths []string, f *loadFlags, forTest bool, cached *compiled) *revision.Set {
	l := newLoading()
	l.cached = cached
	set := &revision.Set{Findings: &diag.List{}, Read: l.read}
	opts, err := s.options(f, forTest, l)
	if err != nil {
		set.Err = err
		return set
	}
	if set.Err = findFiles(paths, set); set.Err != nil {
		return set
	}
	if cached != nil {
		cached.begin(maps.Clone(l.read)) // so far these are the files of --env-file
	}
	l.loadAll(set.Files, opts)
	for name := range opts.Vars {
		if !l.set[name] && len(set.Files) > 0 && !anyErrors(set) {
			set.Err = fmt.Errorf("--set %s: no file has %s under vars", name, name)
		}
	}
	return set
}

func anyErrors(set *revision.Set) bool {
	return slices.ContainsFunc(set.Files, func(f revision.File) bool { return f.Findings.HasErrors() })
}

// options are what files are compiled against.
func (s *streams) options(f *loadFlags, forTest bool, l *loading) (pipelines.Options, error) {
	opts := pipelines.Options{Registry: s.registry(), ForTest: forTest, Vars: map[string]string{}, VarSeen: l.varSeen, Read: l.wasRead}
	env, err := environment(f.envFiles, l.wasRead)
	if err != nil {
		return opts, err
	}
	opts.Env = env
	for _, kv := range f.set {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return opts, fmt.Errorf("--set %s: write it as name=value", kv)
		}
		opts.Vars[name] = value
	}
	return opts, nil
}

// loading is what is noted while files are loaded side by side.
type loading struct {
	mu    sync.Mutex
	read  map[string]watch.Sum
	texts map[string][]byte // of pipeline files
	set   map[string]bool   // the names of --set that a file has
	// cached is what was compiled before; nil without a memory.
	cached *compiled
}

func newLoading() *loading {
	return &loading{read: map[string]watch.Sum{}, texts: map[string][]byte{}, set: map[string]bool{}}
}

func (l *loading) varSeen(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set[name] = true
}

func (l *loading) wasRead(path string, content []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, already := l.read[path]; already {
		return // what was read first is what counts
	}
	l.read[path] = watch.Sum{}
	if content != nil {
		l.read[path] = watch.SumOf(content)
	}
	if _, wanted := l.texts[path]; wanted {
		l.texts[path] = content
	}
}

// loadAll compiles files, as many at once as there are processors.
func (l *loading) loadAll(files []revision.File, opts pipelines.Options) {
	for i := range files {
		l.texts[files[i].Path] = nil
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(files); i = int(next.Add(1)) - 1 {
				l.loadOne(&files[i], opts)
			}
		})
	}
	workers.Wait()
	for i := range files {
		files[i].Text = l.texts[files[i].Path]
	}
}

// loadOne compiles a file, unless that was done and nothing that it read has changed.
func (l *loading) loadOne(f *revision.File, opts pipelines.Options) {
	if l.cached != nil {
		if was, same := l.cached.find(f.Path); same {
			l.again(f.Path, was)
			f.Program, f.Findings = was.program, was.findings
			return
		}
	}
	now := &compilation{read: map[string]watch.Sum{}, set: map[string]bool{}}
	var mu sync.Mutex // a file may be compiled by several goroutines
	opts.Read = func(path string, content []byte) {
		mu.Lock()
		defer mu.Unlock()
		l.wasRead(path, content)
		if path == f.Path && now.text == nil {
			now.text = content
		}
		now.note(path, content)
	}
	opts.VarSeen = func(name string) {
		mu.Lock()
		defer mu.Unlock()
		l.varSeen(name)
		now.set[name] = true
	}
	f.Program, f.Findings = pipelines.Load(f.Path, opts)
	now.program, now.findings = f.Program, f.Findings
	if l.cached != nil {
		l.cached.keep(f.Path, now)
	}
}

// isPipeline tells by its name whether a file of a directory is a pipeline.
func isPipeline(name string) bool { return strings.HasSuffix(name, ".yaml") }

// pipelineFiles lists the files that paths mean: files as they are, of a directory every *.yaml in it, not recursively.
func pipelineFiles(paths []string, findings *diag.List) ([]string, error) {
	set := &revision.Set{Findings: findings}
	if err := findFiles(paths, set); err != nil {
		return nil, err
	}
	files := make([]string, len(set.Files))
	for i := range files {
		files[i] = set.Files[i].Path
	}
	return files, noFiles(set)
}

// findFiles lists the files that paths mean.
func findFiles(paths []string, set *revision.Set) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", path, err)
		}
		if !info.IsDir() {
			set.Files = append(set.Files, revision.File{Path: filepath.Clean(path), Named: true})
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", path, err)
		}
		set.Folders = append(set.Folders, path)
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			switch {
			case e.IsDir() || strings.HasPrefix(e.Name(), "."):
			case isPipeline(e.Name()):
				set.Files = append(set.Files, revision.File{Path: name})
			case strings.HasSuffix(e.Name(), ".yml"):
				set.Findings.Add(diag.Finding{Path: name, Line: 1, Col: 1, Severity: diag.Warning, Code: diag.FileExtension,
					Message: "files of a directory are read when they end in .yaml", Hint: "rename it to " + strings.TrimSuffix(e.Name(), ".yml") + ".yaml"})
			}
		}
	}
	// Of a file that is named and in a directory, too, the name counts.
	slices.SortStableFunc(set.Files, func(a, b revision.File) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 || a.Named == b.Named {
			return c
		}
		if a.Named {
			return -1
		}
		return 1
	})
	set.Files = slices.CompactFunc(set.Files, func(a, b revision.File) bool { return a.Path == b.Path })
	return nil
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

func environment(files []string, read func(path string, content []byte)) (yamldoc.Env, error) {
	vars := yamldoc.MapEnv{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			read(file, nil)
			return nil, fmt.Errorf("--env-file: %w", err)
		}
		read(file, text)
		if err := parseEnv(file, text, vars); err != nil {
			return nil, err
		}
	}
	return processEnv{vars}, nil
}

func parseEnv(path string, text []byte, into yamldoc.MapEnv) error {
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok {
			return fmt.Errorf("%s:%d: write NAME=value", path, n)
		}
		into[strings.TrimSpace(name)] = unquoted(strings.TrimSpace(value))
	}
	return nil
}

func unquoted(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
