package snapshotter

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// saved opens a directory, makes a checkpoint that replaces all older ones, and closes it again.
func saved(t *testing.T, path string, o Options) {
	t.Helper()
	d, err := Open(path, o)
	must(t, err)
	defer d.Close()
	s, err := restore(d)
	must(t, err)
	if len(s.pages[s.shard(0)]) == 0 {
		s.grow(s.shard(0), 1)
	}
	s.whole = true
	must(t, d.Save(ctx, s, nil))
	must(t, d.SweepOrphans(ctx))
}

func intact(t *testing.T, path string, dataDir string) {
	t.Helper()
	c, err := Load(path, LoadOptions{DataDir: dataDir})
	must(t, err)
	defer c.Close()
	must(t, c.Verify(ctx, nil))
}

// Two copies of a job's directory, with one id, over one data directory: the copy is refused, whoever comes first.
func TestCopiedDirectory(t *testing.T) {
	base := t.TempDir()
	a, b, data := filepath.Join(base, "a"), filepath.Join(base, "b"), filepath.Join(base, "data")
	o := Options{DataDir: data}
	saved(t, a, o)
	must(t, os.CopyFS(b, os.DirFS(a)))
	for range 2 {
		_, err := Open(b, o)
		wantErr(t, "Open of the copy", err, meta.ErrIncompatible)
		if !strings.Contains(err.Error(), b+" is a copy of "+a) {
			t.Errorf("Open of the copy: %v", err)
		}
		intact(t, a, data)
		saved(t, a, o)
	}
	if runtime.GOOS != "windows" {
		link := filepath.Join(base, "link") // another name of the same directory is no copy
		must(t, os.Symlink(a, link))
		saved(t, link, o)
		must(t, os.Remove(link))
	}
	own := Options{DataDir: filepath.Join(base, "data of the copy")}
	must(t, os.CopyFS(own.DataDir, os.DirFS(data)))
	must(t, os.RemoveAll(b))
	must(t, os.CopyFS(b, os.DirFS(a)))
	saved(t, b, own)
	intact(t, a, data)

	moved := filepath.Join(base, "moved")
	must(t, os.Rename(a, moved))
	saved(t, moved, o)
	intact(t, moved, data)
	must(t, os.Mkdir(a, 0o700)) // a new job takes the old place
	saved(t, a, Options{DataDir: filepath.Join(base, "other data")})
	must(t, os.Rename(moved, b+"2"))
	saved(t, b+"2", o)

	movedData := Options{DataDir: data + " moved"}
	must(t, os.Rename(data, movedData.DataDir))
	saved(t, b+"2", movedData)
	must(t, os.CopyFS(b+"3", os.DirFS(b+"2")))
	must(t, os.Rename(movedData.DataDir, data))
	_, err := Open(b+"3", o)
	wantErr(t, "Open of a copy over moved data files", err, meta.ErrIncompatible)
	intact(t, b+"2", data)
}

// Two jobs share one data directory. Whatever one does, the files of the other stay.
func TestSharedDataDirectory(t *testing.T) {
	fsys := vfs.NewMem()
	o := Options{FS: fsys, DataDir: "/data"}
	saved(t, "/a", o)
	saved(t, "/b", o)
	mine := func(path string) []string {
		c, err := Load(path, LoadOptions{FS: fsys, DataDir: "/data"})
		must(t, err)
		defer c.Close()
		must(t, c.Verify(ctx, nil))
		return []string{c.Meta.Files[0].Name, homeFile(c.Meta.Job)}
	}
	saved(t, "/b", o)
	d, err := Open("/b", o)
	must(t, err)
	_, err = Open("/a", o)
	wantErr(t, "Open of the other at the same time", err, meta.ErrLocked)
	must(t, d.DiscardAll(ctx))
	must(t, d.Close())
	saved(t, "/b", o)
	names, err := fsys.List("/data")
	must(t, err)
	if want := sorted(slices.Concat(mine("/a"), mine("/b"))); !slices.Equal(names, want) {
		t.Errorf("data directory holds %v, want %v", names, want)
	}
}

// A directory is moved away under a running owner and made anew for another job: the old owner publishes and deletes
// nothing there.
func TestDirectoryMadeAnew(t *testing.T) {
	for _, apart := range []bool{false, true} {
		fsys := vfs.NewMem()
		var o, other Options
		if apart {
			o.DataDir, other.DataDir = "/data/old", "/data/new"
		}
		old := openMem(t, fsys, o)
		s := newFakeStore(1)
		s.grow(s.shard(0), 1)
		must(t, old.Save(ctx, s, nil))
		must(t, fsys.Rename("/state/job", "/state/away"))
		other.FS = fsys
		saved(t, "/state/job", other)
		before := dump(t, fsys, "/state/job")

		s.set(s.shard(0), 0, 0, 2)
		wantErr(t, "Save by the old owner", old.Save(ctx, s, nil), meta.ErrRevoked)
		_, err := old.Retire(ctx)
		wantErr(t, "Retire by the old owner", err, meta.ErrRevoked)
		wantErr(t, "SweepOrphans by the old owner", old.SweepOrphans(ctx), meta.ErrRevoked)
		wantErr(t, "DiscardAll by the old owner", old.DiscardAll(ctx), meta.ErrRevoked)
		wantErr(t, "Rewind by the old owner", old.Rewind(ctx, 1), meta.ErrRevoked)
		must(t, old.Close())
		if after := dump(t, fsys, "/state/job"); len(after) != len(before) {
			t.Errorf("the new owner's directory has %d files, had %d", len(after), len(before))
		}
		c, err := Load("/state/away", LoadOptions{FS: fsys, DataDir: o.DataDir})
		must(t, err)
		must(t, c.Verify(ctx, nil))
		must(t, c.Close())
	}
}

// A home file that was tampered with is damage, and nothing is taken for ours.
func TestDamagedHome(t *testing.T) {
	fsys := vfs.NewMem()
	o := Options{DataDir: "/data"}
	d := openMem(t, fsys, o)
	file := d.dataPath(homeFile(d.Job()))
	must(t, d.Close())
	must(t, fsys.Remove(file))
	must(t, writeFile(fsys, file, []byte("who knows")))
	o.FS = fsys
	_, err := Open("/state/job", o)
	wantErr(t, "Open", err, meta.ErrDamaged)
}
