package snapshotter

import (
	"maps"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

func TestImport(t *testing.T) {
	for _, linked := range []bool{true, false} {
		files, want := sample(t, 0)
		from := lay(t, files)
		var to vfs.FS = from
		if !linked {
			to = vfs.NewMem()
		}
		c, err := Load("/job", LoadOptions{FS: from})
		must(t, err)
		d := openMem(t, to, Options{Name: "mine"})
		var done, total int64
		own, err := d.Import(ctx, c, func(a, b int64) { done, total = a, b })
		must(t, err)
		must(t, c.Close())
		if done != total || total != own.Sizes().Stored {
			t.Errorf("progress ended at %d of %d", done, total)
		}
		if own.Meta.Job != d.Job() || own.Meta.Name != "mine" || own.Meta.ID != 3 {
			t.Errorf("imported as %+v", own.Meta)
		}
		must(t, own.Verify(ctx, nil))
		s, err := openFakeStore(1, own)
		must(t, err)
		must(t, own.Close())
		if what := diff(s.pages, want); what != "" {
			t.Error(what)
		}
		s.set(s.shard(0), 0, 0, 9)
		must(t, d.Save(ctx, s, nil))
		s.whole = true
		must(t, d.Save(ctx, s, nil))
		must(t, onlyNamed(d))
		if after := dump(t, from, "/job"); !maps.EqualFunc(after, files, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Errorf("linked=%v: the outside checkpoint was touched", linked)
		}
	}
}

func TestRewind(t *testing.T) {
	fsys := vfs.NewMem()
	d := openMem(t, fsys, Options{Retained: 3})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	var images []image
	for i := range byte(3) {
		s.set(s.shard(0), 0, 0, i)
		must(t, d.Save(ctx, s, nil))
		images = append(images, s.pages.clone())
	}
	wantErr(t, "Rewind to nothing", d.Rewind(ctx, 9), meta.ErrNotFound)
	must(t, d.Rewind(ctx, 1))
	must(t, d.Close())
	d = openMem(t, fsys, Options{Retained: 3})
	got, err := restore(d)
	must(t, err)
	if what := diff(got.pages, images[0]); what != "" {
		t.Error(what)
	}
	must(t, d.Save(ctx, got, nil))
	ids, err := d.List()
	must(t, err)
	if len(ids) != 2 || ids[1] != 4 {
		t.Errorf("checkpoints %v, want 1 and 4", ids)
	}
	must(t, onlyNamed(d))
}

func TestPinKeeps(t *testing.T) {
	fsys := vfs.NewMem()
	d := openMem(t, fsys, Options{})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	must(t, d.Save(ctx, s, nil))
	c, err := d.Latest()
	must(t, err)
	s.whole = true
	for range 3 {
		must(t, d.Save(ctx, s, nil))
	}
	must(t, c.Verify(ctx, nil))
	if ids, _ := d.List(); len(ids) != 2 {
		t.Errorf("checkpoints %v, want the pinned one and the newest", ids)
	}
	must(t, c.Close())
	_, err = d.Retire(ctx)
	must(t, err)
	if ids, _ := d.List(); len(ids) != 1 {
		t.Errorf("checkpoints %v, want the newest", ids)
	}
}

// Files of another job and of anybody else stay, whatever is deleted.
func TestForeignFilesStay(t *testing.T) {
	fsys := vfs.NewMem()
	d := openMem(t, fsys, Options{})
	foreign := []string{"/state/job/" + dataName(77, 1, 1), "/state/job/notes.txt", "/state/job/x.delta", "/state/job/" + dataName(d.Job(), 1, 1) + ".bak"}
	for _, name := range foreign {
		must(t, writeFile(fsys, name, []byte("mine")))
	}
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	must(t, d.Save(ctx, s, nil))
	must(t, d.SweepOrphans(ctx))
	must(t, d.DiscardAll(ctx))
	for _, name := range foreign {
		if _, err := readFile(fsys, name, 10); err != nil {
			t.Error(err)
		}
	}
}
