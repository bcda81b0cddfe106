package snapshotter

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// LoadOptions says where [Load] looks. The zero value is the default.
type LoadOptions struct {
	FS      vfs.FS // default vfs.OS()
	DataDir string // searched for data files after the metadata's folder and its parent
}

// Load opens a checkpoint read-only and without a lock. The path is a _metadata file, a folder that holds one (chk-N, a
// savepoint), or a job's directory, whose newest checkpoint is meant. A link to a folder stands for it. Data files are
// looked for beside _metadata, in its parent, then in DataDir.
//
// It fails with meta.ErrNotFound if there is no checkpoint or one of its files is missing, naming the files and the
// places; meta.ErrDamaged; meta.ErrVersion. It never falls back to an older checkpoint. The caller must Close the result.
func Load(path string, o LoadOptions) (*Checkpoint, error) {
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	path, err := ParseDir(path)
	if err != nil {
		return nil, err
	}
	var dataDir string
	if o.DataDir != "" {
		if dataDir, err = ParseDir(o.DataDir); err != nil {
			return nil, err
		}
	}
	// A running job may retire the checkpoint between the look and the opening; it then has a newer one.
	const tries = 5
	for try := 1; ; try++ {
		file, err := findMeta(o.FS, filepath.Clean(path))
		if err != nil {
			return nil, fmt.Errorf("load checkpoint %s: %w", path, notFound(err))
		}
		c, err := openCheckpoint(o.FS, file, dataDir)
		if err == nil {
			return c, nil
		}
		if try == tries || !errors.Is(err, meta.ErrNotFound) {
			return nil, fmt.Errorf("load checkpoint: %w", err)
		}
	}
}

// findMeta turns what the user named into the path of a metadata file.
func findMeta(fsys vfs.FS, path string) (string, error) {
	names, err := fsys.List(path)
	if notDir(err) {
		f, err := fsys.Open(path)
		if err != nil {
			return "", err
		}
		folder, err := properPath(fsys, filepath.Dir(path))
		return filepath.Join(folder, filepath.Base(path)), errors.Join(err, f.Close())
	}
	if err != nil {
		return "", err
	}
	if slices.Contains(names, meta.FileName) {
		folder, err := properPath(fsys, path)
		return filepath.Join(folder, meta.FileName), err
	}
	return findNewest(fsys, path)
}

// properPath is a path of a folder whose last element is the folder's name, and the rest leads to where it lies: of ".",
// "..", and links neither is true. What decides by that name, and looks there, would look in the wrong place. What the
// user wrote stays if it is such a path.
func properPath(fsys vfs.FS, folder string) (string, error) {
	real, err := vfs.Resolve(fsys, folder)
	if err != nil {
		return "", err
	}
	parent, err := vfs.Resolve(fsys, filepath.Dir(folder))
	if err != nil {
		return "", err
	}
	if parent == filepath.Dir(real) && filepath.Base(folder) == filepath.Base(real) {
		return folder, nil
	}
	return real, nil
}

// notDir tells whether List has failed because the name is no directory's; any other error is storage's.
func notDir(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.ENOTDIR)
}

// findNewest returns the metadata file with the largest id in a job's directory.
func findNewest(fsys vfs.FS, path string) (string, error) {
	ids, err := chkFolders(fsys, path)
	if err != nil {
		return "", err
	}
	for _, id := range slices.Backward(ids) {
		file := filepath.Join(path, chkName(id), meta.FileName)
		f, err := fsys.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // an abandoned folder is not a checkpoint
		}
		if err != nil {
			return "", err
		}
		return file, f.Close()
	}
	return "", fmt.Errorf("no checkpoint in the directory: %w", meta.ErrNotFound)
}

// chkFolders lists the ids of a directory's chk-N folders, ascending as numbers. A link is none: what is behind it is
// somebody else's, and must not be deleted through it.
func chkFolders(fsys vfs.FS, path string) ([]meta.CheckpointID, error) {
	names, err := fsys.List(path)
	if err != nil {
		return nil, err
	}
	var ids []meta.CheckpointID
	for _, name := range names {
		if id, ok := parseChkName(name); ok && !vfs.IsLink(fsys, filepath.Join(path, name)) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// decodeMeta reads a metadata file. In a folder called chk-N it must be checkpoint N: a valid file in the wrong place is
// as wrong as a broken one.
func decodeMeta(fsys vfs.FS, file string) (*meta.Metadata, error) {
	b, err := readFile(fsys, file, meta.MaxSize)
	if err != nil {
		return nil, err
	}
	m, err := meta.Decode(file, b)
	if err != nil {
		return nil, err
	}
	if id, ok := parseChkName(filepath.Base(filepath.Dir(file))); ok && id != m.ID {
		return nil, damaged(file, 0, fmt.Sprintf("metadata of checkpoint %d in the folder of checkpoint %d", m.ID, id))
	}
	return m, nil
}

// openCheckpoint reads the metadata and opens every data file with its root.
func openCheckpoint(fsys vfs.FS, file, dataDir string) (*Checkpoint, error) {
	m, err := decodeMeta(fsys, file)
	if err != nil {
		return nil, notFound(err)
	}
	c := newCheckpoint(fsys, file, m)
	places := []string{filepath.Dir(file), filepath.Dir(filepath.Dir(file))}
	if dataDir != "" && !slices.Contains(places, filepath.Clean(dataDir)) {
		places = append(places, filepath.Clean(dataDir))
	}
	var missing []string
	for _, ref := range m.Files {
		f, err := c.openData(places, ref)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, ref.Name)
			continue
		}
		if err != nil {
			c.Close()
			return nil, err
		}
		c.files = append(c.files, f)
	}
	if missing != nil {
		c.Close()
		return nil, fmt.Errorf("%s needs %s, looked in %s: %w",
			file, strings.Join(missing, ", "), strings.Join(places, ", "), meta.ErrNotFound)
	}
	if err := c.checkPages(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// InJobDir says whether the checkpoint lies where a job's checkpoints do, in a folder chk-N, rather than in one of its own.
func (c *Checkpoint) InJobDir() bool {
	id, ok := parseChkName(filepath.Base(filepath.Dir(c.Path)))
	return ok && id == c.Meta.ID
}

func (d *Dir) readMeta(id meta.CheckpointID) (*meta.Metadata, error) {
	return decodeMeta(d.fs, d.metaPath(id))
}

// head is what the next checkpoint builds on: the newest committed one.
func (d *Dir) head() (*meta.Metadata, error) {
	d.mu.Lock()
	m := d.current
	d.mu.Unlock()
	if m != nil {
		return m, nil
	}
	file, err := findNewest(d.fs, d.path)
	if err != nil {
		return nil, notFound(err)
	}
	if m, err = decodeMeta(d.fs, file); err != nil {
		return nil, err
	}
	if m.Job != d.Job() {
		return nil, fmt.Errorf("%s belongs to job %s, the directory to %s: %w", file, m.Job, d.Job(), meta.ErrIncompatible)
	}
	return m, d.adopt(m)
}

// adopt makes sure that what was found stays: a process killed between steps 6 and 7 leaves a checkpoint that can be seen
// but is not durable, and whoever builds on it relies on it.
func (d *Dir) adopt(m *meta.Metadata) error {
	if err := d.fs.SyncDir(d.chkPath(m.ID)); err != nil { // guard: sync-adopted
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == nil || d.current.ID < m.ID {
		d.current = withoutPages(m)
	}
	return nil
}

// Latest opens the newest checkpoint: the one with the largest id that has its metadata. It fails with meta.ErrNotFound
// if there is none, and with meta.ErrDamaged rather than fall back to an older one. One that this Dir has seen fail with
// ErrUnknownOutcome is published again, under a new id, which may fail as [Pending.Publish] does. Until the result is
// closed, or the Dir is, Retire keeps it; close it when all of its pages have been loaded.
func (d *Dir) Latest() (*Checkpoint, error) {
	file, err := findNewest(d.fs, d.path)
	if err != nil {
		return nil, fmt.Errorf("newest checkpoint of %s: %w", d.path, notFound(err))
	}
	return d.restore(file)
}

// Read opens one of the directory's own checkpoints for reading only. Retire keeps it until it is closed, which is the
// caller's to do: Close of the Dir does not, so it can be read to its end even if the directory is given up meanwhile.
func (d *Dir) Read(id meta.CheckpointID) (*Checkpoint, error) {
	release := d.Pin(id)
	c, err := openCheckpoint(d.fs, d.metaPath(id), d.o.DataDir)
	if err != nil {
		release()
		return nil, fmt.Errorf("read checkpoint %d: %w", id, err)
	}
	c.closed = release
	return c, nil
}

// restore opens one of the directory's own checkpoints as the one that the next builds on.
func (d *Dir) restore(file string) (*Checkpoint, error) {
	c, err := openCheckpoint(d.fs, file, d.o.DataDir)
	if err != nil {
		return nil, err
	}
	if c.Meta.Job != d.Job() {
		c.Close()
		return nil, fmt.Errorf("%s belongs to job %s, the directory to %s: %w", file, c.Meta.Job, d.Job(), meta.ErrIncompatible)
	}
	if d.isUnknown(c.Meta.ID) { // rule: unknown-is-renewed
		return d.renewed(c)
	}
	if err := d.adopt(c.Meta); err != nil {
		c.Close()
		return nil, err
	}
	c.whole = d.o.Whole
	release := d.Pin(c.Meta.ID)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keepOpen(c, release)
	return c, nil
}

// renewed publishes an open checkpoint of unknown outcome again, under a new id, and opens that: a sync that failed may
// succeed when it is repeated, without having done anything. The data files were durable before step 6.
func (d *Dir) renewed(c *Checkpoint) (*Checkpoint, error) {
	m := *c.Meta
	if err := c.Close(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	m.ID, m.Attempt = d.next, d.attempt
	d.next++
	d.mu.Unlock()
	err := d.writeMeta(&m)
	if err == nil {
		err = d.commit(&m, func() error { return d.mayPublish(m.ID, m.Attempt) })
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint %d, which may not be durable, as checkpoint %d: %w", c.Meta.ID, m.ID, err)
	}
	return d.restore(d.metaPath(m.ID))
}

// keepOpen makes the directory close what its caller has not closed. The caller of keepOpen holds mu.
func (d *Dir) keepOpen(c *Checkpoint, release func()) {
	d.opened[c] = true
	c.closed = func() {
		release()
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.opened, c)
	}
}

// List returns the ids of the directory's checkpoints, ascending.
func (d *Dir) List() ([]meta.CheckpointID, error) {
	ids, err := d.folders()
	if err != nil {
		return nil, err
	}
	var list []meta.CheckpointID
	for _, id := range ids {
		has, err := d.hasMeta(id)
		if err != nil {
			return nil, err
		}
		if has {
			list = append(list, id)
		}
	}
	return list, nil
}
