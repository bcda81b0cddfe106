package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Garbage is something that a crash, or somebody's rm, has left in a job's directories.
type Garbage struct {
	Path  string
	Bytes int64  // of a file
	Why   string // it is garbage
}

// OpenExisting is [Open] for a directory that must be there already, as must that of its data files. It fails with
// meta.ErrNotFound if path is not a job's directory.
func OpenExisting(path string, o Options) (*Dir, error) {
	path, err := ParseDir(path)
	if err != nil {
		return nil, err
	}
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	found, err := isJobDir(o.FS, path)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%s is not the directory of a job: it has no %s: %w", path, jobFile, meta.ErrNotFound)
	}
	if o.DataDir != "" {
		data, err := ParseDir(o.DataDir)
		if err != nil {
			return nil, err
		}
		if _, err := o.FS.List(data); err != nil {
			return nil, fmt.Errorf("directory of data files: %w", notFound(err))
		}
	}
	o.atRest = true
	return Open(path, o)
}

// isJobDir says whether a directory has the identity of a job.
func isJobDir(fsys vfs.FS, path string) (bool, error) {
	f, err := fsys.Open(filepath.Join(path, jobFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// Garbage lists what SweepOrphans would delete, and why.
func (d *Dir) Garbage(ctx context.Context) ([]Garbage, error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	folders, files, err := d.orphans(d.settledBefore())
	if err != nil {
		return nil, err
	}
	var list []Garbage
	for _, id := range folders {
		list = append(list, Garbage{Path: d.chkPath(id), Why: "folder without " + meta.FileName + ", older than the newest checkpoint"})
	}
	for _, path := range files {
		n, err := sizeOf(d.fs, path)
		if err != nil {
			return nil, err
		}
		list = append(list, Garbage{Path: path, Bytes: n, Why: "data file that no checkpoint names"})
	}
	return list, nil
}

func sizeOf(fsys vfs.FS, name string) (int64, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return 0, err
	}
	n, err := f.Size()
	return n, errors.Join(err, f.Close())
}

// orphans finds, of checkpoints older than limit, folders without metadata below the newest checkpoint, and this job's
// data files that nothing names. It needs every metadata to be sure.
func (d *Dir) orphans(limit meta.CheckpointID) (folders []meta.CheckpointID, files []string, err error) {
	keep, err := d.allNamed()
	if err != nil {
		return nil, nil, fmt.Errorf("no data file was deleted: %w", err)
	}
	ids, err := d.folders()
	if err != nil {
		return nil, nil, err
	}
	found := false
	for _, id := range slices.Backward(ids) {
		has, err := d.hasMeta(id)
		if err != nil {
			return nil, nil, err
		}
		if !has && found && id < limit && !d.mustKeep(id) {
			folders = append(folders, id)
		}
		found = found || has
	}
	own, err := d.dataFiles()
	for _, f := range own {
		if f.checkpoint < limit && !keep[filepath.Base(f.path)] {
			files = append(files, f.path)
		}
	}
	return folders, files, err
}
