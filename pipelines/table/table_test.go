package table_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millstream/millstream/pipelines/table"
)

func TestParseReadsRowsByTheirKeys(t *testing.T) {
	types := map[string]table.Type{"n": table.Int, "x": table.Float, "on": table.Bool, "s": table.String}
	row := map[string]any{"id": "a", "n": 1, "x": 2.0, "on": true, "s": "01"}
	empty := map[string]any{"id": "b", "n": nil, "x": nil, "on": nil, "s": ""}
	tests := []struct {
		name, file, text string
		spec             table.Spec
		want             map[string]any
	}{
		{"csv with types", "t.csv", "\ufeffid,n,x,on,s\r\na,1,2,true,01\r\nb,,,,\r\n", table.Spec{Key: "id", Types: types},
			map[string]any{"a": row, "b": empty}},
		{"csv without types is text", "t.CSV", "id,n\n\"a\"\"\nb\",007\n", table.Spec{Key: "id"},
			map[string]any{"a\"\nb": map[string]any{"id": "a\"\nb", "n": "007"}}},
		{"an int key is found by its digits", "t.csv", "id\n007\n", table.Spec{Key: "id", Types: map[string]table.Type{"id": table.Int}},
			map[string]any{"7": map[string]any{"id": 7}}},
		{"a list of objects", "t.json", ` [{"id":"a","n":1,"x":2,"on":true,"s":"01"},{"id":2,"deep":{"a":[1]}}] `,
			table.Spec{Key: "id", Types: types}, map[string]any{"a": row, "2": map[string]any{"id": 2, "deep": map[string]any{"a": []any{1}}}}},
		{"an object a line", "t.ndjson", "{\"id\":true}\r\n\n {\"id\":\"x\",\"n\":null}", table.Spec{Key: "id"},
			map[string]any{"true": map[string]any{"id": true}, "x": map[string]any{"id": "x", "n": nil}}},
		{"no rows", "t.jsonl", "", table.Spec{Key: "id"}, map[string]any{}},
		{"a header alone", "t.csv", "id", table.Spec{Key: "id"}, map[string]any{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.spec.File = test.file
			got, problems := table.Parse([]byte(test.text), &test.spec)
			if len(problems) > 0 {
				t.Fatalf("problems: %+v", problems)
			}
			if difference := cmp.Diff(test.want, got); difference != "" {
				t.Errorf("rows differ (-want +got):\n%s", difference)
			}
		})
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	spec := table.Spec{Key: "id", Types: map[string]table.Type{"n": table.Int}}
	tests := []struct{ file, text, want string }{
		{"t.txt", "", "the name does not say"},
		{"t.csv", "", "no header"},
		{"t.csv", "id,n\na,1\nb,é2\n", "3:3+2 n must be an int"},
		{"t.csv", "id,n\na,1\na,2\n", "3:1+1 the key \"a\" stands twice (line 2 has it first) duplicate"},
		{"t.csv", "id,n\né,1.5\n", "2:3+3 n must be an int, found \"1.5\""},
		{"t.csv", "id,n\na\n", "2:1+1 the row has 1 cells, and the header 2"},
		{"t.csv", "id,n,n\n", "1:6+1 the column \"n\" stands twice in the header"},
		{"t.csv", "id,n\n,1\n", "2:1+1 the key id must be"},
		{"t.csv", "id,n\n\"a,1\n", "2:1+4 a quoted cell that begins here is never closed"},
		{"t.csv", "id,n\na\"b,1\n", "2:2+1 a quote within a cell without quotes"},
		{"t.csv", "ID,n\na,1\n", "key id: the file has no column \"id\""},
		{"t.csv", "id,m\na,1\n", "type n: the file has no column \"n\""},
		{"t.csv", "\xff\n", "not UTF-8"},
		{"t.json", "{}", "1:1+1 the file must hold a list of objects"},
		{"t.json", "[{\"id\":1,\"n\":1},\n{\"id\":1}]", "2:1+8 the key \"1\" stands twice (line 1 has it first) duplicate"},
		{"t.json", "[{\"id\":1},]", "1:11+1 this is no JSON: expected a value"},
		{"t.json", "[{\"id\":1}", "1:10+1 this is no JSON: expected ',' or ']'"},
		{"t.json", "[] x", "1:4+1 there is something behind the list"},
		{"t.json", "[1]", "1:2+1 a row is an object, and this is int"},
		{"t.ndjson", "{\"id\":1,\"n\":1}\n{\"n\":1}", "2:1+7 the row has no \"id\", which is the key"},
		{"t.ndjson", "{\"id\":1,\"n\":\"x\"}", "1:1+16 n must be an int, found \"x\""},
		{"t.ndjson", "{\"id\":1.5,\"n\":1}", "1:1+16 the key id must be"},
		{"t.ndjson", "{\"id\":1,\"n\":1}\n  {\"id\":", "2:9+1 this is no JSON: expected a value"},
	}
	for _, test := range tests {
		spec.File = test.file
		_, problems := table.Parse([]byte(test.text), &spec)
		if len(problems) == 0 || !strings.Contains(said(&problems[0]), test.want) {
			t.Errorf("%s %q: got %+v, want %s", test.file, test.text, problems, test.want)
		}
	}
}

func said(p *table.Problem) string {
	text := p.Message
	switch p.About {
	case table.AboutRow:
		text = fmt.Sprintf("%d:%d+%d %s", p.Line, p.Col, p.Width, text)
	case table.AboutKey:
		text = "key " + p.Column + ": " + text
	case table.AboutType:
		text = "type " + p.Column + ": " + text
	case table.AboutFile:
	}
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	if p.Duplicate {
		text += " duplicate"
	}
	return text
}

func TestManyMistakesAreToldOnlyInPart(t *testing.T) {
	_, problems := table.Parse([]byte("id\n"+strings.Repeat("a\n", 1000)), &table.Spec{File: "t.csv", Key: "id"})
	if len(problems) != 20 {
		t.Errorf("%d problems, want 20", len(problems))
	}
}

func TestOpenRefusesWhatIsNoRegularFile(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/dev/zero", filepath.Join(t.TempDir(), "gone.csv")} {
		if _, _, problems := table.Open(table.Spec{File: path, Key: "id"}); len(problems) != 1 || problems[0].About != table.AboutFile {
			t.Errorf("%s: %+v", path, problems)
		}
	}
}

func TestRefreshTakesNewRowsAndKeepsTheOldOnesOnAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.csv")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("id,v\na,1\n")
	synctest.Test(t, func(t *testing.T) {
		tab, _, problems := table.Open(table.Spec{File: path, Key: "id"})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		var log strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			tab.Refresh(ctx, time.Minute, slog.New(slog.NewTextHandler(io.Writer(&log), nil)))
			close(ended)
		}()
		expect := func(want string) {
			t.Helper()
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			row, _ := tab.Lookup("a")
			if got := fmt.Sprint(row); got != want {
				t.Errorf("row %s, want %s", got, want)
			}
		}
		write("id,v\na,2\n")
		expect("map[id:a v:2]")
		write("id,v\na,3\na,4\n")
		expect("map[id:a v:2]")
		if !strings.Contains(log.String(), path+":3:1: the key") {
			t.Errorf("log: %s", log.String())
		}
		write("id,v\na,5\n")
		expect("map[id:a v:5]")
		cancel()
		<-ended
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"id,n\na,1\n", "[{\"id\":1}]", "{\"id\":1}\n{\"id\":2,\"n\":[]}", "\"a\nb\",\"\n", "id\n\"\r\n\"x\n", "[{}", "\xef\xbb\xbfid\n1"} {
		for _, name := range []string{"t.csv", "t.json", "t.ndjson"} {
			f.Add(name, seed)
		}
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		rows, problems := table.Parse([]byte(text), &table.Spec{File: name, Key: "id", Types: map[string]table.Type{"n": table.Int}})
		lines := strings.Split(text, "\n")
		for _, p := range problems {
			if p.Message == "" || p.About == table.AboutRow && (p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > len(lines[p.Line-1])+1) {
				t.Fatalf("the problem is not in the file: %+v", p)
			}
		}
		for key, row := range rows {
			if m, ok := row.(map[string]any); !ok || key == "" || m["id"] == nil {
				t.Fatalf("row %q is %v", key, row)
			}
		}
	})
}
