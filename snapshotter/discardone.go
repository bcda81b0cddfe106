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

// Discarded says what Discard has removed.
type Discarded struct {
	Path      string // of the _metadata that is gone
	ID        meta.CheckpointID
	Savepoint bool  // it was in a folder of its own
	Files     int   // data files deleted
	Bytes     int64 // in them

	Elsewhere []string          // data files that it named and that are not where they were looked for
	Left      []string          // what else is in the folder, which therefore stays
	Next      meta.CheckpointID // the newest of its job now, if it was the newest; 0: it was not, or none is left
}

// Discard deletes one checkpoint or savepoint. The path is a _metadata file or the folder that holds it, or a link to that.
//
// A checkpoint in a job's directory is deleted under the lock of that directory: meta.ErrLocked names the process that has
// it. Its data files go too, except those that another checkpoint there names; to be sure of that every other _metadata
// must be readable, else nothing is deleted. The one discarded may be damaged: its data files are then garbage, for
// SweepOrphans. Any other folder is taken for a savepoint: the data files that its _metadata names go, if they are in the
// folder itself, then the folder, unless it holds something else. One in a job's directory is deleted under its lock too.
func Discard(ctx context.Context, path string, o Options) (Discarded, error) {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	path, err := ParseDir(path)
	if err != nil {
		return Discarded{}, err
	}
	folder, err := folderOf(o.FS, filepath.Clean(path))
	if err != nil {
		return Discarded{}, fmt.Errorf("discard %s: %w", path, notFound(err))
	}
	home := filepath.Dir(folder)
	inJob, err := isJobDir(o.FS, home)
	if err != nil {
		return Discarded{}, err
	}
	if !inJob {
		return discardSavepoint(ctx, o.FS, folder)
	}
	if id, ok := parseChkName(filepath.Base(folder)); ok {
		return discardOwned(ctx, home, id, o)
	}
	lock, err := o.FS.Lock(home) // who owns the directory owns what lies in it
	if err != nil {
		return Discarded{}, err
	}
	gone, err := discardSavepoint(ctx, o.FS, folder)
	return gone, errors.Join(err, lock.Close())
}

// discardOwned deletes a checkpoint of a job's directory.
func discardOwned(ctx context.Context, home string, id meta.CheckpointID, o Options) (Discarded, error) {
	d, err := OpenExisting(home, o)
	if err != nil {
		return Discarded{}, err
	}
	gone, err := d.discard(ctx, id)
	return gone, errors.Join(err, d.Close())
}

// folderOf is the folder of the checkpoint that the user named, by a path that says where it lies.
func folderOf(fsys vfs.FS, path string) (string, error) {
	names, err := fsys.List(path)
	switch {
	case err == nil && slices.Contains(names, meta.FileName):
		return properPath(fsys, path)
	case err == nil:
		return "", fmt.Errorf("it holds no %s; name one checkpoint: %w", meta.FileName, meta.ErrNotFound)
	case !notDir(err):
		return "", err
	case filepath.Base(path) != meta.FileName:
		return "", fmt.Errorf("neither a %s file nor its folder: %w", meta.FileName, meta.ErrNotFound)
	}
	f, err := fsys.Open(path)
	if err != nil {
		return "", err
	}
	folder, err := properPath(fsys, filepath.Dir(path))
	return folder, errors.Join(err, f.Close())
}

// discard removes one checkpoint and the data files that only it names.
func (d *Dir) discard(ctx context.Context, id meta.CheckpointID) (Discarded, error) {
	gone := Discarded{Path: d.metaPath(id), ID: id}
	if err := d.usable(ctx); err != nil {
		return gone, err
	}
	m, err := d.readMeta(id)
	if err != nil && !errors.Is(err, meta.ErrDamaged) && !errors.Is(err, meta.ErrVersion) {
		return gone, err
	}
	ids, err := d.List()
	if err != nil {
		return gone, err
	}
	others := slices.DeleteFunc(slices.Clone(ids), func(other meta.CheckpointID) bool { return other == id })
	keep := map[string]bool{}
	for _, other := range others {
		names, err := d.namedBy(other)
		if err != nil {
			return gone, fmt.Errorf("nothing was deleted: %w", err)
		}
		for name := range names {
			keep[name] = true
		}
	}
	newest := len(others) == 0 || id > slices.Max(others)
	if err := d.removeOne(id, newest); err != nil {
		return gone, err
	}
	if newest && len(others) > 0 {
		gone.Next = slices.Max(others)
	}
	return gone, d.discardFiles(m, keep, &gone)
}

// removeOne makes a checkpoint disappear durably. The folder of the newest stays, empty, until a later commit: ids must
// not be given out twice.
func (d *Dir) removeOne(id meta.CheckpointID, newest bool) error {
	if !newest {
		return d.removeFolders([]meta.CheckpointID{id})
	}
	if err := d.removeMeta(id); err != nil {
		return err
	}
	return d.fs.SyncDir(d.chkPath(id)) // guard: sync-discarded-newest
}

// discardFiles deletes the data files that the metadata named, if there was one to read, and nothing else names.
func (d *Dir) discardFiles(m *meta.Metadata, keep map[string]bool, gone *Discarded) error {
	if m == nil {
		return nil
	}
	for _, f := range m.Files {
		h, own := parseDataName(f.Name)
		if f.Embedded() || keep[f.Name] || !own || h.job != d.Job() {
			continue
		}
		if err := gone.remove(d.fs, d.dirs(), f.Name); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a data file, wherever it is, and counts it.
func (g *Discarded) remove(fsys vfs.FS, dirs []string, name string) error {
	for _, dir := range dirs {
		file := filepath.Join(dir, name)
		n, err := sizeOf(fsys, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		g.Files, g.Bytes = g.Files+1, g.Bytes+n
		return fsys.Remove(file)
	}
	g.Elsewhere = append(g.Elsewhere, name)
	return nil
}

// discardSavepoint deletes a folder of its own: first what makes it a savepoint.
func discardSavepoint(ctx context.Context, fsys vfs.FS, folder string) (gone Discarded, err error) {
	file := filepath.Join(folder, meta.FileName)
	m, err := decodeMeta(fsys, file)
	if err != nil {
		return gone, fmt.Errorf("nothing was deleted: %w", notFound(err))
	}
	if err := ctx.Err(); err != nil {
		return gone, err
	}
	gone = Discarded{Path: file, ID: m.ID, Savepoint: true}
	if err := fsys.Remove(file); err != nil {
		return gone, err
	}
	if err := fsys.SyncDir(folder); err != nil { // guard: sync-discarded-savepoint
		return gone, err
	}
	for _, f := range m.Files {
		if f.Embedded() {
			continue
		}
		if err := gone.remove(fsys, []string{folder}, f.Name); err != nil {
			return gone, err
		}
	}
	if gone.Left, err = fsys.List(folder); err != nil || len(gone.Left) > 0 {
		return gone, err
	}
	return gone, fsys.Remove(folder)
}
