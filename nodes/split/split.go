// Package split is the verb split: it makes one message of each element of a list.
package split

import (
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// Type is the verb split.
func Type() config.NodeType {
	return config.NodeType{
		Name: "split",
		Doc:  "Makes one message of each element of a list.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Split is the list. Each element becomes the body of a message that inherits everything else; meta.split_index counts them from 0, and
	// the id gets /index. An empty list counts as filtered; anything but a list, and one of more than 10,000 elements, is an error.
	Split config.Expression `yaml:"split" required:"true"`
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	p := &processor{list: b.Expression(c.Split, expression.WantList)}
	if p.list != nil {
		p.path, p.isPath = p.list.Path()
	}
	if p.list == nil {
		return config.Node{}
	}
	return config.Node{Processor: p, Body: p.list.Shape().Element()}
}

type processor struct {
	list   *expression.Program
	path   document.Slot
	isPath bool
}

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	if f, _ := m.Format(); p.isPath && f == document.JSON {
		if text := p.text(m, e); text != nil {
			return splitText(m, e, text)
		}
	}
	list, err := p.list.Eval(m)
	if err != nil {
		return err
	}
	if len(list.List()) > flow.MaxMessages {
		return flow.TooMany()
	}
	for i, x := range list.List() {
		element := e.Copy(m)
		if err := element.Body.Set(document.Root, value.Unbox(x)); err != nil {
			return err
		}
		if err := mark(element, i); err != nil {
			return err
		}
		e.Emit(0, element)
	}
	return nil
}

// text is the JSON of the list as the payload has it; nil when there is no list, which evaluating the expression then explains.
func (p *processor) text(m *flow.Message, e *flow.Emitter) []byte {
	whole := e.Copy(m)
	defer e.Recycle(whole)
	if whole.Body.Copy(p.path, document.Root) != nil {
		return nil
	}
	text, err := whole.Body.AppendTo(nil)
	if err != nil || len(text) == 0 || text[0] != '[' {
		return nil
	}
	return text
}

// splitText makes the elements of bytes of the list, so that they read and leave as they came. The text is known to be a list.
func splitText(m *flow.Message, e *flow.Emitter, text []byte) error {
	at := syntax.Space(text, 1)
	for i := 0; text[at] != ']'; i++ {
		if i == flow.MaxMessages {
			return flow.TooMany()
		}
		end := syntax.Skip(text, at, 1)
		if end < 0 {
			return flow.Errorf(flow.Permanent, flow.CodeDecode, "split: %w", syntax.Fault(end))
		}
		element := e.Copy(m)
		var as flow.Outgoing
		as.Fill(m, text[at:end:end])
		as.Restore(element)
		if err := mark(element, i); err != nil {
			return err
		}
		e.Emit(0, element)
		if at = syntax.Space(text, end); text[at] == ',' {
			at = syntax.Space(text, at+1)
		}
	}
	return nil
}

func mark(m *flow.Message, index int) error {
	m.ExtendID(index)
	return m.SetMeta("split_index", value.Int(int64(index)))
}
