package kafka

import (
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// logger leads what franz-go has to say into ours. Its errors and warnings are about things that it retries, so they are no more
// than warnings and notes here; what it says at its levels info and debug is left out.
type logger struct{ log *slog.Logger }

// Level implements kgo.Logger.
func (logger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if level == kgo.LogLevelError {
		l.log.Warn("kafka client: "+msg, keyvals...)
		return
	}
	l.log.Info("kafka client: "+msg, keyvals...)
}
