package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Savepoint takes a checkpoint, waits until the sinks have committed it, and copies it into a new folder that is the
// caller's: it may be moved, is never touched again, and Restore.Path takes it. An empty folder means a new one in
// Checkpoints.SavepointDir, named after the job and the checkpoint. What is returned is the checkpoint, with the path of
// the savepoint's _metadata.
//
// A savepoint names no transaction: all output up to its barrier is visible, all output after it is another's. A job that
// starts from it beside the one it was taken of writes the rows after it once more.
//
// It fails as [Running.Checkpoint] does, and with an error that wraps fs.ErrExist if the folder is there already. The job
// goes on in any case.
func (r *Running) Savepoint(ctx context.Context, folder string) (Checkpoint, error) {
	if err := r.savepointPlace(folder); err != nil {
		return Checkpoint{}, err
	}
	a, err := r.ask(ctx, true)
	if err != nil {
		return a.checkpoint, err
	}
	defer a.close()
	stepOf(ctx, "savepoint "+folder, "is made")
	return r.export(ctx, a.open, a.checkpoint, folder, true)
}

// StopWithSavepoint is [Running.Stop], and then a savepoint of the last checkpoint, as [Running.Savepoint] makes one. The
// checkpoint is kept beside it. If the savepoint cannot be made, the job has stopped nevertheless, and the error says so.
// A job that was asked to stop before makes the savepoint if it has not stopped yet.
func (r *Running) StopWithSavepoint(ctx context.Context, folder string) (Checkpoint, error) {
	if err := r.savepointPlace(folder); err != nil {
		return Checkpoint{}, err
	}
	r.mu.Lock()
	r.leaving = &folder
	r.mu.Unlock()
	if _, err := r.Stop(ctx); err != nil {
		return Checkpoint{}, err
	}
	cp := r.outcome.Checkpoint
	if cp.Path = r.outcome.Savepoint; cp.Path == "" {
		return Checkpoint{}, fmt.Errorf("job %q has %s without a savepoint", r.job.name, r.outcome.State)
	}
	return cp, nil
}

func (r *Running) savepointPlace(folder string) error {
	place := orDefault(folder, r.o.Checkpoints.SavepointDir)
	if place == "" {
		return errors.New("savepoint: want a folder, or the setting state.savepoints.dir")
	}
	_, err := snapshotter.ParseDir(place)
	return err
}

// lastSavepoint makes the savepoint that a stop was asked for.
func (r *Running) lastSavepoint(ctx context.Context, settled bool) (path string, err error) {
	r.mu.Lock()
	folder, last, have := r.leaving, r.last, r.have
	r.mu.Unlock()
	if folder == nil || !have {
		return "", nil
	}
	from, err := r.dir.Read(last.ID)
	if err != nil {
		return "", fmt.Errorf("savepoint: %w", err)
	}
	defer from.Close() // read only
	sp, err := r.export(ctx, from, last, *folder, settled)
	return sp.Path, err
}

// export copies an open checkpoint.
func (r *Running) export(ctx context.Context, from *snapshotter.Checkpoint, cp Checkpoint, folder string, settled bool) (_ Checkpoint, err error) {
	o := snapshotter.ExportOptions{FS: r.o.Checkpoints.fs, Settled: settled}
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if folder != "" {
		cp.Path, err = from.Export(ctx, folder, o)
		return cp, err
	}
	cp.Path, err = exportNumbered(ctx, from, filepath.Join(r.o.Checkpoints.SavepointDir, savepointName(r.job.name, cp.ID)), o)
	return cp, err
}

func savepointName(job string, id meta.CheckpointID) string {
	return fmt.Sprintf("%s-savepoint-%d", job, id)
}

// exportNumbered finds a name that is free: ids begin again when a job's directory is discarded.
func exportNumbered(ctx context.Context, from *snapshotter.Checkpoint, folder string, o snapshotter.ExportOptions) (string, error) {
	name := folder
	for n := 2; ; n++ {
		path, err := from.Export(ctx, name, o)
		if !errors.Is(err, fs.ErrExist) {
			return path, err
		}
		name = fmt.Sprintf("%s-%d", folder, n)
	}
}
