package lines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/flow"
)

func limits(maxMessage int64) flow.Limits {
	return flow.Limits{MaxMessage: maxMessage, InFlight: 64, InFlightBytes: 1 << 20}
}

// got is a record, and where the stream goes on behind its batch.
type got struct {
	Body    string
	Offset  int64
	TooLong bool
	Next    int64
}

// readAll reads a stream from an offset in batches of one record.
func readAll(t *testing.T, from io.Reader, offset, maxMessage int64) (all []got, err error) {
	t.Helper()
	pool := &Pool{}
	r := NewReader(from, pool, func() int64 { return maxMessage })
	defer r.Close()
	r.StartAt(offset)
	b := &Batcher{Lane: flow.NewLane("lane"), Topic: "topic", Limits: limits(maxMessage)}
	b.Limits.InFlight = 4
	for {
		s, err := r.Next()
		if err != nil {
			return all, err
		}
		for batch := b.Cut(&s, 1); batch != nil; batch = b.Cut(&s, 1) {
			if len(batch.Records) != 1 {
				t.Fatalf("a batch of %d records", len(batch.Records))
			}
			record := &batch.Records[0]
			all = append(all, got{string(record.Body), record.Offset, record.Failure != nil, s.Offset})
			b.Settle(batch)
		}
		s.Release()
	}
}

func TestLinesAreCutAtTheirEnds(t *testing.T) {
	tests := []struct {
		name, text string
		want       []got
	}{
		{"nothing", "", nil},
		{"one line", "a\n", []got{{"a", 0, false, 2}}},
		{"no end at the end", "a\nbc", []got{{"a", 0, false, 2}, {"bc", 2, false, 4}}},
		{"carriage returns", "a\r\nb\r\n", []got{{"a", 0, false, 3}, {"b", 3, false, 6}}},
		{"empty lines", "\n\r\na\n\n", []got{{"a", 3, false, 5}}},
		{"a carriage return inside", "a\rb\n", []got{{"a\rb", 0, false, 4}}},
		{"the longest that is allowed", "12345678\r\n", []got{{"12345678", 0, false, 10}}},
		{"one byte too long", "123456789\nb\n", []got{{"123456789", 0, true, 10}, {"b", 10, false, 12}}},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader,
		"end with the data": iotest.DataErrReader,
	}
	for _, test := range tests {
		for how, reader := range readers {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				all, err := readAll(t, reader(strings.NewReader(test.text)), 0, 8)
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, all); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestBehindALineThatIsTooLongTheStreamGoesOnAtTheNextLine(t *testing.T) {
	for _, size := range []int{headBytes + 1, headBytes + 100, chunkSize, 3*chunkSize + 7} {
		for _, end := range []string{"\nnext\n", "\r\nnext\n", ""} {
			text := strings.Repeat("x", size) + end
			line := int64(strings.IndexByte(text, '\n') + 1)
			if line == 0 {
				line = int64(len(text))
			}
			all, err := readAll(t, strings.NewReader(text), 100, headBytes)
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			want := []got{{strings.Repeat("x", headBytes), 100, true, 100 + line}}
			if end != "" {
				want = append(want, got{"next", 100 + line, false, 100 + line + 5})
			}
			if diff := cmp.Diff(want, all); diff != "" {
				t.Errorf("%d bytes with %q: %s", size, end, diff)
			}
		}
	}
}

func TestLinesThatCameWithTheEndOfALongOneAreTheirOwn(t *testing.T) {
	long := strings.Repeat("x", headBytes+1)
	more := &pieces{long, "x\na\nb", "\n" + long[1:], "y\n"}
	all, err := readAll(t, more, 0, headBytes)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	first := int64(headBytes + 3)
	want := []got{{long[1:], 0, true, first}, {"a", first, false, first + 2}, {"b", first + 2, false, first + 4},
		{long[1:], first + 4, true, first + 4 + headBytes + 2}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

func TestALineThatAnErrorCutsOffIsLeft(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int{10, headBytes + 1, 2 * chunkSize} {
		text := "first\n" + strings.Repeat("x", size)
		all, err := readAll(t, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), 0, headBytes)
		if !errors.Is(err, broken) {
			t.Errorf("the reader ends with %v", err)
		}
		if diff := cmp.Diff([]got{{"first", 0, false, 6}}, all); diff != "" {
			t.Errorf("%d bytes: %s", size, diff)
		}
	}
}

// TestMemoryIsUsedAgainOnlyWhenNobodyHoldsIt settles batches in any order and overwrites each chunk as soon as it has no holder: what a
// batch that is still out shows must not change.
func TestMemoryIsUsedAgainOnlyWhenNobodyHoldsIt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	var want []string
	for i := range 4000 {
		line := fmt.Sprintf("%d-%s", i, strings.Repeat(string(rune('a'+i%26)), rng.IntN(400)))
		if i%500 == 250 {
			line = fmt.Sprintf("%d-%s", i, strings.Repeat("z", 3*chunkSize/2))
		}
		want = append(want, line)
		text.WriteString(line + "\n")
	}
	pool := &Pool{}
	r := NewReader(&choppy{from: strings.NewReader(text.String()), rng: rng}, pool, func() int64 { return 2000 })
	defer r.Close()
	b := &Batcher{Lane: flow.NewLane("lane"), Topic: "topic", Limits: limits(2000)}
	type out struct {
		batch *flow.Batch
		first int
	}
	var held []out
	seen := 0
	settle := func(i int) {
		o := held[i]
		held = append(held[:i], held[i+1:]...)
		for k := range o.batch.Records {
			line := want[o.first+k]
			r := &o.batch.Records[k]
			if body := string(r.Body); body != line[:min(len(line), len(body))] || r.Failure == nil && len(body) != len(line) {
				t.Fatalf("line %d is %.40q… of %d bytes, want %.40q… of %d", o.first+k, body, len(body), line, len(line))
			}
		}
		chunk := o.batch.Memory.(*Chunk)
		b.Settle(o.batch)
		poison(chunk)
	}
	for {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for batch := b.Cut(&s, 1); batch != nil; batch = b.Cut(&s, 1) {
			held = append(held, out{batch, seen})
			seen += len(batch.Records)
		}
		s.Release()
		poison(s.chunk)
		for len(held) > 20 {
			settle(rng.IntN(len(held)))
		}
	}
	for len(held) > 0 {
		settle(rng.IntN(len(held)))
	}
	if seen != len(want) {
		t.Errorf("%d lines of %d", seen, len(want))
	}
}

// poison overwrites a chunk that nobody holds.
func poison(c *Chunk) {
	switch n := c.holders.Load(); {
	case n < 0:
		panic("released too often")
	case n == 0:
		copy(c.buf, bytes.Repeat([]byte("#"), len(c.buf)))
	}
}

// choppy reads in pieces of any size.
type choppy struct {
	from io.Reader
	rng  *rand.Rand
}

func (c *choppy) Read(p []byte) (int, error) {
	return c.from.Read(p[:min(len(p), 1+c.rng.IntN(20000))])
}

func TestChunksGoBackAfterTheirLastHolder(t *testing.T) {
	pool := &Pool{}
	r := NewReader(strings.NewReader("a\nb\n"), pool, func() int64 { return 100 })
	b := &Batcher{Lane: flow.NewLane("lane"), Limits: limits(100)}
	s, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	chunk := s.chunk
	batch := b.Cut(&s, 1)
	if n := chunk.holders.Load(); n != 3 {
		t.Errorf("%d hold the chunk, want 3: the reader, the segment and the batch", n)
	}
	s.Release()
	r.Close()
	if n := chunk.holders.Load(); n != 1 {
		t.Errorf("%d hold the chunk, want the batch alone", n)
	}
	b.Settle(batch)
	if n := chunk.holders.Load(); n != 0 {
		t.Errorf("%d hold the chunk, want nobody", n)
	}
}

func TestSegmentsJoinWhenTheyStandBehindEachOther(t *testing.T) {
	r := NewReader(&pieces{"a\n", "b\n", strings.Repeat("x", 200), "x\nc\n"}, &Pool{}, func() int64 { return 100 })
	defer r.Close()
	var segments []Segment
	for range 4 {
		s, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, s)
	}
	if !segments[0].Join(segments[1]) || string(segments[0].Data) != "a\nb\n" {
		t.Errorf("the first two are %q", segments[0].Data)
	}
	if segments[0].Join(segments[2]) || segments[2].Join(segments[3]) {
		t.Error("a line that is too long was joined")
	}
	for _, i := range []int{0, 2, 3} {
		segments[i].Release()
	}
}

// pieces gives one text with each read.
type pieces []string

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	n := copy(b, (*p)[0])
	*p = (*p)[1:]
	return n, nil
}

func TestPayloadsThatAreNoLineAreRefused(t *testing.T) {
	for _, payload := range [][]byte{nil, []byte("a\nb"), []byte("\n")} {
		var e *flow.Error
		if err := CheckPayload(payload, "file"); !errors.As(err, &e) || e.Code != flow.CodeEncode {
			t.Errorf("%q gives %v", payload, err)
		}
	}
	for _, payload := range [][]byte{{}, []byte("a\rb")} {
		if err := CheckPayload(payload, "file"); err != nil {
			t.Errorf("%q gives %v", payload, err)
		}
	}
}

func TestWhatMayStillGrowIsLeft(t *testing.T) {
	for _, text := range []string{"a\nhal", "a\n" + strings.Repeat("x", headBytes+2), "a\n" + strings.Repeat("x", 2*chunkSize), "a\n"} {
		r := NewReader(strings.NewReader(text), &Pool{}, func() int64 { return headBytes })
		r.LeaveRest()
		s, err := r.Next()
		if err != nil || string(s.Data) != "a\n" {
			t.Fatalf("%q, %v", s.Data, err)
		}
		s.Release()
		if s, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%.20q…: then came %.20q, %v", text, s.Data, err)
		}
		r.Close()
	}
}

func TestRecordsShowTheGenerationOfTheirStream(t *testing.T) {
	b := &Batcher{Lane: flow.NewLane("lane"), Topic: "topic", Limits: limits(100)}
	for _, want := range []struct{ generation, partition int32 }{{0, flow.NoPartition}, {7, 7}, {8, 8}, {0, flow.NoPartition}} {
		b.Generation = want.generation
		r := NewReader(strings.NewReader("a\n"), &Pool{}, func() int64 { return 100 })
		s, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		batch := b.Cut(&s, 1)
		if got := batch.Records[0].Partition; got != want.partition {
			t.Errorf("generation %d gives partition %d", want.generation, got)
		}
		batch.Records[0].Finish(flow.Delivered)
		b.Settle(batch)
		s.Release()
		r.Close()
	}
}

// FuzzLines reads any bytes in pieces: the records and the lengths of their lines make up the stream again.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), uint8(1), uint8(4), false)
	f.Add([]byte("123456789\nb\n"), uint8(3), uint8(8), true)
	f.Fuzz(func(t *testing.T, text []byte, piece, most uint8, grows bool) {
		r := NewReader(iotest.OneByteReader(bytes.NewReader(text)), &Pool{}, func() int64 { return int64(most) })
		if piece > 1 {
			r = NewReader(&inPieces{text, int(piece)}, &Pool{}, func() int64 { return int64(most) })
		}
		defer r.Close()
		if grows {
			r.LeaveRest()
		}
		b := &Batcher{Lane: flow.NewLane("lane"), Topic: "topic", Limits: limits(int64(most))}
		var got, want [][]byte
		for {
			s, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for batch := b.Cut(&s, 1); batch != nil; batch = b.Cut(&s, 1) {
				for i := range batch.Records {
					r := &batch.Records[i]
					if r.Failure == nil && !bytes.HasPrefix(text[r.Offset:], r.Body) {
						t.Errorf("%q is not at %d", r.Body, r.Offset)
					}
					got = append(got, bytes.Clone(r.Body))
				}
				b.Settle(batch)
			}
			s.Release()
		}
		for line := range bytes.Lines(text) {
			if grows && line[len(line)-1] != '\n' {
				break
			}
			line, _ = bytes.CutSuffix(line, []byte("\n"))
			cut, _ := bytes.CutSuffix(line, []byte("\r"))
			if len(cut) > 0 {
				want = append(want, cut)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d lines of %d: %q", len(got), len(want), got)
		}
		for i := range got {
			if !bytes.HasPrefix(want[i], got[i]) && !bytes.HasPrefix(got[i], want[i]) || len(want[i]) <= int(most) && !bytes.Equal(want[i], got[i]) {
				t.Errorf("line %d is %q, want %q", i, got[i], want[i])
			}
		}
	})
}

// inPieces reads so many bytes at a time.
type inPieces struct {
	text []byte
	n    int
}

func (p *inPieces) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.text)
	p.text = p.text[n:]
	return n, nil
}
