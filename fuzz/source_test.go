package fuzz

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
)

// row is what the sources read.
type row struct {
	ID   int    `json:"id" csv:"id"`
	Name string `json:"name"`
	Rate *float64
}

// The bits of a source target's first byte.
const (
	asCSV     = 1
	skipRows  = 2
	shortRows = 4
	zipped    = 8
)

// FuzzSource reads files of any bytes as JSON Lines or CSV. A reader that starts at a position which another one gave
// must go on with the very next record: checkpoints rely on it.
func FuzzSource(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 4<<10 {
			return
		}
		src := sourceOf(b[0], content(b[0], b[1:]))
		all, stops, err := drain(src, "", len(b))
		rowFault(t, b[0], err)
		for _, at := range stops {
			rest, _, again := drain(src, at.position, len(b))
			if fmt.Sprint(again) != fmt.Sprint(err) {
				t.Fatalf("from %q: %v, at first %v", at.position, again, err)
			}
			if !reflect.DeepEqual(rest, append([]row{}, all[at.records:]...)) {
				t.Fatalf("from %q: %d records, want %d", at.position, len(rest), len(all)-at.records)
			}
		}
	})
}

// content is the file; one that is to be compressed is.
func content(how byte, b []byte) []byte {
	if how&zipped == 0 {
		return b
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func sourceOf(how byte, b []byte) engine.Source[row] {
	var o []file.Option
	if how&skipRows != 0 {
		o = append(o, file.OnError(file.Skip))
	}
	if how&shortRows != 0 {
		o = append(o, file.MaxRow(24))
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	if how&asCSV != 0 {
		return file.CSVOf[row]("rows", open, o...)
	}
	return file.JSONLinesOf[row]("rows", open, o...)
}

// rowFault accepts the errors that rows may have: with rows skipped only those of the file as a whole.
func rowFault(t *testing.T, how byte, err error) {
	var bad *file.RowError
	switch {
	case err == nil:
	case errors.As(err, &bad) && (bad.Line < 1 || bad.Column < 0):
		t.Fatalf("error at line %d, column %d: %v", bad.Line, bad.Column, err)
	case errors.As(err, &bad) && how&skipRows != 0 && how&asCSV == 0:
		t.Fatalf("a row was not skipped: %v", err)
	}
}

// stop is a place where a reader can be stopped.
type stop struct {
	position engine.Position
	records  int
}

// drain reads from a position to the end, or to an error. It fails a reader that does not end.
func drain(src engine.Source[row], from engine.Position, bytes int) (all []row, stops []stop, err error) {
	ctx := context.Background()
	splits, _, err := src.Splits(ctx)
	if err != nil {
		return nil, nil, err
	}
	r, err := src.Open(ctx, splits[0], from)
	if err != nil {
		return []row{}, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	all, stops = []row{}, []stop{{r.Position(), 0}}
	b := engine.NewBatch[row]()
	for range bytes + 10 {
		b.Reset()
		err := r.Read(ctx, b)
		all = append(all, b.Records()...)
		if err != nil && err != io.EOF {
			return all, stops, err // after an error nobody asks for the position
		}
		stops = append(stops, stop{r.Position(), len(all)})
		if err == io.EOF {
			return all, stops, nil
		}
	}
	panic("the reader does not end")
}

func TestCorpusOfSource(t *testing.T) {
	corpus(t, "FuzzSource", 40, func(r *rand.Rand) []byte {
		how := byte(r.IntN(16))
		b := []byte{how}
		if how&asCSV != 0 {
			b = append(b, "id,name,Rate\n"...)
		}
		pieces := []string{`{"id":1,"name":"a"}`, `{"ID":2}`, `{"Rate":1e3}`, "{", "null", "[1]", "1,a,0.5", `2,"b,""c",`, "\"3\n4\",x,1", "x,y,z", "", " ", "\r", "\xff", "\ufeff", `{"name":"` + textOf(1, 40) + `"}`}
		for range r.IntN(9) {
			b = append(b, pieces[r.IntN(len(pieces))]...)
			b = append(b, []string{"\n", "\r\n", "\n\n", ""}[r.IntN(4)]...)
		}
		return b
	})
}
