package file_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

type cells struct {
	Text  string `csv:"text"`
	N     int32  `json:"n,omitempty"`
	F     float64
	On    *bool
	At    time.Time
	Note  *string `json:"note"`
	Other func()  `csv:"-"`
}

// TestCSVSinkRoundTrip reads back what was written, whatever the cells hold.
func TestCSVSinkRoundTrip(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("a,\"\n\t'; é")), 0, 6, -1)
	rapid.Check(t, func(rt *rapid.T) {
		var want []cells
		for range rapid.IntRange(1, 5).Draw(rt, "rows") {
			c := cells{Text: text.Draw(rt, "text"), N: rapid.Int32().Draw(rt, "n"), F: rapid.Float64().Draw(rt, "f"),
				At: time.Unix(rapid.Int64Range(0, 1<<33).Draw(rt, "s"), rapid.Int64Range(0, 1e9-1).Draw(rt, "ns")).UTC()}
			if rapid.Bool().Draw(rt, "has") {
				on, note := rapid.Bool().Draw(rt, "on"), text.Draw(rt, "note")+"."
				c.On, c.Note = &on, &note
			}
			want = append(want, c)
		}
		content := csvOf(t, want...)
		if got := readCSV[cells](t, content); !reflect.DeepEqual(got, want) {
			rt.Fatalf("%q\nreads as %+v\nwas      %+v", content, got, want)
		}
	})
}

// csvOf writes rows into one file.
func csvOf[T any](t *testing.T, rows ...T) string {
	t.Helper()
	fsys := vfs.NewMem()
	s := file.CSVSink[T](outDir, file.OnFS(fsys))
	w, err := s.Open(t.Context(), task(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	txn, err := w.Prepare(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	commit1(t, s, txn)
	names, _ := list(t, fsys)
	return read(t, fsys, names[0])
}

func commit1[T any](t *testing.T, s engine.Sink[T], txn engine.Txn) {
	t.Helper()
	if err := s.Commit(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
}

func readCSV[T any](t *testing.T, content string) []T {
	t.Helper()
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(content))), nil }
	got, _, err := drain(t, file.CSVOf[T]("written", open), "")
	if err != nil {
		t.Fatalf("%q: %v", content, err)
	}
	return got
}

func TestCSVSink(t *testing.T) {
	type one struct{ Name *string }
	empty := ""
	for _, tt := range []struct{ name, got, want string }{
		{"header in each file", csvOf(t, row{ID: 1, Name: "a,b"}), "id,name\n1,\"a,b\"\n"},
		{"one empty cell", csvOf(t, one{}, one{&empty}), "Name\n\"\"\n\"\"\n"},
		{"floats", csvOf(t, struct{ F float32 }{0.1}, struct{ F float32 }{float32(math.Inf(1))}), "F\n0.1\n+Inf\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	if got := readCSV[one](t, csvOf(t, one{}, one{})); len(got) != 2 {
		t.Errorf("two rows of an empty cell are read as %v", got)
	}
}

// TestCSVSinkCommits: the files of one subtask, each with its header, in the order of checkpoints; RequireEmpty and
// Committed know them.
func TestCSVSinkCommits(t *testing.T) {
	fsys := vfs.NewMem()
	s := file.CSVSink[row](outDir, file.OnFS(fsys))
	w := open(t, s, task(1, 0))
	for id := range 3 {
		put(t, w, id)
		txn := prepare(t, w, uint64(1+id))
		if id == 2 {
			s.Recover(t.Context(), task(2, 0), []engine.Txn{txn})
			continue
		}
		commit(t, s, txn)
	}
	want := []string{"id,name", "0,", "id,name", "1,", "id,name", "2,"}
	if got := visibleRows(t, fsys); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	names, hidden := list(t, fsys)
	if len(hidden) > 0 || !strings.HasSuffix(names[0], ".csv") {
		t.Errorf("files %q, hidden %q", names, hidden)
	}
	fresh := task(3, 0)
	fresh.Fresh = true
	if err := file.CSVSink[row](outDir, file.OnFS(fsys), file.RequireEmpty()).Recover(t.Context(), fresh, nil); err == nil {
		t.Error("RequireEmpty takes a folder with committed rows")
	}
	fresh.Discard = fresh.JobID
	if err := s.Recover(t.Context(), fresh, nil); err != nil {
		t.Fatal(err)
	}
	if names, _ := list(t, fsys); len(names) > 0 {
		t.Errorf("a fresh start that discards leaves %q", names)
	}
}

// TestCSVSinkRefuses: what CSV cannot say is told when the job starts, or permanently with the row.
func TestCSVSinkRefuses(t *testing.T) {
	type inner struct{ A int }
	type twice struct {
		A int
		B int `csv:"A"`
	}
	refused := func(name string, err error, parts ...string) {
		t.Helper()
		if !engine.IsPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", name, err)
			return
		}
		for _, p := range parts {
			if !strings.Contains(err.Error(), p) {
				t.Errorf("%s: %v, want %q in it", name, err, p)
			}
		}
	}
	refused("no struct", file.CSVSink[int](outDir).Recover(t.Context(), task(1, 0), nil), "struct", "int")
	refused("nested", file.CSVSink[struct{ In inner }](outDir).Recover(t.Context(), task(1, 0), nil), "field In", "inner")
	refused("no field", file.CSVSink[struct{ a int }](outDir).Recover(t.Context(), task(1, 0), nil), "no field")
	refused("twice", file.CSVSink[twice](outDir).Recover(t.Context(), task(1, 0), nil), "fields A and B", `column "A"`)
	w, err := file.CSVSink[struct{ At time.Time }](outDir, file.OnFS(vfs.NewMem())).Open(t.Context(), task(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	err = w.Write(t.Context(), []struct{ At time.Time }{{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}})
	refused("a time without text", err, `column "At"`, "CSV", fmt.Sprint(outDir))
}
