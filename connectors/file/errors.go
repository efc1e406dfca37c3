package file

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/millstream/millstream/flow"
)

// openError classifies why a file cannot be opened. What lies in the name itself has the class given: a name from the file concerns
// every message, a rendered one its own message alone.
func openError(err error, name flow.Class) error {
	var known *flow.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return flow.Errorf(flow.ConfigError, flow.CodeAuth, "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return flow.Errorf(name, flow.CodeMissing, "%w", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
		errors.Is(err, syscall.EIO):
		return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", err)
	}
	return flow.Errorf(name, flow.CodeInvalidName, "%w", err)
}

// writeError is transient whatever it is: a full disk is emptied, a network share comes back.
func writeError(err error) error { return flow.Errorf(flow.Transient, flow.CodeUnavailable, "%w", err) }

func stopped(ctx context.Context) error {
	return flow.Errorf(flow.Transient, flow.CodeUnavailable, "write to file: %w", context.Cause(ctx))
}

func fail(outs []*flow.Outgoing, err error) {
	for _, o := range outs {
		o.Err = err
	}
}
