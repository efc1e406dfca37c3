package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/millstream/millstream/internal/admin"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/pipelines/diag"
)

// listen opens the admin socket, and the address that was asked for. A socket that cannot be had is a reason to complain only where
// somebody will look for it. end closes everything.
func (v *supervisor) listen(f *runFlags) (end func(), err error) {
	ends := []func(){}
	end = func() {
		for _, e := range ends {
			e()
		}
	}
	if f.admin != "" {
		l, err := admin.ListenLoopback(f.admin)
		if err != nil {
			return end, errors.New("--admin " + err.Error())
		}
		v.log.Info("answering on", "address", l.Addr().String())
		ends = append(ends, admin.Serve(l, admin.Loopback(v, l.Addr())).Close)
	}
	l, clean, err := admin.ListenSocket(f.state, f.instance)
	if err != nil {
		if f.watch || f.stateGiven {
			v.log.Warn("millstream status and reload cannot reach this process", "error", err)
		} else {
			v.log.Debug("millstream status and reload cannot reach this process", "error", err)
		}
		return end, nil
	}
	ends = append(ends, admin.Serve(l, admin.Socket(v)).Close, clean)
	return end, nil
}

var (
	errDraining = errors.New("the process is draining")
	errGone     = errors.New("nobody waits for the answer")
)

var _ admin.Backend = (*supervisor)(nil)

// Reload implements admin.Backend.
func (v *supervisor) Reload(ctx context.Context) (revision.Attempt, error) {
	r := request{answer: make(chan revision.Attempt, 1)}
	select {
	case v.requests <- r:
	case <-v.ended:
		return revision.Attempt{}, errDraining
	case <-ctx.Done():
		return revision.Attempt{}, errGone
	}
	select {
	case a := <-r.answer:
		return a, nil
	case <-v.ended:
		return revision.Attempt{}, errDraining
	case <-ctx.Done():
		return revision.Attempt{}, errGone
	}
}

// Status implements admin.Backend.
func (v *supervisor) Status() admin.Status {
	s := v.about
	s.Draining = v.draining.Load()
	s.Reloads = v.keeper.Counts()
	s.Describe(v.fleet.Pipelines(), v.keeper.Attempts())
	return s
}

// Plan implements admin.Backend.
func (v *supervisor) Plan(paths []string) admin.Plan {
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			return admin.Plan{Error: "plan takes absolute paths"}
		}
	}
	if len(paths) == 0 || slices.Equal(paths, v.about.Paths) {
		paths = v.paths
	}
	set := v.load(paths)
	if set.Err != nil {
		return admin.Plan{Error: set.Err.Error()}
	}
	steps, broken, findings := v.keeper.Preview(set)
	var report bytes.Buffer
	_ = diag.Write(&report, diag.FormatText, findings) // a buffer takes everything
	return admin.Plan{Steps: steps, Broken: broken, Report: report.String()}
}
