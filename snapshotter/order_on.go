//go:build invariants

package snapshotter

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// ordered makes every test a test of durability: it panics when metadata appears before a file that it names is durable,
// and when such a file is deleted before the metadata is durably gone. It knows what was made through it, in the job's directory
// and that of its data files.
func ordered(fsys vfs.FS, path, data string) vfs.FS {
	return &orderFS{FS: fsys, path: path, data: data, files: map[string]*durability{}, named: map[string]*naming{}}
}

type orderFS struct {
	vfs.FS
	path, data string

	mu    sync.Mutex             // guards the fields below
	files map[string]*durability // by path
	named map[string]*naming     // by the path of the metadata
}

// durability is what of a file survives a power cut.
type durability struct {
	content, name bool
	bytes         []byte // of metadata
}

// naming is what a metadata file names, until its removal is durable.
type naming struct {
	files   map[string]bool // by name: a directory has one job's
	removed bool
}

func (o *orderFS) Create(name string) (vfs.File, error) {
	f, err := o.FS.Create(name)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	d := &durability{}
	o.files[filepath.Clean(name)] = d
	return &orderFile{File: f, o: o, d: d, keep: filepath.Base(name) == metaTemp}, nil
}

func (o *orderFS) SyncDir(dir string) error {
	if err := o.FS.SyncDir(dir); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	dir = filepath.Clean(dir)
	for name, d := range o.files {
		d.name = d.name || filepath.Dir(name) == dir
	}
	for name, n := range o.named { // its folder is synced, or was removed from a directory that is
		if folder := filepath.Dir(name); n.removed && (folder == dir || filepath.Dir(folder) == dir) {
			delete(o.named, name)
		}
	}
	return nil
}

func (o *orderFS) Rename(from, to string) error {
	if filepath.Base(to) != meta.FileName || filepath.Dir(filepath.Dir(to)) != o.path {
		return o.FS.Rename(from, to)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.files[filepath.Clean(from)]
	if d == nil || !d.content {
		panic(fmt.Sprintf("%s appears before it is synced", to))
	}
	m, err := meta.Decode(from, d.bytes)
	if err != nil {
		panic(err)
	}
	names := namesOf(m)
	for file, d := range o.files {
		if o.holds(file) && names[filepath.Base(file)] && !(d.content && d.name) {
			panic(fmt.Sprintf("%s appears before %s is durable: content %t, name %t", to, file, d.content, d.name))
		}
	}
	if err := o.FS.Rename(from, to); err != nil {
		return err
	}
	o.named[filepath.Clean(to)] = &naming{files: names}
	return nil
}

// IsLink is for vfs.IsLink.
func (o *orderFS) IsLink(name string) bool { return vfs.IsLink(o.FS, name) }

// holds tells the job's data files from copies of them elsewhere.
func (o *orderFS) holds(file string) bool {
	dir := filepath.Dir(file)
	return dir == o.path || dir == o.data
}

func (o *orderFS) Remove(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for by, n := range o.named {
		if o.holds(name) && n.files[filepath.Base(name)] {
			panic(fmt.Sprintf("%s is deleted, which %s names, removed %v", name, by, n.removed))
		}
	}
	if err := o.FS.Remove(name); err != nil {
		return err
	}
	delete(o.files, filepath.Clean(name))
	if n := o.named[filepath.Clean(name)]; n != nil {
		n.removed = true
	}
	return nil
}

type orderFile struct {
	vfs.File
	o    *orderFS
	d    *durability
	keep bool
}

func (f *orderFile) Write(b []byte) (int, error) {
	f.o.mu.Lock()
	if f.d.content = false; f.keep {
		f.d.bytes = append(f.d.bytes, b...)
	}
	f.o.mu.Unlock()
	return f.File.Write(b)
}

func (f *orderFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	f.d.content = true
	return nil
}
