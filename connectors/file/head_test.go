package file_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/connectors/file"
	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/pipelines/config"
)

// header is the coder of lines under the header that it is.
type header string

func (h header) Decode(line []byte) (value.Value, error) {
	return value.String(string(h) + "|" + string(line)), nil
}

func (h header) Append(dst []byte, _ value.Value) ([]byte, error) { return dst, errors.ErrUnsupported }

// readUnder runs a source to its end, whose files begin with headers.
func readUnder(t *testing.T, text string, host *connectortest.Host, stopBefore string) []string {
	t.Helper()
	cfg := file.Type().NewSource()
	var built config.Source
	if _, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) {
		b.Under = func(line []byte) document.Coder { return header(line) }
		built = cfg.BuildSource(b)
	}); findings != nil || !built.Lines {
		t.Fatal(built.Lines, findings)
	}
	s, err := built.Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	in := intake(func(b *flow.Batch) {
		for i := range b.Records {
			line := string(b.Records[i].Body)
			if line == stopBefore {
				break
			}
			v, _ := b.Coder.Decode(b.Records[i].Body)
			got = append(got, v.Str())
			b.Records[i].Finish(flow.Delivered)
		}
		s.Settle(b)
	})
	if err := errors.Join(s.Run(t.Context(), in), s.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return got
}

type intake func(b *flow.Batch)

func (in intake) Push(_ context.Context, b *flow.Batch) error { in(b); return nil }

func TestTheFirstLineOfEachFileIsTheHeaderOfItsLines(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.csv"), "\r\na,b\r\n1,2\r\n\n3,4")
	write(t, filepath.Join(dir, "2.csv"), "b\n5\n")
	write(t, filepath.Join(dir, "3.csv"), "c\n")
	got := readUnder(t, "path: \""+dir+"/*.csv\"\n", connectortest.NewHost(t), "")
	if diff := cmp.Diff([]string{"a,b|1,2", "a,b|3,4", "b|5"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhoGoesOnInAFileKnowsItsHeader(t *testing.T) {
	for name, path := range map[string]string{
		"plain":      write(t, filepath.Join(t.TempDir(), "in.csv"), "\na,b\n1,2\n3,4\n5,6\n"),
		"compressed": write(t, filepath.Join(t.TempDir(), "in.csv.gz"), packed(t, "in.csv.gz", "\na,b\n1,2\n3,4\n5,6\n")),
	} {
		text, host := "path: "+path+"\nresume: true\n", connectortest.NewHost(t)
		if got := readUnder(t, text, host, "3,4"); !cmp.Equal(got, []string{"a,b|1,2"}) {
			t.Errorf("%s: %q", name, got)
		}
		if got := readUnder(t, text, host, ""); !cmp.Equal(got, []string{"a,b|3,4", "a,b|5,6"}) {
			t.Errorf("%s, again: %q", name, got)
		}
	}
}

// openHeaded opens a sink whose files begin with a header line.
func openHeaded(t *testing.T, text, head string) *target {
	t.Helper()
	cfg := file.Type().NewSink()
	var built config.Sink
	b, findings := connectortest.Build(t, text, cfg, func(b *config.Builder) {
		b.Head = []byte(head)
		built = cfg.BuildSink(b)
	})
	if findings != nil {
		t.Fatal(findings)
	}
	host := connectortest.NewHost(t)
	s, err := built.Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return &target{Sink: s, prepare: built.Preparer, builder: b, host: host}
}

func TestAHeaderLineStandsOnceAtTheBeginningOfEachFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	for _, rows := range [][]string{{"1,2", "3,4"}, {"5,6"}} {
		s := openHeaded(t, "path: "+path+"\n", "a,b")
		s.mustSend(t, rows...)
		s.mustSend(t, "x,y")
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := content(t, path); got != "a,b\n1,2\n3,4\nx,y\n5,6\nx,y\n" {
		t.Errorf("%q", got)
	}
	s := openHeaded(t, "path: "+path+"\n", "b,a")
	if errs := s.send(t, "2,1"); errs[0] == nil || !strings.Contains(errs[0].Error(), `does not begin with the header line "b,a"`) {
		t.Errorf("rows are written under another header: %v", errs)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestEveryRotatedFileHasItsHeaderLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	s := openHeaded(t, "path: "+path+"\nrotate: { size: 12B }\n", "a,b")
	s.mustSend(t, "1,2", "3,4", "5,6", "7,8", "9,0")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a,b\n1,2\n3,4\n", "a,b\n5,6\n7,8\n", "a,b\n9,0\n"}, generations(t, path)); diff != "" {
		t.Error(diff)
	}
	write(t, path, "a,")
	s = openHeaded(t, "path: "+path+"\n", "a,b")
	s.mustSend(t, "1,2")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "a,b\n1,2\n" {
		t.Errorf("a header that was cut short: %q", got)
	}
}
