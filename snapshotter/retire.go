package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// Retire removes the checkpoints that are beyond Options.Retained and then every data file that no remaining metadata
// names: steps 9 and 10 of the order. The newest and pinned ones stay, and those of unknown outcome until a later one has
// committed. It does nothing before this Dir has committed or restored a checkpoint, and deletes no data file unless every
// metadata could be read.
func (d *Dir) Retire(ctx context.Context) (removed []meta.CheckpointID, err error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	newest := d.newest()
	d.mu.Unlock()
	if newest == 0 {
		return nil, nil
	}
	ids, err := d.folders()
	if err != nil {
		return nil, err
	}
	kept := 0
	for _, id := range slices.Backward(ids) {
		switch has, err := d.hasMeta(id); {
		case err != nil:
			return nil, err
		case id > newest:
		case has && kept < d.o.Retained && !d.isUnknown(id): // one that may not be durable takes no place of one that is
			kept++
		case d.mustKeep(id):
		default:
			removed = append(removed, id)
		}
	}
	slices.Reverse(removed) // oldest first: what a crash leaves has no gaps
	// step 9: the older metadata is gone, durably
	if err := d.removeFolders(removed); err != nil {
		return nil, err
	}
	// step 10: nobody names these files any more
	return removed, d.sweep(ctx, newest)
}

// newest is the id that everything older has to make room for. The caller holds mu.
func (d *Dir) newest() meta.CheckpointID {
	if d.current == nil {
		return 0
	}
	return d.current.ID
}

func (d *Dir) mustKeep(id meta.CheckpointID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pinned[id] > 0 || d.unknown[id] != nil && d.newest() < id
}

func (d *Dir) isUnknown(id meta.CheckpointID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unknown[id] != nil
}

func (d *Dir) hasMeta(id meta.CheckpointID) (bool, error) {
	f, err := d.fs.Open(d.metaPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// removeFolders deletes checkpoints durably, in the order given. A folder with somebody else's files in it stays.
func (d *Dir) removeFolders(ids []meta.CheckpointID) error {
	for _, id := range ids {
		if err := d.removeMeta(id); err != nil {
			return err
		}
		if err := d.fs.Remove(d.chkPath(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			if err := d.fs.SyncDir(d.chkPath(id)); err != nil { // guard: sync-removed-meta
				return err
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return d.fs.SyncDir(d.path) // guard: sync-removed-folders
}

func (d *Dir) removeMeta(id meta.CheckpointID) error {
	if err := remove(d.fs, d.metaPath(id)); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.named, id)
	delete(d.unknown, id)
	d.mu.Unlock()
	return remove(d.fs, filepath.Join(d.chkPath(id), metaTemp))
}

// sweep deletes the data files of this job, older than limit, that nothing names. It needs every metadata to be sure.
func (d *Dir) sweep(ctx context.Context, limit meta.CheckpointID) error {
	keep, err := d.allNamed()
	if err != nil {
		return fmt.Errorf("no data file was deleted: %w", err)
	}
	files, err := d.dataFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.checkpoint >= limit || keep[filepath.Base(f.path)] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := remove(d.fs, f.path); err != nil {
			return err
		}
	}
	return nil
}

// allNamed collects the data files that any metadata in the directory, any checkpoint under way or of unknown outcome
// names. The newest checkpoint counts even if its folder was not there yet when the folders were listed: one that it
// builds on may have been retired since by somebody else. What is committed later names no other older files.
func (d *Dir) allNamed() (map[string]bool, error) {
	ids, err := d.folders()
	if err != nil {
		return nil, err
	}
	keep := map[string]bool{}
	for _, id := range ids {
		names, err := d.namedBy(id)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		maps.Copy(keep, names)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		maps.Copy(keep, namesOf(d.current))
	}
	for _, names := range d.unknown {
		maps.Copy(keep, names)
	}
	for p := range d.active {
		keep[p.dataName()] = true
	}
	return keep, nil
}

func (d *Dir) namedBy(id meta.CheckpointID) (map[string]bool, error) {
	d.mu.Lock()
	names := d.named[id]
	d.mu.Unlock()
	if names != nil {
		return names, nil
	}
	m, err := d.readMeta(id)
	if err != nil {
		return nil, err
	}
	names = namesOf(m)
	d.mu.Lock()
	d.named[id] = names
	d.mu.Unlock()
	return names, nil
}

// SweepOrphans deletes what crashes have left: data files of this job that no metadata names, and folders without
// metadata below the newest checkpoint. It deletes nothing unless every metadata in the directory could be read, and
// never what another job or anybody else has put there.
func (d *Dir) SweepOrphans(ctx context.Context) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	limit := d.settledBefore()
	folders, _, err := d.orphans(limit)
	if err != nil {
		return err
	}
	if err := d.removeFolders(folders); err != nil {
		return err
	}
	return d.sweep(ctx, limit)
}

// settledBefore is the id below which no checkpoint is under way or still to begin. Whoever looks for garbage takes it
// before anything is listed: what is committed meanwhile is not older.
func (d *Dir) settledBefore() meta.CheckpointID {
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := d.next
	for p := range d.active {
		limit = min(limit, p.id)
	}
	return limit
}
