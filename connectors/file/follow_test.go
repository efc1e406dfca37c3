package file_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/millstream/millstream/connectors/connectortest"
	"github.com/millstream/millstream/flow"
)

// patience bounds waits for what must come.
const patience = 20 * time.Second

// run is a source that is running.
type run struct {
	t      *testing.T
	source flow.Source
	in     *connectortest.Intake
	cancel context.CancelFunc
	ended  chan error
}

func start(t *testing.T, text string, host *connectortest.Host) *run {
	t.Helper()
	return startWith(t, text, host, &connectortest.Intake{})
}

func startWith(t *testing.T, text string, host *connectortest.Host, in *connectortest.Intake) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{t: t, source: openSource(t, text, host), in: in, cancel: cancel, ended: make(chan error, 1)}
	in.Source = r.source
	go func() { r.ended <- r.source.Run(ctx, in) }()
	t.Cleanup(func() {
		if r.cancel != nil {
			r.stop()
		}
	})
	return r
}

// stop ends the source as a drain does.
func (r *run) stop() {
	r.t.Helper()
	r.cancel()
	r.cancel = nil
	if err := <-r.ended; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	r.in.SettleAll()
	if err := r.source.Close(context.Background()); err != nil {
		r.t.Errorf("Close: %v", err)
	}
	if err := r.in.Offence(); err != nil {
		r.t.Error(err)
	}
}

// want waits until as many records have come as there are bodies, and compares.
func (r *run) want(bodies ...string) {
	r.t.Helper()
	for end := time.Now().Add(patience); len(r.in.Got()) < len(bodies) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if diff := cmp.Diff(bodies, r.in.Bodies()); diff != "" {
		r.t.Fatal(diff)
	}
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func following(path string) string { return "path: \"" + path + "\"\nfollow: true\n" }

func TestFollowedFilesKeepTheContractOfSources(t *testing.T) {
	dir := t.TempDir()
	var want []string
	var text strings.Builder
	for i := range 2000 {
		want = append(want, fmt.Sprintf(`{"line":%d}`, i))
		text.WriteString(want[i] + "\n")
	}
	path := write(t, dir+"/in.log", text.String())
	connectortest.Source(t, connectortest.SourceSuite{
		Want: want,
		Open: func(t *testing.T, host *connectortest.Host) flow.Source { return openSource(t, following(path), host) },
		Idle: func(t *testing.T, host *connectortest.Host) flow.Source {
			return openSource(t, following(dir+"/none"), host)
		},
	})
}

func TestFollowReadsWhatIsAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.log")
	r := start(t, following(path), connectortest.NewHost(t))
	add(t, path, "a\nb\n\nhal")
	r.want("a", "b")
	add(t, path, "f")
	add(t, path, " a line\nc\n")
	r.want("a", "b", "half a line", "c")
}

func TestFollowGoesOnWhereItHasSettled(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "in.log"), "a\nb\nhal")
	host := connectortest.NewHost(t)
	r := start(t, following(path), host)
	r.want("a", "b")
	r.stop()
	add(t, path, "f\nc\n")
	r = start(t, following(path), host)
	r.want("half", "c")
	r.stop()
	r = startWith(t, following(path), host, &connectortest.Intake{Leave: true})
	add(t, path, "d\n")
	r.want("d")
	r.stop()
	r = start(t, following(path), host)
	r.want("d")
}

func TestARenamedFileIsReadToItsEndBeforeTheNextOne(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir+"/in.log", "a\n")
	r := start(t, following(path), connectortest.NewHost(t))
	r.want("a")
	rename(t, path, dir+"/in.log.1")
	add(t, dir+"/in.log.1", "b\n")
	write(t, path, "c\n")
	r.want("a", "b", "c")
	add(t, dir+"/in.log.1", "late\n")
	r.want("a", "b", "c", "late")
	add(t, path, "d\n")
	r.want("a", "b", "c", "late", "d")
	parts := map[int32]bool{}
	for _, g := range r.in.Got() {
		if g.Topic != path {
			t.Errorf("the topic is %s", g.Topic)
		}
		parts[g.Partition] = true
	}
	if len(parts) != 2 {
		t.Errorf("two files of one path have %d numbers", len(parts))
	}
}

func TestAFileThatWasRotatedInBetweenIsReadToItsEnd(t *testing.T) {
	for _, mode := range []string{"follow: true\n", "resume: true\n"} {
		dir := t.TempDir()
		path := write(t, dir+"/in.log", "a\n")
		host := connectortest.NewHost(t)
		text := "path: " + path + "\n" + mode
		r := start(t, text, host)
		r.want("a")
		r.stop()
		add(t, path, "b\n")
		rename(t, path, dir+"/in.log.1")
		write(t, path, "c\n")
		r = start(t, text, host)
		r.want("b", "c")
		r.stop()
		add(t, path, "d\n")
		r = start(t, text, host)
		r.want("d")
		r.stop()
	}
}

func TestFilesRotatedWithinThePatternAreReadOnce(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir+"/in.log", "1\n")
	r := start(t, following(dir+"/in.log*"), connectortest.NewHost(t))
	r.want("1")
	var want []string
	want = append(want, "1")
	for i := range 5 {
		for k := i; k > 0; k-- {
			rename(t, fmt.Sprintf("%s.%d", path, k), fmt.Sprintf("%s.%d", path, k+1))
		}
		rename(t, path, path+".1")
		add(t, path, fmt.Sprintf("n%d\n", i))
		want = append(want, fmt.Sprintf("n%d", i))
	}
	end := time.Now().Add(patience)
	for len(r.in.Got()) < len(want) && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	got := r.in.Bodies()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestACutFileIsReadFromItsBeginning(t *testing.T) {
	host := connectortest.NewHost(t)
	path := write(t, filepath.Join(t.TempDir(), "in.log"), "a\nb\nc\n")
	r := start(t, following(path), host)
	r.want("a", "b", "c")
	write(t, path, "d\n") // os.WriteFile cuts it in its place
	r.want("a", "b", "c", "d")
	write(t, path, "longer than it was before\nand more\n")
	r.want("a", "b", "c", "d", "longer than it was before", "and more")
	r.stop()
	write(t, path, "while it was down\n"+strings.Repeat("x", 100)+"\n")
	r = start(t, following(path), host)
	r.want("while it was down", strings.Repeat("x", 100))
}

func TestFilesThatComeToMatchAreRead(t *testing.T) {
	dir := t.TempDir()
	r := start(t, following(dir+"/*/x-*.log"), connectortest.NewHost(t))
	write(t, dir+"/a/x-1.log", "1\n")
	r.want("1")
	write(t, dir+"/a/y.log", "not this\n")
	write(t, dir+"/b/x-2.log", "2\n")
	r.want("1", "2")
	lanes := map[string]bool{}
	for _, g := range r.in.Got() {
		lanes[g.Topic] = true
	}
	if len(lanes) != 2 {
		t.Errorf("%d topics", len(lanes))
	}
}

func TestStartAtTheEndHoldsForTheFirstRunAlone(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir+"/a.log", "old\nhal")
	host := connectortest.NewHost(t)
	text := following(dir+"/*.log") + "start: end\n"
	r := start(t, text, host)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(host.State + "/positions.json"); err == nil {
			break // it has looked
		}
	}
	write(t, dir+"/b.log", "new\n")
	r.want("new")
	add(t, path, "f\n")
	r.want("new", "half")
	r.stop()
	write(t, dir+"/c.log", "while it was down\n")
	add(t, path, "more\n")
	r = start(t, text, host)
	end := time.Now().Add(patience)
	for len(r.in.Got()) < 2 && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	got := r.in.Bodies()
	slices.Sort(got)
	if diff := cmp.Diff([]string{"more", "while it was down"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAReplacedFileIsAnotherOneHoweverItsNumberIs(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "in"), "first\nsecond\n")
	host := connectortest.NewHost(t)
	text, head := "path: "+path+"\nresume: true\n", strings.Repeat("h", 2000)
	for _, step := range []struct {
		content string
		want    []string
	}{
		{"first\nsecond\n", []string{"first", "second"}},
		{"first\nsecond\nthird\n", []string{"third"}},
		{"FIRST\nsecond\nthird\nfourth\n", []string{"FIRST", "second", "third", "fourth"}},
		{"FIRST\nsecond\nTHIRD\nfourth\nfifth\n", []string{"FIRST", "second", "THIRD", "fourth", "fifth"}},
		{"x\n", []string{"x"}},
		{"x\n", []string{}},
		{head + "\nONE\n", []string{head, "ONE"}},
		{head + "\nTWO\nTHREE\n", []string{head, "TWO", "THREE"}},
	} {
		write(t, path, step.content)
		r := start(t, text, host)
		if err := <-r.ended; err != nil {
			t.Fatal(err)
		}
		r.ended <- nil
		if diff := cmp.Diff(step.want, r.in.Bodies()); diff != "" {
			t.Errorf("%q: %s", step.content, diff)
		}
		r.stop()
	}
}

func TestResumeLeavesALineWithoutAnEnd(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "in"), "a\nhal")
	host := connectortest.NewHost(t)
	for _, want := range [][]string{{"a"}, {"half", "b"}} {
		s := openSource(t, "path: "+path+"\nresume: true\n", host)
		in := &connectortest.Intake{Source: s}
		if err := errors.Join(s.Run(t.Context(), in), s.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, in.Bodies()); diff != "" {
			t.Error(diff)
		}
		add(t, path, "f\nb\n")
	}
}

func TestManyFilesAreNotAllKeptOpenWhileFollowed(t *testing.T) {
	dir := t.TempDir()
	want := map[string]bool{}
	for i := range 300 {
		write(t, fmt.Sprintf("%s/%03d.log", dir, i), fmt.Sprintf("a%d\n", i))
	}
	r := start(t, following(dir+"/*.log"), connectortest.NewHost(t))
	wait := func(n int) {
		t.Helper()
		for end := time.Now().Add(patience); len(r.in.Got()) < n && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if got := len(r.in.Got()); got != n {
			t.Fatalf("%d lines, want %d", got, n)
		}
	}
	wait(300)
	for i := range 300 {
		add(t, fmt.Sprintf("%s/%03d.log", dir, i), fmt.Sprintf("b%d\n", i))
	}
	wait(600)
	for _, body := range r.in.Bodies() {
		want[body] = true
	}
	if len(want) != 600 {
		t.Errorf("%d different lines", len(want))
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, dir) {
			open++
		}
	}
	if open == 0 || open > 129 {
		t.Errorf("%d files are open", open)
	}
}

func packed(t *testing.T, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(text))
		if err = errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, err = z.Write([]byte(text))
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedFilesAreReadByTheirNames(t *testing.T) {
	for _, name := range []string{"in.gz", "in.zst"} {
		for _, mode := range []string{"", "resume: true\n", "follow: true\n"} {
			path := write(t, filepath.Join(t.TempDir(), name), packed(t, name, "a\nbb\nlast"))
			r := start(t, "path: "+path+"\n"+mode, connectortest.NewHost(t))
			r.want("a", "bb", "last")
			if got := r.in.Got()[1].Offset; got != 2 {
				t.Errorf("%s %s: the second line is at %d", name, mode, got)
			}
		}
	}
}

func TestACompressedFileGoesOnWhereItsContentWasSettled(t *testing.T) {
	for _, name := range []string{"in.gz", "in.zst"} {
		host := connectortest.NewHost(t)
		path := write(t, filepath.Join(t.TempDir(), name), packed(t, name, "a\nb\n"))
		r := start(t, following(path), host)
		r.want("a", "b")
		add(t, path, packed(t, name, "c\n"))
		r.want("a", "b", "c")
		r.stop()
		add(t, path, packed(t, name, "d\n"))
		r = start(t, following(path), host)
		r.want("d")
		r.stop()
	}
}

func TestAHalfWrittenCompressedFileWaits(t *testing.T) {
	text := packed(t, "x.gz", strings.Repeat("line\n", 10))
	path := write(t, filepath.Join(t.TempDir(), "in.gz"), text[:len(text)-4])
	r := start(t, following(path), connectortest.NewHost(t))
	add(t, path, text[len(text)-4:])
	r.want(slices.Repeat([]string{"line"}, 10)...)
	finite := openSource(t, "path: "+write(t, filepath.Join(t.TempDir(), "cut.gz"), text[:len(text)-4])+"\n", connectortest.NewHost(t))
	if err := finite.Run(t.Context(), &connectortest.Intake{Source: finite}); err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("a file that is cut short gives %v", err)
	}
}

func TestABombIsRefused(t *testing.T) {
	for _, name := range []string{"in.gz", "in.zst"} {
		path := write(t, filepath.Join(t.TempDir(), name), packed(t, name, strings.Repeat("\x00", 64<<20)))
		for _, framing := range []string{"lines", "whole"} {
			s := openSource(t, "path: "+path+"\nframing: "+framing+"\n", connectortest.NewHost(t))
			in := &connectortest.Intake{Source: s}
			err := s.Run(t.Context(), in)
			if e := flow.AsError(err, flow.Poison, ""); framing == "lines" && (e == nil || e.Code != flow.CodeTooLarge) {
				t.Errorf("%s: %v", name, err)
			}
			if got := in.Got(); framing == "whole" && (len(got) != 1 || got[0].Failure == nil || got[0].Failure.Code != flow.CodeTooLarge) {
				t.Errorf("%s: %d records, %v", name, len(got), err)
			}
		}
	}
}
