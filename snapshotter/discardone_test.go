package snapshotter

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// three makes checkpoints 1 and 2, which share a file, and 3, which stands alone.
func three(t *testing.T, fsys vfs.FS, o Options) {
	t.Helper()
	o.Retained = 3
	d := openMem(t, fsys, o)
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	must(t, d.Save(ctx, s, nil))
	s.set(s.shard(0), 0, 0, 2)
	must(t, d.Save(ctx, s, nil))
	s.whole = true
	must(t, d.Save(ctx, s, nil))
	must(t, d.Close())
}

func TestDiscard(t *testing.T) {
	for _, data := range []string{"", "/data/job"} {
		fsys := vfs.NewMem()
		o := Options{DataDir: data}
		three(t, fsys, o)
		o.FS = fsys
		gone, err := Discard(ctx, "/state/job/chk-1", o)
		must(t, err)
		if gone.ID != 1 || gone.Savepoint || gone.Files != 0 || gone.Next != 0 {
			t.Errorf("discarded %+v: its file is checkpoint 2's too", gone)
		}
		gone, err = Discard(ctx, "/state/job/chk-3/_metadata", o)
		must(t, err)
		if gone.Files != 1 || gone.Bytes == 0 || gone.Next != 2 || gone.Path != "/state/job/chk-3/_metadata" {
			t.Errorf("discarded %+v", gone)
		}
		d := openMem(t, fsys, o)
		must(t, onlyNamed(d))
		s, err := restore(d)
		must(t, err)
		must(t, d.Save(ctx, s, nil))
		if s.base.Checkpoint != 4 {
			t.Errorf("checkpoint %d follows the discarded 3", s.base.Checkpoint)
		}
		_, err = Discard(ctx, "/state/job/chk-4", o)
		wantErr(t, "Discard under a running job", err, meta.ErrLocked)
		must(t, d.Close())
		gone, err = Discard(ctx, "/state/job/chk-4", o)
		must(t, err)
		if gone.Files != 2 || gone.Next != 0 {
			t.Errorf("discarded the last: %+v", gone)
		}
	}
}

// Pages in the metadata have no file to delete, and files from before a data directory lie beside the metadata.
func TestDiscardOtherPolicies(t *testing.T) {
	fsys := vfs.NewMem()
	three(t, fsys, Options{Embed: 1 << 20})
	c, err := Load("/state/job", LoadOptions{FS: fsys})
	must(t, err)
	_, err = c.Export(ctx, "/sp", ExportOptions{})
	must(t, err)
	for _, path := range []string{"/sp", "/state/job/chk-1"} {
		gone, err := Discard(ctx, path, Options{FS: fsys})
		must(t, err)
		if gone.Files != 0 || gone.Elsewhere != nil || gone.Left != nil {
			t.Errorf("discarded %+v", gone)
		}
	}
	must(t, c.Verify(ctx, nil))

	fsys = vfs.NewMem()
	three(t, fsys, Options{})
	must(t, vfs.MkdirAll(fsys, "/data/job"))
	gone, err := Discard(ctx, "/state/job/chk-3", Options{FS: fsys, DataDir: "/data/job"})
	must(t, err)
	if gone.Files != 1 || gone.Elsewhere != nil {
		t.Errorf("discarded %+v", gone)
	}
}

func TestDiscardRefuses(t *testing.T) {
	fsys := vfs.NewMem()
	three(t, fsys, Options{})
	must(t, fsys.Mkdir("/empty"))
	must(t, writeFile(fsys, "/empty/notes", nil))
	before := dump(t, fsys, "/state")
	for path, target := range map[string]error{
		"/state/job": meta.ErrNotFound, "/state": meta.ErrNotFound, "/state/job/chk-7": meta.ErrNotFound, "/empty": meta.ErrNotFound,
		"/empty/notes": meta.ErrNotFound, "/state/job/chk-9/_metadata": meta.ErrNotFound, "hdfs://x/chk-1": meta.ErrIncompatible,
	} {
		_, err := Discard(ctx, path, Options{FS: fsys})
		wantErr(t, "Discard "+path, err, target)
	}
	_, err := Discard(ctx, "/state/job/chk-1", Options{FS: fsys, DataDir: "/nowhere"})
	wantErr(t, "Discard with data files nowhere", err, meta.ErrNotFound)
	if !maps.EqualFunc(dump(t, fsys, "/state"), before, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("the refused calls have changed something")
	}
}

// A damaged checkpoint can be discarded; beside a damaged one nothing else can.
func TestDiscardDamaged(t *testing.T) {
	fsys := vfs.NewMem()
	three(t, fsys, Options{})
	must(t, fsys.Remove("/state/job/chk-2/_metadata"))
	must(t, writeFile(fsys, "/state/job/chk-2/_metadata", []byte("broken")))
	before := len(dump(t, fsys, "/state"))
	_, err := Discard(ctx, "/state/job/chk-1", Options{FS: fsys})
	wantErr(t, "Discard beside a damaged checkpoint", err, meta.ErrDamaged)
	d := openMem(t, fsys, Options{})
	_, err = d.Garbage(ctx)
	wantErr(t, "Garbage", err, meta.ErrDamaged)
	wantErr(t, "SweepOrphans", d.SweepOrphans(ctx), meta.ErrDamaged)
	must(t, d.Close())
	if n := len(dump(t, fsys, "/state")); n != before {
		t.Errorf("%d files, had %d", n, before)
	}
	gone, err := Discard(ctx, "/state/job/chk-2", Options{FS: fsys})
	must(t, err)
	if gone.Files != 0 {
		t.Errorf("discarded %+v", gone)
	}
	d = openMem(t, fsys, Options{Retained: 3})
	list, err := d.Garbage(ctx)
	must(t, err)
	if len(list) != 1 || list[0].Bytes == 0 || list[0].Path != d.dataPath(dataName(d.Job(), 1, 2)) {
		t.Errorf("garbage %+v, want the data file of checkpoint 2", list)
	}
	must(t, d.SweepOrphans(ctx))
	must(t, onlyNamed(d))
}

func TestDiscardSavepoint(t *testing.T) {
	fsys := vfs.NewMem()
	c := handled(t, fsys)
	for _, foreign := range []bool{false, true} {
		_, err := c.Export(ctx, "/user/sp", ExportOptions{})
		must(t, err)
		if foreign {
			must(t, writeFile(fsys, "/user/sp/notes.txt", nil))
			must(t, writeFile(fsys, "/user/sp/"+dataName(77, 1, 1), nil))
		}
		stopped, stop := context.WithCancel(ctx)
		stop()
		if _, err := Discard(stopped, "/user/sp", Options{FS: fsys}); err == nil {
			t.Error("Discard with an ended context worked")
		}
		gone, err := Discard(ctx, "/user/sp", Options{FS: fsys})
		must(t, err)
		if !gone.Savepoint || gone.Files != 2 || (len(gone.Left) == 2) != foreign || gone.Elsewhere != nil {
			t.Errorf("discarded %+v", gone)
		}
	}
	must(t, c.Verify(ctx, nil)) // the job's own files are others
	must(t, fsys.Remove("/user/sp/notes.txt"))
	must(t, writeFile(fsys, "/user/sp/_metadata", []byte("broken")))
	_, err := Discard(ctx, "/user/sp", Options{FS: fsys})
	wantErr(t, "Discard of a damaged savepoint", err, meta.ErrDamaged)
}

func TestGarbage(t *testing.T) {
	fsys := vfs.NewMem()
	three(t, fsys, Options{})
	must(t, fsys.Mkdir("/state/job/chk-0")) // not one of ours
	d := openMem(t, fsys, Options{Retained: 3})
	must(t, fsys.Remove("/state/job/chk-1/_metadata"))
	must(t, writeFile(fsys, d.dataPath(dataName(d.Job(), 9, 9)), []byte("12345")))
	must(t, writeFile(fsys, d.dataPath(dataName(8, 9, 9)), []byte("another job's")))
	must(t, fsys.Mkdir("/state/job/chk-8")) // newer than the newest: its id is used
	must(t, d.Close())
	d = openMem(t, fsys, Options{Retained: 3}) // who finds it has not begun it
	list, err := d.Garbage(ctx)
	must(t, err)
	var found []string
	for _, g := range list {
		found = append(found, strings.TrimPrefix(g.Path, "/state/job/"))
	}
	if want := []string{"chk-1", dataName(d.Job(), 9, 9)}; !slices.Equal(found, want) || list[1].Bytes != 5 {
		t.Errorf("garbage %+v, want %v", list, want)
	}
	must(t, d.SweepOrphans(ctx))
	if list, err = d.Garbage(ctx); err != nil || len(list) > 0 {
		t.Errorf("garbage after the sweep %+v, %v", list, err)
	}
	wantNames(t, fsys, append([]string{"_job", "chk-0", "chk-2", "chk-3", "chk-8", dataName(8, 9, 9)},
		dataName(d.Job(), 1, 1), dataName(d.Job(), 1, 2), dataName(d.Job(), 1, 3))...)
	if _, err := OpenExisting("/state", Options{FS: fsys}); err == nil {
		t.Error("opened what is no job's directory")
	}
	if _, err := fsys.List("/nowhere"); err == nil {
		t.Error("made a directory")
	}
}
