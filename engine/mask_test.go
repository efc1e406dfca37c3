package engine

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestTheLoggerHidesSecretsWhereverTheyStand(t *testing.T) {
	var out bytes.Buffer
	log := masked(slog.New(slog.NewTextHandler(&out, nil)), func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") })
	log = log.With("a", "hunter2").WithGroup("g").With("b", "x hunter2")
	log.Error("no hunter2", "c", errors.New("dial hunter2"), "n", 5, slog.Group("inner", "d", "hunter2"))
	got := out.String()
	if strings.Contains(got, "hunter2") || strings.Count(got, "***") != 5 || !strings.Contains(got, "g.n=5") {
		t.Error(got)
	}
}
