package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millstream/millstream/engine"
	"github.com/millstream/millstream/internal/admin"
	"github.com/millstream/millstream/internal/revision"
	"github.com/millstream/millstream/internal/terminal"
)

// processFlags are the flags of commands that speak to a running process.
type processFlags struct {
	state    string
	instance string
	format   string
}

func (f *processFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.state, "state", ".millstream", "state directory of the process")
	c.Flags().StringVar(&f.instance, "instance", "", "instance of the process, when several have the same state directory")
}

func (f *processFlags) addFormat(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "text", "text or json")
}

// find finds the process; what cannot be asked has failed.
func (f *processFlags) find() (*admin.Client, error) {
	if f.format != "" && f.format != "text" && f.format != "json" {
		return nil, failWith(exitInvalid, fmt.Errorf("--format %s: write text or json", f.format))
	}
	c, err := admin.Find(f.state, f.instance)
	if err != nil {
		return nil, failWith(exitFailed, err)
	}
	return c, nil
}

func statusCommand(s *streams) *cobra.Command {
	var f processFlags
	var ready bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a running process does",
		Long: "status asks the process that has its state in --state what each of its pipelines does, what became of its messages, and what became of\n" +
			"the last reload. It ends with 0 when every pipeline runs as its file says, with 2 when a file has errors, with 1 otherwise: when one is\n" +
			"degraded, which is when a source or a sink does not get through now, paused, starting or failed. With --ready a degraded one counts\n" +
			"as running, for probes: to start a process anew brings no broker back.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := f.find()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
			defer cancel()
			status, raw, err := client.Status(ctx)
			if err != nil {
				return failWith(exitFailed, err)
			}
			if f.format == "json" {
				_, err = s.out.Write(raw)
			} else {
				err = printStatus(s.out, &status)
			}
			if err != nil {
				return failWith(exitFailed, err)
			}
			return statusCode(&status, ready)
		},
	}
	f.add(c)
	f.addFormat(c)
	c.Flags().BoolVar(&ready, "ready", false, "end with 0 also when pipelines are degraded")
	return c
}

// statusCode is the exit code of a status; ready takes a degraded pipeline for one that runs.
func statusCode(s *admin.Status, ready bool) error {
	switch {
	case !s.Ready:
		return failWith(exitFailed, nil)
	case len(s.Attempts) > 0 && !s.Attempts[0].OK():
		return failWith(attemptCode(&s.Attempts[0]), nil)
	case len(s.Degraded) > 0 && !ready:
		return failWith(exitFailed, nil)
	}
	return nil
}

// attemptCode is the exit code of an attempt: errors in files are one thing, what fails while running another.
func attemptCode(a *revision.Attempt) int {
	switch {
	case a.OK():
		return exitFine
	case len(a.Failed()) > 0:
		return exitFailed
	}
	return exitInvalid
}

func printStatus(out io.Writer, s *admin.Status) error {
	watching := ""
	if s.Watching {
		watching = ", watching"
	}
	if s.Draining {
		watching += ", draining"
	}
	_, _ = fmt.Fprintf(out, "%s: pid %d, up %s, revision %d (%s)%s\n", s.Instance, s.PID, time.Since(s.Started).Round(time.Second), s.Revision, s.Hash,
		watching)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	lag := slices.ContainsFunc(s.Pipelines, func(p admin.Pipeline) bool { return len(p.Lag) > 0 })
	_, _ = fmt.Fprintf(w, "PIPELINE\tSTATE\tREVISION\tIN\tDELIVERED\tFILTERED\tDROPPED\tDEAD\tIN FLIGHT\t%sFILE\n", lagColumn(lag, "LAG"))
	for _, p := range s.Pipelines {
		b := &p.Balance
		older := ""
		if p.Older {
			older = " (older than the file, which has errors)"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s%s%s\n", p.Name, p.State, p.Revision, b.In, b.Delivered, b.Filtered, b.Dropped,
			b.DeadLettered, b.InFlight, lagColumn(lag, lagOf(p.Lag)), p.Path, older)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range s.Pipelines {
		printTroubles(out, &p)
		if p.Error != "" {
			_, _ = fmt.Fprintf(out, "%s: %s\n", p.Name, terminal.Text(p.Error))
		}
		if why := p.Paused; why != nil {
			_, _ = fmt.Fprintf(out, "%s: paused since %s: %s failed at %s: %s [%s/%s]; it waits for a reload or a restart\n", p.Name,
				why.Since.Format(time.RFC3339), terminal.Text(why.Origin), why.Node, terminal.Text(why.Message), why.Class, why.Code)
		}
	}
	if len(s.Attempts) > 0 {
		_, _ = fmt.Fprint(out, "last attempt: ")
		return printAttempt(out, &s.Attempts[0])
	}
	return nil
}

// printTroubles says which sources and sinks do not get through, a line each.
func printTroubles(out io.Writer, p *admin.Pipeline) {
	closed := map[string]bool{}
	for _, k := range p.Sinks {
		if k.NotOpen != "" {
			closed[k.Name] = true
			_, _ = fmt.Fprintf(out, "%s: the optional sink %s is not open: %s; what its queue cannot take is dropped\n", p.Name, k.Name, terminal.Text(k.NotOpen))
		}
	}
	for _, t := range p.Troubles {
		if t.Kind == "sink" && closed[t.Part] {
			continue
		}
		_, _ = fmt.Fprintf(out, "%s: %s %s does not get through since %s: %s\n", p.Name, t.Kind, t.Part, t.Since.Format(time.RFC3339),
			terminal.Text(t.Message))
	}
}

// lagColumn is a cell of a column that is there when a source knows its lag.
func lagColumn(there bool, cell string) string {
	if !there {
		return ""
	}
	return cell + "\t"
}

// lagOf is how much waits at all sources of a pipeline that can know it; "-" when there is none, or one of them does not know it now.
func lagOf(sources []engine.SourceLag) string {
	if len(sources) == 0 {
		return "-"
	}
	var sum int64
	for _, s := range sources {
		if s.Lag == nil {
			return "-"
		}
		sum += *s.Lag
	}
	return strconv.FormatInt(sum, 10)
}

// printAttempt prints a receipt.
func printAttempt(out io.Writer, a *revision.Attempt) error {
	_, _ = fmt.Fprintf(out, "%s by %s, revision %d (%s), %s", a.Outcome, a.Trigger, a.Revision, a.Hash, a.Duration.Round(time.Millisecond))
	if a.Drained > 0 || a.Pause > 0 {
		_, _ = fmt.Fprintf(out, ", %d drained, pause %s", a.Drained, a.Pause.Round(time.Microsecond))
	}
	_, _ = fmt.Fprintln(out)
	if a.Error != "" {
		_, _ = fmt.Fprintf(out, "  %s\n", terminal.Text(a.Error))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, step := range a.Steps {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s", step.Action, step.Pipeline, step.Outcome)
		if len(step.Reasons) > 0 {
			_, _ = fmt.Fprintf(w, "\t%s", strings.Join(step.Reasons, ", "))
		}
		if step.Error != "" {
			_, _ = fmt.Fprintf(w, "\t%s", terminal.Text(step.Error))
		}
		_, _ = fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, o := range a.Older {
		_, _ = fmt.Fprintf(out, "  %s runs an older text than %s, which has errors\n", o.Pipeline, o.Path)
	}
	_, err := io.WriteString(out, a.Report)
	return err
}
