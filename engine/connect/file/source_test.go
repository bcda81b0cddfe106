package file_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
)

type row struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// stop is a place where a reader can be stopped.
type stop struct {
	records int
	at      engine.Position
}

// drain reads a source's split to its end, from a position, and returns the records, the positions after each Read, and
// how many rows were skipped.
func drain[T any](t testing.TB, src engine.Source[T], from engine.Position) ([]T, []stop, error) {
	t.Helper()
	ctx := t.Context()
	splits, final, err := src.Splits(ctx)
	if err != nil {
		return nil, nil, err
	}
	if len(splits) != 1 || !final {
		t.Fatalf("Splits = %v, %v, want one, true", splits, final)
	}
	r, err := src.Open(ctx, splits[0], from)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}()
	stops := []stop{{at: r.Position()}}
	var all []T
	b := engine.NewBatch[T]()
	for {
		b.Reset()
		err := r.Read(ctx, b)
		all = append(all, b.Records()...)
		stops = append(stops, stop{len(all), r.Position()})
		if err == io.EOF {
			return all, stops, nil
		}
		if err != nil {
			return all, stops, err
		}
	}
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zip(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJSONLines(t *testing.T) {
	two := []row{{1, "a"}, {2, "b"}}
	tests := []struct {
		name, content string
		want          []row
	}{
		{"empty", "", nil},
		{"plain", `{"id":1,"name":"a"}` + "\n" + `{"id":2,"name":"b"}` + "\n", two},
		{"no last line end", `{"id":1,"name":"a"}` + "\n" + `{"id":2,"name":"b"}`, two},
		{"CRLF", `{"id":1,"name":"a"}` + "\r\n" + `{"id":2,"name":"b"}` + "\r\n", two},
		{"byte order mark", "\xef\xbb\xbf" + `{"id":1,"name":"a"}` + "\n" + `{"id":2,"name":"b"}` + "\n", two},
		{"only a byte order mark", "\xef\xbb\xbf", nil},
		{"empty lines", "\n\r\n" + `{"id":1,"name":"a"}` + "\n \t\n\n" + `{"id":2,"name":"b"}` + "\n\n", two},
		{"unknown members", `{"x":[1,{"y":2}],"id":1,"name":"a"}` + "\n" + `{"id":2,"name":"b","z":null}`, two},
		{"names in any case", `{"ID":1,"Name":"a"}` + "\n" + `{"Id":2,"NAME":"b"}`, two},
		{"null and twice", `{"id":null,"name":null}` + "\n" + `{"id":1,"id":2}`, []row{{}, {2, ""}}},
		{"space around", ` {"id":1 , "name":"a"}  ` + "\n", two[:1]},
	}
	for _, tt := range tests {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/gzip=%v", tt.name, packed), func(t *testing.T) {
				content := tt.content
				if packed {
					content = zip(t, content)
				}
				got, _, err := drain(t, file.JSONLines[row](write(t, "in", content)), "")
				if err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("read %v, %v, want %v", got, err, tt.want)
				}
			})
		}
	}
}

func TestGzipMembers(t *testing.T) {
	content := zip(t, `{"id":1}`+"\n") + zip(t, `{"id":2}`+"\n")
	got, _, err := drain(t, file.JSONLines[row](write(t, "in", content)), "")
	if err != nil || len(got) != 2 {
		t.Errorf("read %v, %v, want both members' rows", got, err)
	}
}

type stamp time.Time

func (s *stamp) UnmarshalText(b []byte) error {
	at, err := time.Parse("2006/01/02 15:04", string(b))
	*s = stamp(at)
	return err
}

func TestBadRows(t *testing.T) {
	type rec struct {
		ID    int8  `json:"id"`
		At    stamp `json:"at"`
		Inner struct {
			N uint `json:"n"`
		} `json:"inner"`
		List *[]int `json:"list"`
		On   bool   `json:"on"`
	}
	tests := []struct {
		name, row string
		column    int64
		want      string
	}{
		{"not JSON", `hello`, 1, "invalid character 'h' at start of value"},
		{"cut off", `{"id":1`, 8, "row ends in the middle of its value"},
		{"wrong type", `{"id":"x"}`, 7, `want int8, have a string at /id`},
		{"nested", `{"id":1,"inner":{"n":-1}}`, 22, `want uint, have -1 at /inner/n: invalid syntax`},
		{"out of range", `{"id":300}`, 7, `want int8, have 300 at /id: value out of range`},
		{"text", `{"id":1,"at":"yesterday"}`, 14, `cannot take a string at /at: parsing time "yesterday" as "2006/01/02 15:04": cannot parse "yesterday" as "2006"`},
		{"no text", `{"id":1,"at":5}`, 14, `want a string, have a number at /at: JSON value must be string type`},
		{"no list", `{"id":1,"list":{}}`, 16, `want an array, have an object at /list`},
		{"no switch", `{"id":1,"on":"yes"}`, 14, `want a boolean, have a string at /on`},
		{"trailing", `{"id":1} {"id":2}`, 10, "invalid character '{' after top-level value"},
		{"not an object", `[1]`, 1, "want an object, have an array"},
		{"not UTF-8", "{\"id\":1,\"x\":\"\xff\"}", 14, "invalid UTF-8 at /x"},
		{"too long", `{"id":1,"x":"` + strings.Repeat("y", 200) + `"}`, 101, "row is longer than 100 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "in.jsonl", "{}\n\n"+tt.row+"\n{\"id\":7}\n")
			_, _, err := drain(t, file.JSONLines[rec](path, file.MaxRow(100)), "")
			at, ok := errors.AsType[*file.RowError](err)
			if !ok || !engine.IsPermanent(err) {
				t.Fatalf("err = %v, want a permanent RowError", err)
			}
			if at.File != path || at.Line != 3 || at.Column != tt.column || at.Err.Error() != tt.want {
				t.Errorf("error at %d:%d %q, want 3:%d %q", at.Line, at.Column, at.Err, tt.column, tt.want)
			}
			if want := fmt.Sprintf("%s line 3, column %d: ", path, tt.column); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %q, want it to begin %q", err, want)
			}
			got, _, err := drain(t, file.JSONLines[rec](path, file.MaxRow(100), file.OnError(file.Skip)), "")
			if err != nil || len(got) != 2 || got[0] != (rec{}) || got[1].ID != 7 {
				t.Errorf("with Skip: %v, %v, want the two good rows", got, err)
			}
		})
	}
}

func TestResumeFromEveryPosition(t *testing.T) {
	var lines strings.Builder
	lines.WriteString("\xef\xbb\xbf\n")
	for i := range 300 {
		fmt.Fprintf(&lines, "{\"id\":%d,\"name\":%q}%s", i, strings.Repeat("é", i%7), []string{"\n", "\r\n", "\n\n"}[i%3])
	}
	table := "id,name\n"
	for i := range 300 {
		table += fmt.Sprintf("%d,\"%s\"\n", i, []string{"x", "two\nlines", `quote ""and, comma`}[i%3])
	}
	sources := map[string]func(content string, o ...file.Option) engine.Source[row]{
		"JSON": func(content string, o ...file.Option) engine.Source[row] {
			return file.JSONLines[row](write(t, "in", content), o...)
		},
		"JSON without seeking": func(content string, o ...file.Option) engine.Source[row] {
			open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
			return file.JSONLinesOf[row]("text", func() (io.ReadCloser, error) {
				r, err := open()
				return struct{ io.ReadCloser }{r}, err
			}, o...)
		},
		"CSV": func(content string, o ...file.Option) engine.Source[row] {
			return file.CSV[row](write(t, "in", content), o...)
		},
	}
	for name, open := range sources {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/gzip=%v", name, packed), func(t *testing.T) {
				content := lines.String()
				if name == "CSV" {
					content = table
				}
				if packed {
					content = zip(t, content)
				}
				everyPosition(t, content, open)
			})
		}
	}
}

func everyPosition(t *testing.T, content string, open func(string, ...file.Option) engine.Source[row]) {
	src := open(content)
	all, _, err := drain(t, src, "")
	if err != nil || len(all) != 300 {
		t.Fatalf("read %d, %v, want 300", len(all), err)
	}
	for _, s := range stopsAfterEachRow(t, src) {
		got, stops, err := drain(t, src, s.at)
		if err != nil {
			t.Fatalf("from %q: %v", s.at, err)
		}
		if stops[0].at != s.at {
			t.Errorf("opened at %q, Position = %q", s.at, stops[0].at)
		}
		if len(got) != len(all)-s.records || len(got) > 0 && !reflect.DeepEqual(got, all[s.records:]) {
			t.Errorf("from %q: %d records, want the %d after the first %d", s.at, len(got), len(all)-s.records, s.records)
		}
	}
}

// stopsAfterEachRow fills batches that have room for one.
func stopsAfterEachRow(t *testing.T, src engine.Source[row]) []stop {
	t.Helper()
	splits, _, _ := src.Splits(t.Context())
	r, err := src.Open(t.Context(), splits[0], "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stops := []stop{{0, r.Position()}}
	for n := 1; ; n++ {
		b := engine.NewBatch[row]()
		for b.Next(); !b.Full(); b.Next() {
		}
		b.Undo()
		before := b.Len()
		err := r.Read(t.Context(), b)
		if b.Len() > before {
			stops = append(stops, stop{n, r.Position()})
		}
		if err == io.EOF {
			return stops
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLineNumbersAfterResume(t *testing.T) {
	path := write(t, "in", "{}\n\r\n{}\n")
	src := file.JSONLines[row](path)
	_, stops, err := drain(t, src, "")
	if err != nil {
		t.Fatal(err)
	}
	last := stops[len(stops)-1].at
	if last != "offset=8,line=4" {
		t.Errorf("Position = %q, want offset=8,line=4", last)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "{}\n?\n")
	f.Close()
	_, _, err = drain(t, src, last)
	if at, ok := errors.AsType[*file.RowError](err); !ok || at.Line != 5 {
		t.Errorf("err = %v, want line 5", err)
	}
}

func TestCannotOpen(t *testing.T) {
	path := write(t, "in", "{}\n{}\n")
	packed := write(t, "in.gz", zip(t, "{}\n{}\n"))
	cut := write(t, "cut.gz", zip(t, strings.Repeat("{}\n", 99))[:30])
	tests := []struct {
		name string
		path string
		from engine.Position
		want string
	}{
		{"missing", filepath.Join(filepath.Dir(path), "no"), "", "input " + filepath.Join(filepath.Dir(path), "no") + ": no such file or directory"},
		{"directory", filepath.Dir(path), "", "input " + filepath.Dir(path) + ": is a directory"},
		{"beyond the end", path, "offset=7,line=3", "input " + path + " is shorter than when it was read: it ends before offset 7"},
		{"far beyond the end", path, "offset=7000,line=3", "input " + path + " is shorter than when it was read: it ends before offset 7000"},
		{"beyond the end of gzip", packed, "offset=7,line=3", "input " + packed + " is shorter than when it was read: it ends before offset 7"},
		{"far beyond the end of gzip", packed, "offset=7000,line=3", "input " + packed + " is shorter than when it was read: it ends before offset 7000"},
		{"inside a row", path, "offset=4,line=2", "input " + path + " has changed: no row starts at offset 4 any more"},
		{"another source's position", path, "7", "input " + path + `: position "7": want "offset=N,line=N"`},
		{"negative", path, "offset=-1,line=1", "input " + path + `: position "offset=-1,line=1": want "offset=N,line=N"`},
		{"standard input", "-", "offset=3,line=2", "standard input cannot be read again: the job is to go on at offset=3,line=2"},
		{"damaged", cut, "", "input " + cut + ": damaged gzip data: after offset 297: unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := drain(t, file.JSONLines[row](tt.path), tt.from)
			if err == nil || err.Error() != tt.want || !engine.IsPermanent(err) {
				t.Errorf("err = %v, want permanent %q", err, tt.want)
			}
			if errors.Is(err, fs.ErrNotExist) != (tt.name == "missing") {
				t.Errorf("errors.Is(%v, fs.ErrNotExist) is wrong", err)
			}
		})
	}
}

func TestFileGetsShorter(t *testing.T) {
	path := write(t, "in", strings.Repeat("{}\n", 100_000))
	src := file.JSONLines[row](path)
	r, err := src.Open(t.Context(), engine.Split{ID: path}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(path, 30); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = r.Read(t.Context(), engine.NewBatch[row]())
	}
	if err == io.EOF || !engine.IsPermanent(err) {
		t.Errorf("err = %v, want permanent", err)
	}
}

func TestCSV(t *testing.T) {
	type deep struct {
		Extra string `csv:"extra"`
	}
	type rec struct {
		deep
		N     int32   `csv:"n"`
		U     uint8   `json:"u,omitempty"`
		F     float64 `csv:"f"`
		Yes   bool
		At    stamp  `csv:"at"`
		Maybe *int   `json:"maybe"`
		Skip  string `csv:"-"`
	}
	seven := 7
	at, _ := time.Parse(time.DateOnly, "2001-01-02")
	content := "\xef\xbb\xbff,n,u,Yes,at,maybe,extra,Skip,other\r\n" +
		"1.5,-3,200,true,2001/01/02 00:00,7,\"a,\"\"b\"\"\n c\",x,y\r\n" +
		"\r\n" +
		"0,0,0,false,2001/01/02 00:00,,,,"
	got, _, err := drain(t, file.CSV[rec](write(t, "in.csv", content)), "")
	want := []rec{
		{deep: deep{"a,\"b\"\n c"}, N: -3, U: 200, F: 1.5, Yes: true, At: stamp(at), Maybe: &seven},
		{At: stamp(at)},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
}

func TestBadCSV(t *testing.T) {
	type rec struct {
		N int8   `csv:"n"`
		S string `json:"s"`
	}
	tests := []struct {
		name, content string
		line, column  int64
		want          string
	}{
		{"not a number", "n,s\n1,a\nx,b\n2,c\n", 3, 1, `column "n": want int8, have "x": invalid syntax`},
		{"empty number", "s,n\nb,\na,1\nc,2\n", 2, 3, `column "n": want int8, have "": invalid syntax`},
		{"out of range", "s,n\n\"two\nlines\",300\na,1\nc,2\n", 3, 8, `column "n": want int8, have "300": value out of range`},
		{"too few", "n,s\n1,a\n1\n2,c\n", 3, 1, `1 cells, but the header has 2`},
		{"bare quote", "n,s\n1,a\n1,x\"y\n2,c\n", 3, 4, `bare " in non-quoted-field`},
		{"text after a quote", "n,s\n1,a\n1,\"x\"y\n2,c\n", 3, 5, `extraneous or missing " in quoted-field`},
		{"open quote", "n,s\n1,a\n2,c\n1,\"x\n3,d\n", 4, 5, `extraneous or missing " in quoted-field`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "in.csv", tt.content)
			_, _, err := drain(t, file.CSV[rec](path), "")
			at, ok := errors.AsType[*file.RowError](err)
			if !ok || !engine.IsPermanent(err) {
				t.Fatalf("err = %v, want a permanent RowError", err)
			}
			if at.Line != tt.line && tt.name != "open quote" || at.Column != tt.column && tt.name != "open quote" || at.Err.Error() != tt.want {
				t.Errorf("error at %d:%d %q, want %d:%d %q", at.Line, at.Column, at.Err, tt.line, tt.column, tt.want)
			}
			got, _, err := drain(t, file.CSV[rec](path, file.OnError(file.Skip)), "")
			if err != nil || !reflect.DeepEqual(got, []rec{{1, "a"}, {2, "c"}}) {
				t.Errorf("with Skip: %v, %v, want the two good rows", got, err)
			}
		})
	}
}

func TestBadCSVHeader(t *testing.T) {
	type rec struct {
		N int `csv:"n"`
		S string
	}
	tests := []struct{ name, content, want string }{
		{"missing", "m,S\n", ` line 1, column 1: header: no column "n", which field N wants`},
		{"twice", "n,S,n\n", ` line 1, column 1: header: column "n" appears twice`},
		{"malformed", "n,\"S\n", ` line 1, column 6: extraneous or missing " in quoted-field`},
	}
	for _, tt := range tests {
		_, _, err := drain(t, file.CSV[rec](write(t, "in", tt.content), file.OnError(file.Skip)), "")
		if err == nil || !engine.IsPermanent(err) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: err = %v, want permanent %q", tt.name, err, tt.want)
		}
	}
	if _, _, err := drain(t, file.CSV[int](write(t, "in", "n\n1\n")), ""); !engine.IsPermanent(err) {
		t.Errorf("CSV[int] = %v, want permanent", err)
	}
	type odd struct{ N []int }
	if _, _, err := drain(t, file.CSV[odd](write(t, "in", "N\n1\n")), ""); !engine.IsPermanent(err) {
		t.Errorf("CSV of slices = %v, want permanent", err)
	}
	if _, _, err := drain(t, file.CSV[rec](write(t, "in", "a,b\n1,2\n")), ""); !engine.IsPermanent(err) {
		t.Errorf("CSV without a known column = %v, want permanent", err)
	}
}

// A place before the header, which only empty lines can precede, is one to go on from; a header is never skipped.
func TestCSVHeaderThatHasNotCome(t *testing.T) {
	of := func(content string, o ...file.Option) engine.Source[row] {
		open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
		return file.CSVOf[row]("rows", open, o...)
	}
	if got, _, err := drain(t, of("\n"), "offset=1,line=2"); len(got) != 0 || err != nil {
		t.Errorf("behind the end of empty lines: %v, %v", got, err)
	}
	if got, _, err := drain(t, of("\n\nid,name\n7,a\n"), "offset=1,line=2"); err != nil || !reflect.DeepEqual(got, []row{{7, "a"}}) {
		t.Errorf("between empty lines: %v, %v", got, err)
	}
	if got, _, err := drain(t, of("id,name,long\nid\n7\n", file.OnError(file.Skip), file.MaxRow(5)), ""); err == nil {
		t.Errorf("a header that is too long was skipped: %v", got)
	}
}

func TestRate(t *testing.T) {
	for _, perSecond := range []int{1, 7, 200, 2000, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			n := perSecond * 3
			open := func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(strings.Repeat("{}\n", n))), nil
			}
			start := time.Now()
			got, stops, err := drain(t, file.JSONLinesOf[row]("text", open, file.Rate(perSecond)), "")
			took := time.Since(start)
			if err != nil || len(got) != n {
				t.Fatalf("read %d, %v", len(got), err)
			}
			if took < 2900*time.Millisecond && perSecond > 1 || took > 3100*time.Millisecond {
				t.Errorf("%d rows at %d/s took %v", n, perSecond, took)
			}
			if most := max(1, perSecond/100); stops[1].records > most {
				t.Errorf("the first slice has %d rows at %d/s", stops[1].records, perSecond)
			}
		})
	}
}

func TestRateEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("{}\n{}\n")), nil }
		r, err := file.JSONLinesOf[row]("text", open, file.Rate(1)).Open(t.Context(), engine.Split{ID: "text"}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		r.Read(t.Context(), engine.NewBatch[row]())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		b := engine.NewBatch[row]()
		if err := r.Read(ctx, b); err != nil || b.Len() != 0 {
			t.Errorf("Read = %v with %d records, want nil with none", err, b.Len())
		}
	})
}

// endless is text that never ends, for measuring.
type endless struct {
	line string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		k := copy(p[n:], e.line[e.at:])
		n += k
		e.at = (e.at + k) % len(e.line)
	}
	return len(p), nil
}

func (e *endless) Close() error { return nil }

func BenchmarkJSONLines(b *testing.B) {
	type flight struct {
		Date   string `json:"date"`
		Delay  int32  `json:"delay"`
		Origin string `json:"origin"`
	}
	line := `{"date":"2001/01/01 06:55","delay":-19,"distance":1797,"origin":"LAX","destination":"BNA"}` + "\n"
	benchmark(b, line, file.JSONLinesOf[flight]("text", func() (io.ReadCloser, error) { return &endless{line: line}, nil }))
}

func BenchmarkCSV(b *testing.B) {
	type flight struct {
		Date   string `csv:"date"`
		Delay  int32  `csv:"delay"`
		Origin string `csv:"origin"`
	}
	line := "2001/01/01 06:55,-19,1797,LAX,BNA\n"
	benchmark(b, line, file.CSVOf[flight]("text", func() (io.ReadCloser, error) {
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(strings.NewReader("date,delay,distance,origin,destination\n"), &endless{line: line}), io.NopCloser(nil)}, nil
	}))
}

func benchmark[T any](b *testing.B, line string, src engine.Source[T]) {
	r, err := src.Open(b.Context(), engine.Split{ID: "text"}, "")
	if err != nil {
		b.Fatal(err)
	}
	batch := engine.NewBatch[T]()
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	n := 0
	for b.Loop() {
		if n == batch.Len() {
			batch.Reset()
			if err := r.Read(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			n = 0
		}
		n++
	}
}
