package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/millstream/millstream/connectors/lines"
	"github.com/millstream/millstream/connectors/transport"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Sink is the configuration of the file sink.
type Sink struct {
	// Path is the file; it and its directory are made when they are missing, for their user and group alone. With framing lines, lines are
	// appended, and the file is locked: another process that writes to it is refused. A path with {{ … }} begins with literal text, and
	// its message cannot lead out of the directory that text names, not by .. and not by a symbolic link. The names below it have letters
	// (A to Z), digits, and . _ - alone, begin with no dot, and have 200 bytes at most.
	Path config.Template `yaml:"path" required:"true"`
	// Allow are patterns (*, ?, [a-z], none of them past a /) of which a rendered path must match one.
	Allow []yamldoc.Text `yaml:"allow"`
	// Framing is lines: a message is a line, and a newline in the payload is an error; or whole: a message is a file of its own, written
	// under another name first. A file that is there already, with other content, makes the message fail. With lines, a header line of CSV
	// stands once at the beginning of each file; a file that begins with another line is refused.
	Framing string `yaml:"framing" oneof:"lines whole" default:"lines"`
	// Sync says when what is written is made to last: batch once for all messages sent together, every after each message, none leaves
	// it to the operating system, which may then lose confirmed messages when the machine (not the process) stops.
	Sync string `yaml:"sync" oneof:"none batch every" default:"batch"`
	// Rotate puts the file aside from time to time, as NAME.20260102T150405Z-0001 (the time in UTC and a number), and begins a new one.
	// No line is torn, and nothing is removed. It needs framing: lines.
	Rotate *Rotate `yaml:"rotate"`
	// OpenFiles is how many files are kept open; the one that was not written for longest is closed for another.
	OpenFiles int `yaml:"open_files" default:"64"`
	// MaxFiles is to how many different files the messages of a day may lead; messages for more of them are refused. With framing: whole
	// there is no such bound.
	MaxFiles int `yaml:"max_files" default:"1000"`
}

// Rotate says when a file is put aside; with both, when the first is due.
type Rotate struct {
	// Size is how large a file may become. A line that is longer has a file of its own.
	Size config.Size `yaml:"size"`
	// Every is a time such as 1h or 24h, counted from midnight UTC: the first message of a new hour or day begins a new file.
	Every time.Duration `yaml:"every"`
}

// The values of sync.
const (
	syncNone  = "none"
	syncEvery = "every"
)

// BuildSink implements config.SinkConfig.
func (c *Sink) BuildSink(b *config.Builder) config.Sink {
	path := b.Template(c.Path)
	if path == nil {
		return config.Sink{}
	}
	constant, isConstant := path.Constant()
	p := &preparer{path: path, literal: len(path.Prefix()), whole: c.Framing == framingWhole}
	transport.CheckSecret(b, &c.Path.Text)
	c.checkPath(b, path, constant, isConstant)
	for i := range c.Allow {
		if _, err := filepath.Match(c.Allow[i].Text, ""); err != nil {
			b.Findings.Add(c.Allow[i].Whole(diag.BadValue, "the pattern is not complete", "close the bracket"))
		}
		p.allow = append(p.allow, c.Allow[i].Text)
	}
	c.check(b, path, isConstant)
	o := options{head: string(b.Head), whole: p.whole, sync: c.Sync, literal: p.literal, openFiles: c.OpenFiles, maxFiles: c.MaxFiles}
	if c.Rotate != nil {
		o.rotate = rotation{size: int64(c.Rotate.Size), every: c.Rotate.Every}
	}
	if isConstant {
		o.constant = constant
	}
	traits := flow.Traits{}
	if isConstant {
		traits.Address = address(constant)
	}
	return config.Sink{
		Lines:    !p.whole,
		Traits:   traits,
		Preparer: p,
		Open:     func(ctx context.Context, host flow.Host) (flow.Sink, error) { return open(ctx, o, host) },
		Connect:  func(context.Context, flow.Host) error { return connectSink(path.Prefix(), isConstant) },
	}
}

// checkPath reports a path that names no file, or lets the message alone name one.
func (c *Sink) checkPath(b *config.Builder, path *expression.Template, constant string, isConstant bool) {
	text := &c.Path.Text
	switch {
	case text.Undefined:
	case isConstant && (constant == "" || strings.HasSuffix(constant, "/")):
		b.Findings.Add(text.Whole(diag.BadValue, "path names no file", "write a path such as out/orders.ndjson"))
	case isConstant && strings.IndexByte(constant, 0) >= 0:
		b.Findings.Add(text.Whole(diag.BadValue, "path holds a NUL byte", ""))
	case isConstant && !text.Replaced && transport.LooksLikePath(constant):
		b.Findings.Add(text.Whole(diag.ExpressionInLiteral, fmt.Sprintf("%q is a literal and reads like a path of the message", constant),
			fmt.Sprintf(`write path: "out/{{ %s }}", or ./%s for a file of that name`, constant, constant)))
	case isConstant && c.Framing == framingWhole:
		b.Findings.Add(text.Whole(diag.BadValue, "with framing: whole each message needs a file of its own", "name it by the message, such as out/{{ hashID(id) }}.json"))
	case !isConstant && len(c.Allow) == 0 && strings.Trim(path.Prefix(), "/") == "":
		b.Findings.Add(text.Whole(diag.OpenDestination, "the message alone decides which file is written",
			"begin the path with a directory, such as out/{{ … }}, or name what is allowed under allow:"))
	}
}

// check reports options that have no meaning, and literal text that no rendered path can be written with.
func (c *Sink) check(b *config.Builder, path *expression.Template, constant bool) {
	if c.Rotate != nil && c.Framing == framingWhole {
		transport.Finding(b, "rotate", "rotate needs framing: lines", "leave it out: each message is a file of its own")
	}
	if c.Rotate != nil && (c.Rotate.Size < 0 || c.Rotate.Every < 0 || c.Rotate.Size == 0 && c.Rotate.Every == 0) {
		transport.Finding(b, "rotate", "rotate says neither how large a file becomes nor how old", "write size: 100MiB, or every: 24h")
	}
	if c.Rotate != nil && c.Rotate.Every > 0 && c.Rotate.Every < time.Second {
		transport.Finding(b, "rotate", "every is shorter than a second", "write a time such as 1h or 24h")
	}
	if c.OpenFiles < 1 {
		transport.Finding(b, "open_files", "open_files is below 1", "leave it out for 64")
	}
	if c.MaxFiles < 1 {
		transport.Finding(b, "max_files", "max_files is below 1", "leave it out for 1000")
	}
	if name := filepath.Base(path.Prefix() + "x"); !constant && !c.Path.Text.Undefined && badName(name) != "" {
		b.Findings.Add(c.Path.Text.Whole(diag.BadValue, "no file can be written: "+badName(name), "change the text before {{, or write a / before it"))
	}
}

// connectSink looks whether the file, or one in the directory that a path begins with, can be written, and makes neither.
func connectSink(path string, constant bool) error {
	if info, err := os.Stat(path); constant && err == nil {
		if info.Mode()&os.ModeNamedPipe != 0 {
			return nil // opening it would take part in it
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return openError(err, flow.ConfigError)
		}
		return f.Close()
	}
	const write = 2
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			continue
		}
		if err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		} else if err == nil {
			err = syscall.Access(dir, write)
		}
		if err != nil {
			return openError(&os.PathError{Op: "write to", Path: dir, Err: err}, flow.ConfigError)
		}
		return nil
	}
}

type preparer struct {
	path    *expression.Template
	literal int // bytes of the path that are the file's own
	whole   bool
	allow   []string
}

// Prepare implements flow.Preparer.
func (p *preparer) Prepare(m *flow.Message, o *flow.Outgoing) error {
	if p.whole && o.Body == nil {
		return flow.Errorf(flow.Permanent, flow.CodeEncode, "the message has no payload to make a file of")
	}
	if !p.whole {
		if err := lines.CheckPayload(o.Body, "file"); err != nil {
			return err
		}
	}
	if path, ok := p.path.Constant(); ok {
		o.Dest = path
		return nil
	}
	rendered, err := p.path.Render(m, nil)
	if err != nil {
		return err
	}
	o.Dest = string(rendered)
	if _, err := renderedLocation(o.Dest, p.literal); err != nil {
		return err
	}
	return p.allowed(o.Dest)
}

func (p *preparer) allowed(path string) error {
	for _, pattern := range p.allow {
		if ok, err := filepath.Match(pattern, path); ok && err == nil {
			return nil
		}
	}
	if len(p.allow) == 0 {
		return nil
	}
	return invalid(path, "allow does not name it")
}
