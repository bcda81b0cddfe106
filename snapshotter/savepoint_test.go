package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// export makes a savepoint of the newest checkpoint.
func (w *world) export() error {
	if err := w.open(); err != nil {
		return err
	}
	c, err := w.d.Latest()
	if errors.Is(err, meta.ErrNotFound) {
		return nil // a fault has left nothing to export
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if c.Meta.ID != w.s.base.Checkpoint { // its outcome was unknown; whoever finds it builds on it
		if w.images[c.Meta.ID] == nil { // published again under another number
			w.images[c.Meta.ID] = w.images[w.begun]
			w.begun = c.Meta.ID
		}
		if err := w.restored(openFakeStore(1, c)); err != nil {
			return err
		}
		w.mark(fmt.Sprint("ack ", c.Meta.ID))
	}
	w.names++
	folder := fmt.Sprintf("/user/savepoints/%d", w.names)
	if _, err := c.Export(ctx, folder, ExportOptions{}); err != nil {
		return err
	}
	w.mark("savepoint " + folder)
	return nil
}

// checkSavepoints wants every savepoint that can be seen to be whole, and those that were acknowledged to be there. They
// must stand alone, so they are looked at where they were moved to.
func (w *world) checkSavepoints(left vfs.FS, p promise) error {
	for n := range w.names {
		folder := fmt.Sprintf("/user/savepoints/%d", n+1)
		promised := slices.Contains(p.savepoints, folder)
		moved := "/moved-" + filepath.Base(folder)
		if err := left.Rename(folder, moved); errors.Is(err, fs.ErrNotExist) && !promised {
			continue
		} else if err != nil {
			return fmt.Errorf("savepoint %s: %w", folder, err)
		}
		if _, err := sizeOf(left, moved+"/"+meta.FileName); errors.Is(err, fs.ErrNotExist) && slices.Contains(p.discarded, folder) {
			continue
		}
		c, err := Load(moved, LoadOptions{FS: left})
		if err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
		defer c.Close()
		if err := c.Verify(ctx, nil); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
		s, err := openFakeStore(1, c)
		if err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
		if what := diff(s.pages, w.images[c.Meta.ID]); what != "" {
			return fmt.Errorf("savepoint of checkpoint %d: %s", c.Meta.ID, what)
		}
	}
	return nil
}

// dropSavepoint discards the newest savepoint.
func (w *world) dropSavepoint() error {
	folder := fmt.Sprintf("/user/savepoints/%d", w.names)
	if _, err := sizeOf(w.fs, folder+"/"+meta.FileName); err != nil {
		return nil // a fault has left nothing to discard
	}
	w.mark("discarding-savepoint " + folder)
	_, err := Discard(ctx, folder, Options{FS: w.fs})
	return err
}

// drop discards a checkpoint at rest.
func (w *world) drop(which func([]meta.CheckpointID) meta.CheckpointID) error {
	if err := w.open(); err != nil {
		return err
	}
	ids, err := w.d.List()
	if err != nil || len(ids) < 2 {
		return err
	}
	id := which(ids)
	file := w.d.metaPath(id)
	w.close()
	newest := id == ids[len(ids)-1]
	if newest {
		w.mark(fmt.Sprint("rewinding ", ids[len(ids)-2]))
	}
	o := w.o
	if _, err := Discard(ctx, file, o); err != nil {
		return err
	}
	if newest {
		w.mark(fmt.Sprintf("rewound %d %d", ids[len(ids)-2], id))
	}
	return nil
}

func (w *world) dropOldest() error {
	return w.drop(func(ids []meta.CheckpointID) meta.CheckpointID { return ids[0] })
}

func (w *world) dropNewest() error {
	return w.drop(func(ids []meta.CheckpointID) meta.CheckpointID { return ids[len(ids)-1] })
}

// handled is a checkpoint with a prepared transaction, and some files.
func handled(t *testing.T, fsys vfs.FS) *Checkpoint {
	t.Helper()
	d, err := Open("/state/job", Options{FS: fsys})
	must(t, err)
	t.Cleanup(func() { d.Close() })
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	must(t, d.Save(ctx, s, nil))
	s.set(s.shard(0), 0, 0, 2)
	p, err := d.Begin()
	must(t, err)
	cut := s.freeze()
	p.Add(cut)
	_, err = p.Publish(ctx, &meta.Metadata{Sinks: []meta.Sink{{UID: "out", Txns: []meta.Txn{{Checkpoint: p.ID(), Handle: []byte("h")}}}}})
	must(t, err)
	must(t, cut.Wait(ctx))
	c, err := d.Latest()
	must(t, err)
	return c
}

func TestExport(t *testing.T) {
	mem := vfs.NewMem()
	c := handled(t, mem)
	for _, settled := range []bool{false, true} {
		dir := t.TempDir()
		folder := filepath.Join(dir, "new", "sp")
		var done, total int64
		path, err := c.Export(ctx, folder, ExportOptions{FS: vfs.OS(), Settled: settled, Progress: func(a, b int64) { done, total = a, b }})
		must(t, err)
		if done != total || total != c.Sizes().Stored {
			t.Errorf("progress ended at %d of %d", done, total)
		}
		if path != filepath.Join(folder, meta.FileName) {
			t.Errorf("path %s", path)
		}
		entries, err := os.ReadDir(filepath.Dir(folder))
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("%v beside the savepoint", entries)
		}
		sp, err := Load(folder, LoadOptions{})
		must(t, err)
		must(t, sp.Verify(ctx, nil))
		if sp.Meta.ID != c.Meta.ID || sp.Meta.Job != c.Meta.Job || len(sp.Meta.Sinks) != 1 || (len(sp.Meta.Sinks[0].Txns) == 0) != settled {
			t.Errorf("settled=%t: metadata %+v", settled, sp.Meta)
		}
		must(t, sp.Close())
		_, err = c.Export(ctx, folder, ExportOptions{FS: vfs.OS()})
		wantErr(t, "Export over a savepoint", err, fs.ErrExist)
	}
	if len(c.Meta.Sinks[0].Txns) != 1 {
		t.Error("the checkpoint itself has changed")
	}
	_, err := c.Export(ctx, t.TempDir()+"/chk-9", ExportOptions{FS: vfs.OS()})
	wantErr(t, "Export as a checkpoint", err, meta.ErrIncompatible)
}

// A savepoint shares no file with the job: what is done to one does not reach the other.
func TestExportSharesNothing(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir+"/job", Options{})
	must(t, err)
	defer d.Close()
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	must(t, d.Save(ctx, s, nil))
	c, err := d.Latest()
	must(t, err)
	_, err = c.Export(ctx, dir+"/sp", ExportOptions{})
	must(t, err)
	name := dir + "/sp/" + c.Meta.Files[0].Name
	must(t, os.WriteFile(name, []byte("gone"), 0o600)) // in place
	must(t, c.Verify(ctx, nil))
}

// A savepoint that fails leaves nothing, wherever that is.
func TestExportThatFails(t *testing.T) {
	mem := vfs.NewMem()
	c := handled(t, mem)
	for k := 1; ; k++ {
		fault := vfs.NewFault(vfs.NewMem())
		fault.Fail(k, nil, vfs.Failure{Err: syscall.ENOSPC, Short: true})
		_, err := c.Export(ctx, "/user/sp", ExportOptions{FS: fault})
		if err == nil {
			if k < 10 {
				t.Errorf("only %d calls", k)
			}
			break
		}
		wantErr(t, fmt.Sprintf("Export with call %d failing", k), err, syscall.ENOSPC)
		names, _ := fault.List("/user")
		if len(names) > 0 && !slices.Equal(names, []string{"sp"}) { // the last sync: it is there, and may not stay
			t.Errorf("call %d failed and left %s", k, strings.Join(names, ", "))
		}
	}
	mem2 := vfs.NewMem()
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := c.Export(stopped, "/sp", ExportOptions{FS: mem2}); err == nil {
		t.Error("Export with an ended context worked")
	}
	wantNothing(t, mem2, "/")
}

func wantNothing(t *testing.T, fsys vfs.FS, dir string) {
	t.Helper()
	if names, err := fsys.List(dir); err != nil || len(names) > 0 {
		t.Errorf("%s holds %v, %v", dir, names, err)
	}
}
