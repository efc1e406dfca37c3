// Package log is the verb log: it writes a line about each message to the program's log and lets the message go on.
package log

import (
	"log/slog"
	"sync"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// Type is the verb log.
func Type() config.NodeType {
	return config.NodeType{
		Name: "log",
		Doc:  "Writes a line about each message to the log.",
		New:  func() config.NodeConfig { return &Config{} },
	}
}

// Config is what stands in the file.
type Config struct {
	// Log says what is logged.
	Log Options `yaml:"log" required:"true"`
}

// Options are the options of log.
type Options struct {
	// Message is the line.
	Message config.Template `yaml:"message" required:"true"`
	// Level is the level of the line. At debug the beginning of the payload stands beside it; above debug the payload is never logged
	// but for what message itself names.
	Level string `yaml:"level" oneof:"debug info warn error" default:"info"`
	// Rate is how many lines are written at most; the next line after a pause says how many were left out.
	Rate config.Rate `yaml:"rate" default:"10/s"`
}

// Build implements config.NodeConfig.
func (c *Config) Build(b *config.Builder) config.Node {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return config.Node{Processor: &processor{
		message: b.Template(c.Log.Message), level: levels[c.Log.Level], node: b.Name,
		limit: limiter{window: c.Log.Rate.Per, most: c.Log.Rate.N},
	}, Body: b.Scope.Body}
}

// payloadBytes is how much of a payload a debug line shows.
const payloadBytes = 1024

type processor struct {
	message *expression.Template
	level   slog.Level
	node    string
	limit   limiter
}

// Process implements flow.Processor. The line is made whether or not it is written, so that the fate of a message depends neither on the
// log's level nor on how many lines came before.
func (p *processor) Process(m *flow.Message, e *flow.Emitter) error {
	text, err := p.message.Render(m, nil)
	if err != nil {
		return err
	}
	e.Emit(0, m)
	log, ctx := e.Logger(), e.Context()
	if !log.Enabled(ctx, p.level) {
		return nil
	}
	suppressed, ok := p.limit.allow(time.Now())
	if !ok {
		return nil
	}
	attrs := []slog.Attr{slog.String("node", p.node), slog.String("id", m.ID())}
	if suppressed > 0 {
		attrs = append(attrs, slog.Int64("suppressed", suppressed))
	}
	if p.level == slog.LevelDebug {
		payload := m.Payload()
		attrs = append(attrs, slog.String("payload", string(payload[:min(len(payload), payloadBytes)])))
	}
	log.LogAttrs(ctx, p.level, string(text), attrs...)
	return nil
}

// limiter lets so many lines pass in each window of time. A fraction counts as a whole line in a window that is longer by as much.
type limiter struct {
	window time.Duration
	most   float64

	mu         sync.Mutex
	start      time.Time
	passed     float64
	suppressed int64
}

// allow tells whether a line may pass now, and how many have been suppressed since the last one that did.
func (l *limiter) allow(now time.Time) (suppressed int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	window, most := l.window, l.most
	if most < 1 {
		window, most = time.Duration(float64(window)/most), 1
	}
	if now.Sub(l.start) >= window {
		l.start, l.passed = now, 0
	}
	if l.passed+1 > most {
		l.suppressed++
		return 0, false
	}
	l.passed++
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
