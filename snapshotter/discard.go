package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// Rewind removes the checkpoints newer than id, newest first, each durably, so that id becomes the newest. The newest
// folder stays, empty, until a later commit: ids must not be given out twice. It fails with meta.ErrNotFound or
// meta.ErrDamaged, and removes nothing, if id cannot be read. Call Revoke before it.
func (d *Dir) Rewind(ctx context.Context, id meta.CheckpointID) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if _, err := d.readMeta(id); err != nil {
		return fmt.Errorf("rewind to checkpoint %d: %w", id, notFound(err))
	}
	ids, err := d.folders()
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.current = nil
	d.mu.Unlock()
	for _, newer := range slices.Backward(ids) {
		if newer <= id {
			break
		}
		if err := d.removeMeta(newer); err != nil {
			return err
		}
		if err := d.fs.SyncDir(d.chkPath(newer)); err != nil { // guard: sync-rewound
			return err
		}
	}
	return nil
}

// DiscardAll removes every checkpoint and every data file of this job, and gives the directory a new identity, so that no
// later file can be taken for one of these. The directory and foreign files stay. The Dir can be used on.
func (d *Dir) DiscardAll(ctx context.Context) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	ids, err := d.folders()
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.current = nil
	clear(d.unknown)
	clear(d.pinned)
	d.mu.Unlock()
	for _, id := range ids { // oldest first: a crash half way must not make an old one the newest in silence
		if err := d.removeFolders([]meta.CheckpointID{id}); err != nil {
			return err
		}
	}
	if err := d.sweep(ctx, ^meta.CheckpointID(0)); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.o.DataDir); err != nil { // guard: sync-discarded
		return err
	}
	if err := remove(d.fs, filepath.Join(d.path, jobFile)); err != nil {
		return err
	}
	if err := remove(d.fs, d.dataPath(homeFile(d.Job()))); err != nil {
		return err
	}
	if err := d.becomeNew(); err != nil {
		return err
	}
	return d.moveIn()
}

// notFound turns a missing file into meta.ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", meta.ErrNotFound, err)
	}
	return err
}
