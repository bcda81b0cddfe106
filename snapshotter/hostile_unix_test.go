//go:build unix

package snapshotter

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// What lies under the name of a file and is none is refused at once: it is not followed, not waited for, not read. A
// second name of the right file is harmless: its bytes are checked like any.
func TestNotRegularFiles(t *testing.T) {
	kinds := []struct {
		name string
		make func(t *testing.T, name, right string) // right is the file that was there
		fine bool
	}{
		{"symbolic link to the right file", func(t *testing.T, name, right string) { must(t, os.Symlink(right, name)) }, false},
		{"symbolic link to nothing", func(t *testing.T, name, _ string) { must(t, os.Symlink(name+".gone", name)) }, false},
		{"symbolic link to itself", func(t *testing.T, name, _ string) { must(t, os.Symlink(name, name)) }, false},
		{"symbolic link to a device", func(t *testing.T, name, _ string) { must(t, os.Symlink("/dev/zero", name)) }, false},
		{"FIFO", func(t *testing.T, name, _ string) { must(t, unix.Mkfifo(name, 0o600)) }, false},
		{"socket", listen, false},
		{"directory", func(t *testing.T, name, _ string) { must(t, os.Mkdir(name, 0o700)) }, false},
		{"hard link", func(t *testing.T, name, right string) { must(t, os.Link(right, name)) }, true},
	}
	for _, kind := range kinds {
		for _, file := range []string{"data", meta.FileName, jobFile} {
			t.Run(kind.name+"/"+file, func(t *testing.T) {
				dir := t.TempDir()
				job, data := filepath.Join(dir, "j"), filepath.Join(dir, "d")
				d, err := Open(job, Options{DataDir: data})
				must(t, err)
				s := newFakeStore(1)
				s.grow(s.shard(0), 1)
				must(t, d.Save(ctx, s, nil))
				name := map[string]string{
					"data": d.dataPath(dataName(d.Job(), 1, 1)), meta.FileName: d.metaPath(1), jobFile: filepath.Join(job, jobFile),
				}[file]
				must(t, d.Close())
				right := filepath.Join(dir, "r")
				must(t, os.Rename(name, right))
				kind.make(t, name, right)
				if err := openAll(job, data); (err == nil) != kind.fine || err != nil && !errors.Is(err, meta.ErrDamaged) {
					t.Errorf("%v, want %v unless it is fine", err, meta.ErrDamaged)
				}
			})
		}
	}
}

// A folder of another job that is linked into a job's directory is not the job's, and is not deleted with what is.
func TestLinkedFolder(t *testing.T) {
	dir := t.TempDir()
	save := func(job string, times int) {
		d, err := Open(filepath.Join(dir, job), Options{})
		must(t, err)
		defer d.Close()
		s, err := restore(d)
		must(t, err)
		for range times {
			s.grow(s.shard(0), 1)
			must(t, d.Save(ctx, s, nil))
		}
		must(t, d.SweepOrphans(ctx))
	}
	save("other", 1)
	save("mine", 3)
	for _, name := range []string{"chk-1", "chk-9"} {
		must(t, os.Symlink(filepath.Join(dir, "other", "chk-1"), filepath.Join(dir, "mine", name)))
	}
	save("mine", 3)
	c, err := Load(filepath.Join(dir, "other"), LoadOptions{})
	must(t, err)
	defer c.Close()
	must(t, c.Verify(ctx, nil))
	mine, err := Load(filepath.Join(dir, "mine"), LoadOptions{})
	must(t, err)
	defer mine.Close()
	if mine.Meta.ID != 6 {
		t.Errorf("newest is %d, want 6", mine.Meta.ID)
	}
}

// listen makes a socket, whose path must be short.
func listen(t *testing.T, name, _ string) {
	t.Chdir(filepath.Dir(name))
	l, err := net.Listen("unix", filepath.Base(name))
	must(t, err)
	t.Cleanup(func() { l.Close() })
}

// openAll opens a job's directory as a run does, and restores.
func openAll(job, data string) error {
	d, err := Open(job, Options{DataDir: data})
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := restore(d); err != nil {
		return err
	}
	c, err := Load(job, LoadOptions{FS: vfs.OS(), DataDir: data})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Verify(ctx, nil)
}
