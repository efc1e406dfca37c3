// Package route is the node verb route: it sends each message out at the cases whose expressions are true.
package route

import (
	"fmt"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/expression"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Type is the verb route.
func Type() config.NodeType {
	return config.NodeType{
		Name:     "route",
		Doc:      "Sends each message to the first case, or all cases, whose expression is true.",
		New:      func() config.NodeConfig { return &Config{} },
		NodeOnly: true,
	}
}

// Config is what stands in the file.
type Config struct {
	// Route names the cases and their conditions, which are asked top to bottom. `else` in place of a condition takes what no other case has
	// taken; it stands last. A condition that fails makes the message fail before any copy of it has left.
	Route Cases `yaml:"route" required:"true"`
	// Match is first: a message leaves at the first case that is true; or all: a copy leaves at each of them.
	Match string `yaml:"match" oneof:"first all" default:"first"`
	// Unmatched must be drop where there is no else: what no case takes is then counted as dropped.
	Unmatched string `yaml:"unmatched" oneof:"drop"`
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	p := &processor{otherwise: none, conditions: make([]*expression.Program, 0, len(c.Route.list))}
	var ports []string
	for i, one := range c.Route.list {
		ports = append(ports, one.name.Text)
		if one.otherwise {
			p.otherwise = flow.Port(i)
			continue
		}
		p.conditions = append(p.conditions, b.Expression(one.condition, expression.WantBool))
	}
	c.checkUnmatched(b, p.otherwise != none)
	if c.Match == "all" {
		return config.Node{Processor: &toAll{*p}, Ports: ports, Body: b.Scope.Body}
	}
	return config.Node{Processor: p, Ports: ports, Body: b.Scope.Body}
}

func (c *Config) checkUnmatched(b *config.Builder, otherwise bool) {
	place := b.Value
	if v, ok := b.Value.Lookup("unmatched"); ok {
		place = v
	} else if v, ok := b.Value.Lookup("route"); ok {
		place = v
	}
	switch {
	case otherwise && c.Unmatched != "":
		place.Finding(b.Findings, diag.ConflictingKey, "unmatched says what else says already: no message is left over", "remove unmatched")
	case !otherwise && c.Unmatched == "":
		key, ok := place.Key()
		if !ok {
			key = place.Scalar()
		}
		b.Findings.Add(key.Whole(diag.MissingKey, "the file does not say what becomes of a message that no case takes",
			"add a last case with the value else, or write unmatched: drop beside route"))
	}
}

const none flow.Port = -1

// processor sends to the first case that is true. The port of a condition is its index.
type processor struct {
	conditions []*expression.Program
	otherwise  flow.Port // none without else
}

// Process implements flow.Processor.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	for i, c := range p.conditions {
		yes, err := c.Test(m)
		if err != nil {
			return err
		}
		if yes {
			e.Emit(flow.Port(i), m)
			return nil
		}
	}
	p.rest(m, e)
	return nil
}

func (p *processor) rest(m *flow.Message, e *flow.Emitter) {
	if p.otherwise == none {
		e.Settle(flow.Dropped)
		return
	}
	e.Emit(p.otherwise, m)
}

// toAll sends a copy to every case that is true.
type toAll struct{ processor }

// Process implements flow.Processor.
func (p *toAll) Process(m *flow.Message, e *flow.Emitter) error {
	var room [16]flow.Port
	ports := room[:0]
	for i, c := range p.conditions {
		yes, err := c.Test(m)
		if err != nil {
			return err
		}
		if yes {
			ports = append(ports, flow.Port(i))
		}
	}
	if len(ports) == 0 {
		p.rest(m, e)
		return nil
	}
	last := len(ports) - 1
	for _, port := range ports[:last] {
		e.Emit(port, e.Copy(m))
	}
	e.Emit(ports[last], m)
	return nil
}

// Cases are the cases of a route in their order.
type Cases struct{ list []oneCase }

type oneCase struct {
	name      yamldoc.Scalar
	condition config.Expression
	otherwise bool
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (cs *Cases) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	if v.Kind() != yamldoc.KindMapping {
		c.WrongType(v, "a mapping of case names to expressions")
		return
	}
	if key, ok := v.Merge(); ok {
		c.Findings.Add(key.Whole(diag.MergeInOrdered, "<< has no place among the cases of a route: their order counts", "write the cases out"))
		return
	}
	entries := v.Entries()
	if len(entries) == 0 && !v.Partial() {
		v.Finding(c.Findings, diag.MissingKey, "the route has no cases", "write name: expression, one case a line")
		return
	}
	for i, e := range entries {
		one := oneCase{name: e.Key}
		checkName(e.Key, c)
		if isElse(e.Value) {
			one.otherwise = true
			if i < len(entries)-1 {
				e.Value.Finding(c.Findings, diag.BadValue, "else takes what is left, so it stands last", fmt.Sprintf("move %s to the end", e.Key.Text))
			}
		} else {
			one.condition.UnmarshalYAMLDoc(e.Value, c)
		}
		cs.list = append(cs.list, one)
	}
}

func isElse(v *yamldoc.Value) bool {
	return v.Kind() == yamldoc.KindScalar && v.Scalar().Text == "else"
}

func checkName(name yamldoc.Scalar, c *yamldoc.Context) {
	switch {
	case name.Text == "else":
		c.Findings.Add(name.Whole(diag.ReservedName, "else is the value of the last case, not its name", "write, for example, rest: else"))
	case name.Text == "errors":
		c.Findings.Add(name.Whole(diag.ReservedName, "errors is where failed messages leave a node", "choose another name"))
	case !isName(name.Text):
		c.Findings.Add(name.Whole(diag.BadName, fmt.Sprintf("%q is not a name for a case", name.Text),
			"names begin with a small letter and hold small letters, digits, _ and -, 63 at most"))
	}
}

func isName(s string) bool {
	for i := range len(s) {
		small, more := s[i] >= 'a' && s[i] <= 'z', s[i] >= '0' && s[i] <= '9' || s[i] == '_' || s[i] == '-'
		if !small && (i == 0 || !more) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 63
}
