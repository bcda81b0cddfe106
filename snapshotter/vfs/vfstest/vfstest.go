// Package vfstest checks that a file system keeps the promises of package vfs.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Run checks a file system inside root, an empty directory that exists.
func Run(t *testing.T, fsys vfs.FS, root string) {
	s := suite{fsys: fsys, root: root}
	t.Run("Files", s.files)
	t.Run("Names", s.names)
	t.Run("Clone", s.clone)
	t.Run("Directories", s.directories)
	t.Run("Lock", s.lock)
}

type suite struct {
	fsys vfs.FS
	root string
}

func (s suite) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

func (s suite) write(t *testing.T, name, content string) {
	t.Helper()
	f, err := s.fsys.Create(name)
	must(t, err)
	_, err = io.WriteString(f, content)
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

func (s suite) read(t *testing.T, name string) string {
	t.Helper()
	f, err := s.fsys.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(b)
}

func (s suite) files(t *testing.T) {
	name := s.path("file")
	f, err := s.fsys.Create(name)
	must(t, err)
	for _, part := range []string{"one ", "two ", "three"} {
		n, err := io.WriteString(f, part)
		must(t, err)
		if n != len(part) {
			t.Errorf("Write(%q) = %d", part, n)
		}
	}
	b := make([]byte, 3)
	_, err = f.ReadAt(b, 4)
	must(t, err)
	if !bytes.Equal(b, []byte("two")) {
		t.Errorf("ReadAt on the writer = %q, want two", b)
	}
	must(t, f.Sync())
	must(t, f.Close())
	if got := s.read(t, name); got != "one two three" {
		t.Errorf("content %q", got)
	}
	_, err = s.fsys.Create(name)
	want(t, "Create of a file that exists", err, fs.ErrExist)
	_, err = s.fsys.Open(s.path("missing"))
	want(t, "Open of a missing file", err, fs.ErrNotExist)
	_, err = s.fsys.Create(s.path("missing", "file"))
	want(t, "Create in a missing directory", err, fs.ErrNotExist)

	r, err := s.fsys.Open(name)
	must(t, err)
	defer r.Close()
	if n, err := r.ReadAt(make([]byte, 10), 8); n != 5 || err != io.EOF {
		t.Errorf("ReadAt over the end = %d, %v, want 5, EOF", n, err)
	}
	if n, err := r.ReadAt(make([]byte, 1), 100); n != 0 || err != io.EOF {
		t.Errorf("ReadAt after the end = %d, %v, want 0, EOF", n, err)
	}
}

func (s suite) names(t *testing.T) {
	a, b, c := s.path("a"), s.path("b"), s.path("c")
	s.write(t, a, "A")
	s.write(t, b, "B")
	want(t, "Rename over a file", s.fsys.Rename(a, b), fs.ErrExist)
	want(t, "Link over a file", s.fsys.Link(a, b), fs.ErrExist)
	if s.read(t, a) != "A" || s.read(t, b) != "B" {
		t.Error("a refused rename changed something")
	}
	want(t, "Rename of a missing file", s.fsys.Rename(s.path("missing"), c), fs.ErrNotExist)
	want(t, "Link of a missing file", s.fsys.Link(s.path("missing"), c), fs.ErrNotExist)
	must(t, s.fsys.Rename(a, c))
	if _, err := s.fsys.Open(a); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("old name after Rename: %v", err)
	}
	must(t, s.fsys.Link(c, a))
	must(t, s.fsys.Remove(c))
	if got := s.read(t, a); got != "A" {
		t.Errorf("linked content %q", got)
	}
	want(t, "Remove of a missing file", s.fsys.Remove(c), fs.ErrNotExist)
	must(t, s.fsys.SyncDir(s.root))
}

// clone checks a file system that clones; one that cannot must say so and leave nothing.
func (s suite) clone(t *testing.T) {
	from, to := s.path("original"), s.path("clone")
	s.write(t, from, "shared")
	f, err := s.fsys.Open(from)
	must(t, err)
	defer f.Close()
	c, err := vfs.Clone(s.fsys, f, to)
	if errors.Is(err, errors.ErrUnsupported) {
		_, err := s.fsys.Open(to)
		want(t, "Open of what could not be cloned", err, fs.ErrNotExist)
		return
	}
	must(t, err)
	must(t, c.Sync())
	must(t, c.Close())
	must(t, s.fsys.Remove(from))
	if got := s.read(t, to); got != "shared" {
		t.Errorf("cloned content %q", got)
	}
	s.write(t, from, "another")
	_, err = vfs.Clone(s.fsys, f, from)
	want(t, "Clone over a file", err, fs.ErrExist)
	if got := s.read(t, from); got != "another" {
		t.Errorf("content after a refused Clone: %q", got)
	}
}

func (s suite) directories(t *testing.T) {
	d := s.path("d")
	must(t, s.fsys.Mkdir(d))
	want(t, "Mkdir twice", s.fsys.Mkdir(d), fs.ErrExist)
	want(t, "Mkdir without a parent", s.fsys.Mkdir(s.path("x", "y")), fs.ErrNotExist)
	if _, err := s.fsys.Open(d); err == nil {
		t.Error("Open of a directory worked")
	}
	for _, name := range []string{"2", "10", "1"} {
		s.write(t, filepath.Join(d, name), name)
	}
	names, err := s.fsys.List(d)
	must(t, err)
	if want := []string{"1", "10", "2"}; !slices.Equal(names, want) {
		t.Errorf("List = %q, want %q", names, want)
	}
	if err := s.fsys.Remove(d); err == nil {
		t.Error("Remove of a full directory worked")
	}
	for _, name := range names {
		must(t, s.fsys.Remove(filepath.Join(d, name)))
	}
	must(t, s.fsys.SyncDir(d))
	must(t, s.fsys.Remove(d))
	_, err = s.fsys.List(d)
	want(t, "List of a missing directory", err, fs.ErrNotExist)
	want(t, "SyncDir of a missing directory", s.fsys.SyncDir(d), fs.ErrNotExist)

	deep := s.path("m", "n", "o")
	must(t, vfs.MkdirAll(s.fsys, deep))
	must(t, vfs.MkdirAll(s.fsys, deep))
	s.write(t, filepath.Join(deep, "file"), "deep")
	if err := vfs.MkdirAll(s.fsys, filepath.Join(deep, "file")); err == nil {
		t.Error("MkdirAll over a file worked")
	}
	must(t, s.fsys.Rename(s.path("m", "n"), s.path("m", "p")))
	if got := s.read(t, s.path("m", "p", "o", "file")); got != "deep" {
		t.Errorf("content after a directory's rename: %q", got)
	}
}

func (s suite) lock(t *testing.T) {
	d := s.path("lock")
	must(t, s.fsys.Mkdir(d))
	first, err := s.fsys.Lock(d)
	must(t, err)
	_, err = s.fsys.Lock(d)
	want(t, "second Lock", err, meta.ErrLocked)
	if names, err := s.fsys.List(d); err != nil || len(names) != 0 {
		t.Errorf("List of a locked directory = %q, %v, want nothing", names, err)
	}
	must(t, first.Close())
	must(t, first.Close())
	second, err := s.fsys.Lock(d)
	must(t, err)
	must(t, vfs.Held(second))
	if s.fsys.Rename(d, s.path("moved")) == nil { // some systems do not let go of a locked directory
		want(t, "Held of a moved directory", vfs.Held(second), meta.ErrRevoked)
		must(t, s.fsys.Mkdir(d))
		want(t, "Held of a directory made anew", vfs.Held(second), meta.ErrRevoked)
	}
	must(t, second.Close())
	_, err = s.fsys.Lock(s.path("missing"))
	want(t, "Lock of a missing directory", err, fs.ErrNotExist)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}
