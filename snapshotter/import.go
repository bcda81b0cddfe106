package snapshotter

import (
	"context"
	"errors"
	"fmt"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Import makes a checkpoint from outside the directory's own: its data files are linked, or cloned or copied where that
// cannot be, under own names, and published as the next checkpoint, which is returned as from Latest. The outside checkpoint is not
// touched and not needed afterwards. Progress, if not nil, is called with bytes done and in total.
func (d *Dir) Import(ctx context.Context, from *Checkpoint, progress func(done, total int64)) (*Checkpoint, error) {
	m, err := d.importFiles(ctx, from, progress)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", from.Path, err)
	}
	return d.restore(d.metaPath(m.ID))
}

func (d *Dir) importFiles(ctx context.Context, from *Checkpoint, report func(done, total int64)) (_ *meta.Metadata, err error) {
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	m := *from.Meta
	m.Files = nil
	d.mu.Lock()
	m.Job, m.Attempt = d.job, d.attempt
	first := d.next
	m.ID = first + meta.CheckpointID(len(from.files)) // every file takes an id: names are by checkpoint
	d.next = m.ID + 1
	d.mu.Unlock()
	if d.o.Name != "" {
		m.Name = d.o.Name
	}
	defer func() {
		if err != nil && !errors.Is(err, ErrUnknownOutcome) {
			d.dropImport(&m)
		}
	}()
	p := progress{report: report, total: from.Sizes().Stored}
	for i, f := range from.files {
		ref := f.ref
		ref.Checkpoint = first + meta.CheckpointID(i)
		if ref.Embedded() { // its bytes are in m already
			m.Files = append(m.Files, ref)
			p.add(ref.Size)
			continue
		}
		ref.Name = dataName(m.Job, m.Attempt, ref.Checkpoint)
		m.Files = append(m.Files, ref)
		if err := d.bringIn(ctx, from.fs, f, d.dataPath(ref.Name), p.add); err != nil {
			return nil, err
		}
	}
	if err := d.fs.SyncDir(d.o.DataDir); err != nil { // guard: sync-import-dir
		return nil, err
	}
	if err := d.writeMeta(&m); err != nil {
		return nil, err
	}
	return &m, d.commit(&m, func() error { return d.mayPublish(m.ID, m.Attempt) })
}

// bringIn gives a file an own name. Its content must become durable here: whoever copied it may not have synced it.
func (d *Dir) bringIn(ctx context.Context, fsys vfs.FS, f *dataFile, to string, wrote func(n int64)) error {
	if fsys != d.o.FS || d.fs.Link(f.name, to) != nil {
		return copyFile(ctx, f, d.fs, to, wrote)
	}
	syncErr := syncByName(d.fs, to)
	if syncErr == nil {
		wrote(f.ref.Size)
		return nil
	}
	if err := d.fs.Remove(to); err != nil {
		return err
	}
	if err := copyFile(ctx, f, d.fs, to, wrote); err != nil {
		return fmt.Errorf("%w, after its link could not be synced: %w", err, syncErr)
	}
	return nil
}

// syncByName works through a handle for reading, which not every system allows; the file is then copied.
func syncByName(fsys vfs.FS, name string) (err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync() // guard: sync-linked
}

// dropImport removes what a failed import has made, as far as storage lets it.
func (d *Dir) dropImport(m *meta.Metadata) {
	for _, f := range m.Files {
		if !f.Embedded() {
			d.fs.Remove(d.dataPath(f.Name))
		}
	}
	d.fs.Remove(d.chkPath(m.ID) + "/" + metaTemp)
	d.fs.Remove(d.chkPath(m.ID))
}
