package snapshotter

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// ExportOptions say how a savepoint is made. The zero value is the default.
type ExportOptions struct {
	FS       vfs.FS                  // of the folder; default: that of the checkpoint
	Progress func(done, total int64) // bytes, or nil

	// Settled leaves out the sinks' prepared transactions. It is for a checkpoint whose sinks have committed all of them:
	// then the savepoint refers to nothing outside itself.
	Settled bool
}

// Export makes a savepoint of the checkpoint: a new folder that holds `_metadata` and every data file it names. The folder
// is the user's: it may be moved, copied and deleted, and nothing here touches it again; [Load] takes its path. Files are
// cloned or copied, never linked: what somebody does to a file of the savepoint must not reach the job's own.
//
// The folder appears under its name complete and durable, or not at all; missing parents are made. It fails with an error
// that wraps fs.ErrExist if there is anything of that name. It returns the path of the savepoint's _metadata.
func (c *Checkpoint) Export(ctx context.Context, folder string, o ExportOptions) (path string, err error) {
	if folder, err = ParseDir(folder); err != nil {
		return "", err
	}
	folder = filepath.Clean(folder)
	if o.FS == nil {
		o.FS = c.fs
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("savepoint %s: %w", folder, err)
		}
	}()
	if err := free(o.FS, folder); err != nil {
		return "", err
	}
	parent := filepath.Dir(folder)
	if err := vfs.MkdirAll(o.FS, parent); err != nil {
		return "", err
	}
	e := exporter{c: c, o: o, temp: filepath.Join(parent, tempFolder(folder))}
	if err := e.fill(ctx); err != nil {
		e.drop()
		return "", err
	}
	// step 5: the folder appears under its name
	if err := o.FS.Rename(e.temp, folder); err != nil {
		e.drop()
		return "", err
	}
	// step 6: when this returns, the savepoint exists
	if err := o.FS.SyncDir(parent); err != nil { // guard: sync-savepoint
		return "", err
	}
	return filepath.Join(folder, meta.FileName), nil
}

// free says whether a savepoint may get the name.
func free(fsys vfs.FS, folder string) error {
	if _, ok := parseChkName(filepath.Base(folder)); ok {
		return fmt.Errorf("the name is that of a checkpoint in a job's directory: %w", meta.ErrIncompatible)
	}
	_, err := fsys.List(folder)
	switch {
	case err == nil:
		return fs.ErrExist
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	if f, openErr := fsys.Open(folder); openErr == nil {
		return errors.Join(fs.ErrExist, f.Close())
	}
	return err
}

// tempFolder is where a savepoint grows: beside its place, hidden, under a name of its own. What a crash leaves of it may
// be deleted.
func tempFolder(folder string) string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return "." + filepath.Base(folder) + "-" + hex.EncodeToString(b[:]) + ".tmp"
}

type exporter struct {
	c    *Checkpoint
	o    ExportOptions
	temp string
}

// fill makes the temporary folder and everything in it durable.
func (e *exporter) fill(ctx context.Context) error {
	// step 1: a folder that nobody takes for a savepoint
	if err := e.o.FS.Mkdir(e.temp); err != nil {
		return err
	}
	// step 2: the data files, each durable
	p := progress{report: e.o.Progress, total: e.c.Sizes().Stored}
	for _, f := range e.c.files {
		if f.ref.Embedded() {
			p.add(f.ref.Size)
			continue
		}
		if err := copyFile(ctx, f, e.o.FS, filepath.Join(e.temp, f.ref.Name), p.add); err != nil {
			return err
		}
	}
	// step 3: the metadata, durable
	if err := writeFile(e.o.FS, filepath.Join(e.temp, meta.FileName), e.metadata().Encode()); err != nil {
		return err
	}
	// step 4: their names
	return e.o.FS.SyncDir(e.temp) // guard: sync-savepoint-files
}

// metadata is the checkpoint's own. Names of data files are bare, so they are found beside it, wherever that is.
func (e *exporter) metadata() *meta.Metadata {
	m := *e.c.Meta
	if !e.o.Settled {
		return &m
	}
	m.Sinks = slices.Clone(m.Sinks)
	for i := range m.Sinks {
		m.Sinks[i].Txns = nil
	}
	return &m
}

// drop removes what there is of the temporary folder, as far as storage lets it.
func (e *exporter) drop() {
	for _, f := range e.c.files {
		if !f.ref.Embedded() {
			e.o.FS.Remove(filepath.Join(e.temp, f.ref.Name))
		}
	}
	e.o.FS.Remove(filepath.Join(e.temp, meta.FileName))
	e.o.FS.Remove(e.temp)
}

// progress counts bytes and reports them.
type progress struct {
	report      func(done, total int64)
	done, total int64
}

func (p *progress) add(n int64) {
	if p.done += n; p.report != nil {
		p.report(p.done, p.total)
	}
}
