package engine

import (
	"context"
	"log/slog"
)

// masked is a logger that hides secrets in texts and errors.
func masked(log *slog.Logger, hide func(string) string) *slog.Logger {
	return slog.New(&maskHandler{log.Handler(), hide})
}

type maskHandler struct {
	slog.Handler
	hide func(string) string
}

// Handle implements slog.Handler.
func (h *maskHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.hide(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h *maskHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	hidden := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		hidden[i] = h.attr(a)
	}
	return &maskHandler{h.Handler.WithAttrs(hidden), h.hide}
}

// WithGroup implements slog.Handler.
func (h *maskHandler) WithGroup(name string) slog.Handler {
	return &maskHandler{h.Handler.WithGroup(name), h.hide}
}

func (h *maskHandler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.hide(v.String()))
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return slog.String(a.Key, h.hide(err.Error()))
		}
		return slog.Attr{Key: a.Key, Value: v}
	case slog.KindGroup:
		inner := v.Group()
		hidden := make([]slog.Attr, len(inner))
		for i := range inner {
			hidden[i] = h.attr(inner[i])
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(hidden...)}
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}
