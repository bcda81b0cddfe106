//go:build unix

package snapshotter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// linked makes three checkpoints of a job, the last as the working directory's parent, and every way to name the first.
func linked(t *testing.T) (job string) {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	job = filepath.Join(base, "job")
	d, err := Open(job, Options{Retained: 3})
	must(t, err)
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	for range 3 {
		s.set(s.shard(0), 0, 0, 2)
		must(t, d.Save(ctx, s, nil))
	}
	must(t, d.Close())
	must(t, os.Mkdir(filepath.Join(job, "chk-1", "sub"), 0o700))
	must(t, os.Symlink(filepath.Join(job, "chk-1"), filepath.Join(base, "last")))
	must(t, os.Symlink("chk-1", filepath.Join(job, "old")))
	must(t, os.Symlink(job, filepath.Join(base, "alias")))
	return job
}

// ways to name checkpoint 1: the working directory, below the one of all, and the path.
var ways = []struct{ dir, path string }{
	{"job/chk-1", "."}, {"job/chk-1", "_metadata"}, {"job/chk-1", "./_metadata"}, {"job/chk-1/sub", ".."}, {"job/chk-1/sub", "../_metadata"},
	{"job", "chk-1"}, {"job", "old"}, {"job", "old/_metadata"}, {".", "last"}, {".", "last/_metadata"}, {".", "alias/old"}, {".", "job/chk-1"},
	{"job/old", "."}, {"last", "_metadata"},
}

// A checkpoint is found, and known for its job's, whatever leads to it.
func TestLoadByAnyPath(t *testing.T) {
	for _, way := range ways {
		t.Run(way.dir+" "+way.path, func(t *testing.T) {
			job := linked(t)
			t.Chdir(filepath.Join(filepath.Dir(job), way.dir))
			c, err := Load(way.path, LoadOptions{})
			must(t, err)
			defer c.Close()
			home, err := filepath.Abs(filepath.Dir(filepath.Dir(c.Path)))
			must(t, err)
			if c.Meta.ID != 1 || !c.InJobDir() || home != job {
				t.Errorf("checkpoint %d of %s, in a job's directory: %t; want 1 of %s", c.Meta.ID, home, c.InJobDir(), job)
			}
		})
	}
}

// A path that says where the checkpoint lies is shown as it was written.
func TestPathStays(t *testing.T) {
	job := linked(t)
	t.Chdir(filepath.Dir(job))
	for path, want := range map[string]string{
		"job/chk-1": "job/chk-1/_metadata", "./job/": "job/chk-3/_metadata", "alias/chk-1/_metadata": "alias/chk-1/_metadata", "last": job + "/chk-1/_metadata",
	} {
		c, err := Load(path, LoadOptions{})
		must(t, err)
		if c.Path != want {
			t.Errorf("%s is shown as %s, want %s", path, c.Path, want)
		}
		must(t, c.Close())
	}
	_, err := Load("nowhere/_metadata", LoadOptions{FS: vfs.OS()})
	wantErr(t, "Load of nothing", err, meta.ErrNotFound)
}

// A job's checkpoint is discarded as one, under the lock, whatever leads to it.
func TestDiscardByAnyPath(t *testing.T) {
	for _, way := range ways {
		t.Run(way.dir+" "+way.path, func(t *testing.T) {
			job := linked(t)
			t.Chdir(filepath.Join(filepath.Dir(job), way.dir))
			d, err := Open(job, Options{Retained: 3})
			must(t, err)
			_, err = Discard(ctx, way.path, Options{})
			wantErr(t, "Discard under an owner", err, meta.ErrLocked)
			_, err = d.readMeta(1)
			must(t, err)
			must(t, d.Close())
			gone, err := Discard(ctx, way.path, Options{})
			must(t, err)
			if gone.Savepoint || gone.ID != 1 {
				t.Errorf("discarded %+v, want checkpoint 1 of the job", gone)
			}
		})
	}
}

// A savepoint in a job's directory stays while that has an owner.
func TestDiscardSavepointInJob(t *testing.T) {
	job := linked(t)
	c, err := Load(job, LoadOptions{})
	must(t, err)
	defer c.Close()
	place := filepath.Join(job, "mine")
	_, err = c.Export(ctx, place, ExportOptions{})
	must(t, err)
	d, err := Open(job, Options{Retained: 3})
	must(t, err)
	_, err = Discard(ctx, place, Options{})
	wantErr(t, "Discard under an owner", err, meta.ErrLocked)
	must(t, d.Close())
	gone, err := Discard(ctx, place, Options{})
	must(t, err)
	if !gone.Savepoint || len(gone.Left) > 0 {
		t.Errorf("discarded %+v", gone)
	}
}
