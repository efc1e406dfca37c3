// Package throttle is the verb throttle: it lets so many messages pass in a time, and holds back or fails those beyond it. What passed is
// counted in memory, for one pipeline: a restart begins anew, and two instances do not know of each other.
package throttle

import (
	"fmt"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// Type is the verb throttle.
func Type() config.NodeType {
	return config.NodeType{
		Name: "throttle",
		Doc:  "Lets so many messages pass in a time.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Throttle says how many messages pass, and what becomes of the others.
	Throttle Options `yaml:"throttle" required:"true"`
}

// Options are the options of throttle.
type Options struct {
	// Rate is how many messages pass, such as 100/s, 30/m or 5/h. After a pause as many may pass at once; then they pass evenly.
	Rate config.Rate `yaml:"rate" required:"true"`
	// By gives every text that it gives for a message a rate of its own, such as one for each tenant. Up to 100,000 texts are told apart;
	// beyond that, the one that has not come for the longest time begins anew. What gives no text is an error of the message.
	By config.Expression `yaml:"by"`
	// Over says what becomes of a message that is too early. wait holds it, and with it all that comes after it in its lane, until it may
	// pass; in tests, where the clock stands still, nothing waits. error fails it with the class permanent and the code throttled: it is
	// not tried again, and then or a reader of the node's errors gets it at once.
	Over string `yaml:"over" oneof:"wait error" default:"wait"`
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	o := &c.Throttle
	p := &processor{by: b.Expression(o.By, expression.WantText), rate: rateText(o.Rate), limits: newLimits(o.Rate, maxKeys)}
	if o.Over == "error" {
		return config.Node{Processor: (*failing)(p), Body: b.Scope.Body}
	}
	return config.Node{Processor: (*waiting)(p), Body: b.Scope.Body}
}

func rateText(r config.Rate) string {
	unit := map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[r.Per]
	return fmt.Sprintf("%g/%s", r.N, unit)
}

type processor struct {
	by     *expression.Program
	rate   string
	limits *limits
}

// key is the text whose rate a message counts for.
func (p *processor) key(m *flow.Message) (string, error) {
	if p.by == nil {
		return "", nil
	}
	v, err := p.by.Eval(m)
	if err != nil {
		return "", err
	}
	return flow.Header{Value: v}.Text(), nil
}

// failing is a throttle with over: error.
type failing processor

// Process implements flow.Processor.
func (f *failing) Process(m *flow.Message, e *flow.Emitter) error {
	key, err := (*processor)(f).key(m)
	if err != nil {
		return err
	}
	if !f.limits.pass(key, m.Now()) {
		return flow.Errorf(flow.Permanent, flow.CodeThrottled, "over the rate of %s", f.rate)
	}
	e.Emit(0, m)
	return nil
}

// waiting is a throttle with over: wait.
type waiting processor

// Process implements flow.Processor.
func (w *waiting) Process(m *flow.Message, e *flow.Emitter) error {
	key, err := (*processor)(w).key(m)
	if err != nil {
		return err
	}
	// Also what need not wait waits for its turn: what passes here ahead of others would leave behind them, and together with what comes next.
	if err := e.Wait(func() time.Duration { return w.limits.reserve(key, m.Now()) }); err != nil {
		return err
	}
	e.Emit(0, m)
	return nil
}
