package watermill

import (
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"

	"github.com/millstream/millstream/flow"
)

// Logger lets a watermill component log where its host does. What watermill calls info is debug here: it tells of every connection. Its
// errors are warnings: it goes on after them.
func Logger(host flow.Host) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(host.Logger(), map[slog.Level]slog.Level{
		slog.LevelError: slog.LevelWarn, slog.LevelInfo: slog.LevelDebug, watermill.LevelTrace: slog.LevelDebug - 4,
	})
}

// WatchErrors is a logger that also hands each error to seen. A component that goes on after every error tells of them nowhere else.
func WatchErrors(log watermill.LoggerAdapter, seen func(err error)) watermill.LoggerAdapter {
	return watched{log, seen}
}

type watched struct {
	watermill.LoggerAdapter
	seen func(err error)
}

// Error implements watermill.LoggerAdapter.
func (w watched) Error(msg string, err error, fields watermill.LogFields) {
	w.LoggerAdapter.Error(msg, err, fields)
	if err != nil {
		w.seen(err)
	}
}

// With implements watermill.LoggerAdapter.
func (w watched) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return watched{w.LoggerAdapter.With(fields), w.seen}
}
