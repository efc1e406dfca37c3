package watermill

import (
	"log/slog"

	"github.com/ThreeDotsLabs/watermill"

	"github.com/millstream/millstream/flow"
)

// Logger lets a watermill component log where its host does. What watermill calls info is debug here: it tells of every connection.
func Logger(host flow.Host) watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(host.Logger(), map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, watermill.LevelTrace: slog.LevelDebug - 4,
	})
}
