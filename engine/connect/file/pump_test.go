package file_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
)

// feedStdin puts a pipe in the place of standard input.
func feedStdin(t *testing.T) io.WriteCloser {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stdin
	os.Stdin = r
	t.Cleanup(func() {
		os.Stdin = was
		w.Close()
		r.Close()
	})
	return w
}

func TestStandardInput(t *testing.T) {
	w := feedStdin(t)
	src := file.JSONLines[row]("-")
	splits, final, err := src.Splits(t.Context())
	if err != nil || !final || len(splits) != 1 {
		t.Fatalf("Splits = %v, %v, %v", splits, final, err)
	}
	r, err := src.Open(t.Context(), splits[0], "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := engine.NewBatch[row]()

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := r.Read(ctx, b); err != nil || b.Len() != 0 {
		t.Fatalf("Read of an empty pipe = %v with %d records, want nil with none", err, b.Len())
	}

	io.WriteString(w, "{\"id\":1}\n{\"id\":2}\n{\"id\"")
	if err := r.Read(t.Context(), b); err != nil || b.Len() != 2 {
		t.Fatalf("Read = %v with %d records, want the two that are at hand", err, b.Len())
	}
	if at := r.Position(); at != "offset=18,line=3" {
		t.Errorf("Position = %q", at)
	}
	b.Reset()

	io.WriteString(w, ":3}")
	w.Close()
	for err = nil; err == nil; err = r.Read(t.Context(), b) {
	}
	if err != io.EOF || b.Len() != 1 || b.Records()[0].ID != 3 {
		t.Errorf("Read = %v with %v, want EOF with row 3", err, b.Records())
	}
	if _, err := src.Open(t.Context(), splits[0], ""); err == nil || !engine.IsPermanent(err) || !strings.Contains(err.Error(), "an earlier attempt has read from it") {
		t.Errorf("second Open = %v, want permanent", err)
	}
}

func TestStandardInputPacked(t *testing.T) {
	w := feedStdin(t)
	io.WriteString(w, zip(t, "{\"id\":1}\nx\n"))
	w.Close()
	_, _, err := drain(t, file.JSONLines[row]("-"), "")
	if at, ok := errors.AsType[*file.RowError](err); !ok || at.File != "standard input" || at.Line != 2 {
		t.Errorf("err = %v, want line 2 of standard input", err)
	}
}

func TestStandardInputClosedEarly(t *testing.T) {
	w := feedStdin(t)
	src := file.CSV[row]("-")
	r, err := src.Open(t.Context(), engine.Split{ID: "standard input"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	io.WriteString(w, "id\n1\n")
}

// What can be read once only has no second attempt, whose complaint would hide the first one's.
func TestStandardInputFails(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	was := os.Stdin
	defer func() { os.Stdin = was }()
	os.Stdin = dir
	_, _, err = drain(t, file.JSONLines[row]("-"), "")
	if want := "input standard input: is a directory"; err == nil || err.Error() != want || !engine.IsPermanent(err) {
		t.Errorf("directory: err = %v, want permanent %q", err, want)
	}

	unreadable, err := os.OpenFile(write(t, "out", ""), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unreadable.Close()
	os.Stdin = unreadable
	_, _, err = drain(t, file.JSONLines[row]("-"), "")
	if err == nil || !strings.HasPrefix(err.Error(), "input standard input: ") || !engine.IsPermanent(err) {
		t.Errorf("no reading: err = %v, want a permanent one", err)
	}
}
