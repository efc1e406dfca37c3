package file

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

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
	// Path is the file; its directory is made when it is missing. With framing lines, lines are appended. A path with {{ … }} begins with
	// literal text, and its message cannot lead out of the directory that text names, not by .. and not by a symbolic link.
	Path config.Template `yaml:"path" required:"true"`
	// Allow are patterns (*, ?, [a-z], none of them past a /) of which a rendered path must match one.
	Allow []yamldoc.Text `yaml:"allow"`
	// Framing is lines: a message is a line, and a newline in the payload is an error; or whole: a message is a file of its own, written
	// under another name first. A file that is there already, with other content, makes the message fail.
	Framing string `yaml:"framing" oneof:"lines whole" default:"lines"`
	// Sync says when what is written is made to last: batch once for all messages sent together, every after each message, none leaves
	// it to the operating system, which may then lose confirmed messages when the machine (not the process) stops.
	Sync string `yaml:"sync" oneof:"none batch every" default:"batch"`
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
	text := &c.Path.Text
	transport.CheckSecret(b, text)
	switch {
	case text.Undefined:
	case isConstant && (constant == "" || strings.HasSuffix(constant, "/")):
		b.Findings.Add(text.Whole(diag.BadValue, "path names no file", "write a path such as out/orders.ndjson"))
	case isConstant && strings.IndexByte(constant, 0) >= 0:
		b.Findings.Add(text.Whole(diag.BadValue, "path holds a NUL byte", ""))
	case isConstant && !text.Replaced && transport.LooksLikePath(constant):
		b.Findings.Add(text.Whole(diag.ExpressionInLiteral, fmt.Sprintf("%q is a literal and reads like a path of the message", constant),
			fmt.Sprintf(`write path: "out/{{ %s }}", or ./%s for a file of that name`, constant, constant)))
	case isConstant && p.whole:
		b.Findings.Add(text.Whole(diag.BadValue, "with framing: whole each message needs a file of its own", "name it by the message, such as out/{{ id }}.json"))
	case !isConstant && len(c.Allow) == 0 && strings.Trim(path.Prefix(), "/") == "":
		b.Findings.Add(text.Whole(diag.OpenDestination, "the message alone decides which file is written",
			"begin the path with a directory, such as out/{{ … }}, or name what is allowed under allow:"))
	}
	for i := range c.Allow {
		if _, err := filepath.Match(c.Allow[i].Text, ""); err != nil {
			b.Findings.Add(c.Allow[i].Whole(diag.BadValue, "the pattern is not complete", "close the bracket"))
		}
		p.allow = append(p.allow, c.Allow[i].Text)
	}
	o := options{whole: p.whole, sync: c.Sync, literal: p.literal}
	if isConstant {
		o.constant = constant
	}
	traits := flow.Traits{}
	if isConstant {
		traits.Address = address(constant)
	}
	return config.Sink{
		Traits:   traits,
		Preparer: p,
		Open:     func(ctx context.Context, host flow.Host) (flow.Sink, error) { return open(ctx, o, host) },
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
