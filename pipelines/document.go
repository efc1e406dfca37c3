package pipelines

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millstream/millstream/internal/textfile"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Options say what a file is compiled against.
type Options struct {
	Registry *config.Registry
	// Env gives the values of ${NAME}; nil knows none.
	Env yamldoc.Env
	// Vars override entries of the file's vars, from --set. A name that the file has not is a finding, unless VarSeen is set: then that
	// is told the names that it has, and whoever compiles several files sees which no file has.
	Vars    map[string]string
	VarSeen func(name string)
	// ForTest lets undefined variables pass: sources and sinks are replaced.
	ForTest bool
	// Read is told of each file that is read, with its content, nil when it could not be read: of the pipeline file by Load, and of what
	// is read beside it, such as tables, schemas and secrets. It may be nil, and may be told of a file twice.
	Read func(path string, content []byte)
}

// EnvFunc lets a function such as os.LookupEnv be an Env.
type EnvFunc func(name string) (value string, ok bool)

// Lookup implements yamldoc.Env.
func (f EnvFunc) Lookup(name string) (value string, ok bool) { return f(name) }

// Load reads and compiles one file. The program is nil when there is an error among the findings.
func Load(path string, opts Options) (*Program, *diag.List) {
	src, err := os.ReadFile(path)
	opts.read(path, src, err)
	if err != nil {
		findings := &diag.List{}
		findings.Add(diag.Finding{Path: path, Line: 1, Col: 1, Code: diag.Unreadable, Message: "cannot read the file: " + reason(err)})
		return nil, findings
	}
	return Compile(path, src, opts)
}

// read tells of a file that was read.
func (o *Options) read(path string, content []byte, err error) {
	switch {
	case o.Read == nil:
	case err != nil:
		o.Read(path, nil)
	case content == nil:
		o.Read(path, []byte{})
	default:
		o.Read(path, content)
	}
}

func reason(err error) string {
	if p, ok := err.(*os.PathError); ok { //nolint:errorlint // ReadFile returns it unwrapped
		return p.Err.Error()
	}
	return err.Error()
}

// Compile compiles the text of one file; path is its name in findings, and relative paths in it start from its directory.
func Compile(path string, src []byte, opts Options) (*Program, *diag.List) {
	findings := &diag.List{}
	doc := yamldoc.Parse(path, src, findings)
	l := &loader{opts: opts, findings: findings, path: path}
	l.context = &yamldoc.Context{
		Findings: findings, Env: opts.Env,
		ReadFile: l.readSecret,
	}
	l.context.KeepWritten(src)
	if doc == nil {
		l.hide()
		return nil, findings
	}
	l.damaged = findings.HasErrors()
	prog := l.program(doc.Root())
	mask := l.hide()
	if findings.HasErrors() {
		return nil, findings
	}
	prog.mask = mask
	return prog, findings
}

// hide covers secrets in the findings, and in the lines of the files that they quote.
func (l *loader) hide() *mask {
	m := newMask(l.context.Secrets())
	if m != nil {
		l.findings.Rewrite(m.text)
		l.findings.Hide(m.in)
	}
	return m
}

// readSecret reads a file for ${file:…}; a final line end belongs to the file, not to the secret.
func (l *loader) readSecret(name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(l.path), name)
	}
	b, err := l.readFile(name, maxSecret)
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), err
}

// readFile reads a file that the pipeline file names.
func (l *loader) readFile(path string, most int64) ([]byte, error) {
	b, err := textfile.Read(path, most)
	l.opts.read(path, b, err)
	return b, err
}

// maxSecret is the most bytes that a file of ${file:…} may have.
const maxSecret = 1 << 20

// loader compiles one document.
type loader struct {
	opts     Options
	path     string
	findings *diag.List
	context  *yamldoc.Context
	file     file

	vars        map[string]any
	connections map[string]*connection
	tables      *tables // nil when the file has none
	parts       []*part
	byName      map[string]*part
	count       map[partKind]int
	prog        *Program
	read        []string // sums of the files that nodes, sources and sinks are built from

	// damaged: YAML errors left parts of the document out, so that what is missing or unused may be there after all.
	damaged bool
	// lost: a reference leads nowhere, so that what nothing reads may have been meant by it.
	lost bool
	// sinksLost: sinks are there that were not read. lossesLost: allow_loss was written and has a finding.
	sinksLost, lossesLost bool

	guesses int
	// sound: nothing but the tests can have a finding.
	sound bool
}

// file is the top of a document, with what is decoded later as it stands.
type file struct {
	Millstream  *yamldoc.Scalar    `yaml:"millstream"`
	Name        yamldoc.Scalar     `yaml:"name"`
	Description string             `yaml:"description,raw"`
	Vars        *yamldoc.Value     `yaml:"vars"`
	Env         map[string]envDecl `yaml:"env"`
	Connections *yamldoc.Value     `yaml:"connections"`
	Tables      *yamldoc.Value     `yaml:"tables"`
	From        *yamldoc.Value     `yaml:"from"`
	Steps       *yamldoc.Value     `yaml:"steps"`
	To          *yamldoc.Value     `yaml:"to"`
	Sources     *yamldoc.Value     `yaml:"sources"`
	Nodes       *yamldoc.Value     `yaml:"nodes"`
	Sinks       *yamldoc.Value     `yaml:"sinks"`
	OnError     *onError           `yaml:"on_error"`
	Order       string             `yaml:"order" oneof:"by_key source none"`
	Delivery    *yamldoc.Value     `yaml:"delivery"`
	Limits      limits             `yaml:"limits"`
	AllowLoss   []string           `yaml:"allow_loss" oneof:"body no_payload key headers time content_type content_encoding correlation_id reply_to message_id type app_id user_id ttl priority durable"`
	Tests       *yamldoc.Value     `yaml:"tests"`
}

type envDecl struct {
	Secret bool `yaml:"secret"`
}

type limits struct {
	MaxMessage    someBytes `yaml:"max_message" default:"1MiB"`
	InFlight      some      `yaml:"in_flight" default:"4096"`
	InFlightBytes someBytes `yaml:"in_flight_bytes" default:"32MiB"`
}

// some is a number of things, and not none.
type some int

// UnmarshalText reads the number.
func (n *some) UnmarshalText(text []byte) error {
	v, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || v < 1 {
		return fmt.Errorf("must be a whole number from 1 on")
	}
	*n = some(v)
	return nil
}

// someBytes is a size, and not none.
type someBytes int64

// UnmarshalText reads the size.
func (n *someBytes) UnmarshalText(text []byte) error {
	var s config.Size
	if err := s.UnmarshalText(text); err != nil || s < 1 {
		return fmt.Errorf("must be a size from 1 byte on, such as 64KiB, 1MiB or 1500")
	}
	*n = someBytes(s)
	return nil
}

func (l *loader) program(root *yamldoc.Value) *Program {
	if root.Kind() != yamldoc.KindMapping {
		l.context.WrongType(root, "a mapping with name, from and to")
		return nil
	}
	top := root.Without(func(key string) bool { return strings.HasPrefix(key, "x-") })
	l.declareSecrets(top)
	yamldoc.Decode(top, &l.file, l.context)
	defer l.context.Enter(top, yamldoc.KnownKeys(l.file)...)()
	l.prog = &Program{Path: l.path, Description: l.file.Description, name: l.file.Name}
	l.checkTop(top)
	l.checkLimits(top)
	l.loadVars()
	l.loadConnections()
	l.loadTables()
	l.collectParts(top)
	l.resolve()
	l.build()
	l.checkTables(top)
	l.loadTests()
	l.prog.Hash = l.wholeHash(top)
	return l.prog
}

// declareSecrets must come before anything is interpolated.
func (l *loader) declareSecrets(top *yamldoc.Value) {
	secret := map[string]bool{}
	if env, ok := top.Lookup("env"); ok {
		for _, e := range env.Entries() {
			if s, ok := e.Value.Lookup("secret"); ok && s.Scalar().Text == "true" {
				secret[e.Key.Text] = true
			}
		}
	}
	l.context.Secret = func(name string) bool { return secret[name] }
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

var reservedNames = map[string]bool{
	"from": true, "to": true, "drop": true, "stop": true, "pause": true, "continue": true, "dlq": true, "else": true, "errors": true,
}

// checkName adds a finding for a name that cannot be used.
func (l *loader) checkName(s yamldoc.Scalar, what string) bool {
	switch {
	case !namePattern.MatchString(s.Text):
		l.findings.Add(s.Whole(diag.BadName, fmt.Sprintf("%q is not a name for %s", s.Text, what),
			"names begin with a small letter and hold small letters, digits, _ and -, 63 at most"))
		return false
	case reservedNames[s.Text]:
		l.findings.Add(s.Whole(diag.ReservedName, fmt.Sprintf("%q is a word of the language", s.Text), "choose another name"))
		return false
	}
	return true
}

func (l *loader) checkTop(top *yamldoc.Value) {
	f := &l.file
	l.prog.Name = f.Name.Text
	switch v, written := top.Lookup("name"); {
	case !written:
		l.missing(top, "name", "the pipeline has no name", "write name: at the top; state, metrics and reload go by it")
	case v.Broken() || v.Kind() != yamldoc.KindScalar:
	case strings.Contains(f.Name.Text, "${"):
		l.findings.Add(f.Name.Whole(diag.VariableNotAllowed, "a name cannot hold a variable", "write the name itself"))
	default:
		l.checkName(f.Name, "a pipeline")
	}
	known := yamldoc.KnownKeys(l.file)
	if _, written := top.Lookup("on_error"); !written && misspelled(top, "on_error", known) {
		f.OnError = &onError{unread: true}
	}
	allowed, written := top.Lookup("allow_loss")
	l.lossesLost = written && (allowed.Kind() != yamldoc.KindSequence || slices.Contains(f.AllowLoss, "")) ||
		!written && misspelled(top, "allow_loss", known)
	if d := f.Delivery; d != nil && !d.Broken() {
		l.checkDelivery(d)
	}
	if v := f.Millstream; v != nil && v.Text != "1" {
		l.findings.Add(v.Whole(diag.BadValue, fmt.Sprintf("version %q of the language is not known here", v.Text), "write millstream: 1, or leave it out"))
	}
}

// checkLimits warns of a message that is allowed and does not fit into what may be under way.
func (l *loader) checkLimits(top *yamldoc.Value) {
	most := l.file.Limits
	if most.MaxMessage <= most.InFlightBytes || most.InFlightBytes < 1 {
		return
	}
	at, written := lookup(top, "limits", "in_flight_bytes")
	if !written {
		if at, written = lookup(top, "limits", "max_message"); !written {
			return
		}
	}
	s := at.Scalar()
	f := s.Whole(diag.BadValue, fmt.Sprintf("max_message is %d bytes, and in_flight_bytes only %d: a message of that size goes alone, and all others wait",
		most.MaxMessage, most.InFlightBytes), "make max_message smaller, or in_flight_bytes larger")
	f.Severity = diag.Warning
	l.findings.Add(f)
}

// missing reports a key that the top of the file must have, unless a misspelled one has been reported, or the key may have been lost.
func (l *loader) missing(top *yamldoc.Value, key, message, hint string) {
	if l.damaged {
		return
	}
	if misspelled(top, key, yamldoc.KnownKeys(l.file)) {
		return
	}
	top.Finding(l.findings, diag.MissingKey, message, hint)
}

// lookup follows keys from v.
func lookup(v *yamldoc.Value, keys ...string) (*yamldoc.Value, bool) {
	for _, k := range keys {
		var ok bool
		if v, ok = v.Lookup(k); !ok {
			return nil, false
		}
	}
	return v, true
}
