package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/internal/terminal"
	"github.com/millstream/millstream/pipelines"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/table"
)

// evalFlags describe the message that an expression is tried on.
type evalFlags struct {
	input string
	meta  []string
	key   string
	load  loadFlags // of the pipeline file, and what it shares with other commands

	file   string
	source string
	tables []string
}

func evalCommand(s *streams) *cobra.Command {
	var f evalFlags
	c := &cobra.Command{
		Use:   "eval EXPR",
		Short: "Evaluate an expression on one message",
		Long: "eval reads a message's payload from standard input, or from the file of -i, evaluates an expression on it and prints the result as JSON.\n" +
			"An expression that needs no message does not read any. With -f it sees what an expression behind the source of that pipeline file sees:\n" +
			"constants, tables, the schema, and the body as it is decoded. It ends with 2 when the expression is wrong, with 1 when it fails on the message.",
		Example: `  echo '{"temp": 40}' | millstream eval 'body.temp * 1.8 + 32'
  millstream eval -f orders.yaml -i order.json 'lookup("countries", body.country).name'
  millstream eval 'sha256("a")'`,
		Args: oneArgument("an expression, in quotes for the shell, such as millstream eval 'body.temp > 30'"),
		RunE: func(c *cobra.Command, args []string) error {
			return s.eval(args[0], &f, c.Flags().Changed("key"))
		},
	}
	c.Flags().StringVarP(&f.input, "input", "i", "", "read the payload from this file")
	c.Flags().StringArrayVar(&f.meta, "meta", nil, "metadata of the message, as name=value")
	c.Flags().StringVar(&f.key, "key", "", "the message's key; without it the message has none")
	c.Flags().StringVarP(&f.file, "file", "f", "", "see the vars, tables, schema and codecs of this pipeline file")
	c.Flags().StringVar(&f.source, "source", "", "the source of the pipeline file that the message comes from, where it has several")
	c.Flags().StringArrayVar(&f.tables, "table", nil, "a table that lookup reads, as name=file:key")
	f.load.add(c)
	c.Flags().Lookup("set").Usage = "a constant that the expression sees under vars, as name=value"
	return c
}

func (s *streams) eval(text string, f *evalFlags, keyed bool) error {
	scope, source, err := s.evalScope(f)
	if err != nil {
		return err
	}
	if err := addTables(&scope, f.tables); err != nil {
		return failWith(exitInvalid, err)
	}
	program, problems := expression.Compile(text, &scope, expression.WantAny)
	if len(problems) > 0 {
		if err := diag.WriteText(s.err, problemsOf(text, problems)); err != nil {
			return failWith(exitFailed, err)
		}
		return failWith(exitInvalid, nil)
	}
	scope.Paths.Freeze()
	result, constant := program.Constant()
	if !constant {
		m, err := s.messageOf(f, keyed, scope.Paths, source)
		if err != nil {
			return failWith(exitInvalid, err)
		}
		if source.Check != nil {
			if err := source.Check(m); err != nil {
				return failWith(exitFailed, evalError(err))
			}
		}
		if result, err = program.Eval(m); err != nil {
			return failWith(exitFailed, evalError(err))
		}
	}
	out, err := value.AppendJSON(nil, result)
	if err != nil {
		return failWith(exitFailed, err)
	}
	_, err = s.out.Write(append(terminal.JSON(out), '\n'))
	return err
}

// evalScope is what the expression sees, and the source that its message comes from.
func (s *streams) evalScope(f *evalFlags) (expression.Scope, *pipelines.Source, error) {
	if f.file == "" {
		scope := expression.Scope{Paths: document.NewPaths(), Vars: map[string]any{}}
		vars, err := pairs("--set", f.load.set)
		if err != nil {
			return scope, nil, failWith(exitInvalid, err)
		}
		for _, v := range vars {
			scope.Vars[v.name] = jsonOrText(v.value)
		}
		return scope, &pipelines.Source{Name: "eval", Connector: "stdin"}, nil
	}
	programs, findings, err := s.load([]string{f.file}, &f.load, true)
	if err != nil {
		return expression.Scope{}, nil, err
	}
	if findings.HasErrors() {
		return expression.Scope{}, nil, s.complain(findings)
	}
	if len(programs) != 1 {
		return expression.Scope{}, nil, failWith(exitInvalid, fmt.Errorf("-f %s: write the path of one pipeline file", f.file))
	}
	p := programs[0]
	names := make([]string, len(p.Sources))
	for i := range p.Sources {
		names[i] = p.Sources[i].Name
	}
	at := slices.Index(names, f.source)
	switch {
	case f.source == "" && len(names) == 1:
		at = 0
	case f.source == "":
		return expression.Scope{}, nil, failWith(exitInvalid, fmt.Errorf("%s has several sources: write --source, one of %s", f.file, strings.Join(names, ", ")))
	case at < 0:
		return expression.Scope{}, nil, failWith(exitInvalid, fmt.Errorf("--source %s: %s has the sources %s", f.source, f.file, strings.Join(names, ", ")))
	}
	return p.Scope(at), &p.Sources[at], nil
}

// addTables opens the tables of --table, beside or in place of those of a pipeline file.
func addTables(scope *expression.Scope, given []string) error {
	entries, err := pairs("--table", given)
	if err != nil || len(entries) == 0 {
		return err
	}
	opened, inner := map[string]*table.Table{}, scope.Lookup
	scope.Tables = slices.Clone(scope.Tables)
	for _, e := range entries {
		at := strings.LastIndexByte(e.value, ':')
		if at <= 0 || at == len(e.value)-1 {
			return fmt.Errorf("--table %s=%s: write it as name=file:key, where key is a column of the file", e.name, e.value)
		}
		t, _, problems := table.Open(table.Spec{File: e.value[:at], Key: e.value[at+1:]})
		if len(problems) > 0 {
			return fmt.Errorf("--table %s: %s: %s", e.name, e.value[:at], problems[0].Message)
		}
		opened[e.name], scope.Tables = t, append(scope.Tables, e.name)
	}
	scope.Lookup = func(name, key string) (any, bool, error) {
		if t, ok := opened[name]; ok {
			row, ok := t.Lookup(key)
			return row, ok, nil
		}
		if inner == nil {
			return nil, false, fmt.Errorf("unknown table %q", name)
		}
		return inner(name, key)
	}
	return nil
}

// evalError is what went wrong with the class and code that on_error and tests would see.
func evalError(err error) error {
	var e *flow.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s [%s/%s]", terminal.Text(e.Message), e.Class, e.Code)
	}
	return err
}

type pair struct{ name, value string }

func pairs(flag string, given []string) ([]pair, error) {
	out := make([]pair, 0, len(given))
	for _, kv := range given {
		name, val, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s %s: write it as name=value", flag, kv)
		}
		out = append(out, pair{name, val})
	}
	return out, nil
}

// jsonOrText reads a value as run's --set does: as JSON where it is JSON, else as text.
func jsonOrText(text string) any {
	if json.Valid([]byte(text)) {
		if v, err := value.ParseJSON([]byte(text)); err == nil {
			return v.Box()
		}
	}
	return text
}

func (s *streams) messageOf(f *evalFlags, keyed bool, paths *document.Paths, source *pipelines.Source) (*flow.Message, error) {
	payload, err := s.payload(f.input)
	if err != nil {
		return nil, err
	}
	meta, err := pairs("--meta", f.meta)
	if err != nil {
		return nil, err
	}
	record := flow.Record{Body: payload, Topic: "eval", Partition: flow.NoPartition, Attempt: 1}
	for _, m := range meta {
		record.Headers = append(record.Headers, flow.Header{Name: m.name, Value: value.String(m.value)})
	}
	if keyed {
		record.Key = []byte(f.key)
	}
	now := func() time.Time { return time.Now().UTC() }
	batch := &flow.Batch{Lane: flow.NewLane("eval"), Records: []flow.Record{record}, Arrived: now().UnixNano()}
	m := &flow.Message{}
	m.Open(&flow.Env{Source: source.Name, Connector: source.Connector, Format: source.Format, Coder: source.Coder, Paths: paths, Now: now}, batch, 0)
	return m, nil
}

// payload reads the whole input; a terminal has none.
func (s *streams) payload(path string) ([]byte, error) {
	if path != "" {
		return os.ReadFile(path)
	}
	if file, ok := s.in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return nil, nil
		}
	}
	return io.ReadAll(s.in)
}

// problemsOf are the problems of an expression as findings about its text.
func problemsOf(text string, problems []expression.Problem) *diag.List {
	const name = "expression"
	list := &diag.List{}
	list.AddSource(name, []byte(text))
	runes := []rune(text)
	for _, p := range problems {
		from, to := min(p.From, len(runes)), min(p.To, len(runes))
		if p.From == 0 && p.To == 0 {
			to = len(runes)
		}
		before := string(runes[:from])
		line := 1 + strings.Count(before, "\n")
		col := 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
		list.Add(diag.Finding{
			Path: name, Line: line, Col: col, Width: to - from, Code: diag.Code(p.Code), Message: p.Message, Hint: p.Hint,
		})
	}
	return list
}
