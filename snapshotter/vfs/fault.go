package vfs

import (
	"io"
	"io/fs"
	"sync"
)

// Call describes one call to a [Fault].
type Call struct {
	Op   string // "create", "open", "write", "read", "sync", "close", "rename", "link", "clone", "remove", "mkdir", "syncdir", "list", "lock"
	Name string // the file or directory; of a rename, link or clone, the new name

	Offset int64 // of a read
}

// Failure says how a call fails.
type Failure struct {
	Err    error // what the call returns, for example syscall.EIO
	Short  bool  // a write stores, and a read gives, its first half before it fails
	Flip   bool  // a read gives all it was asked for, a bit in each 512 bytes wrong, and no error
	Drop   bool  // a sync forgets what was not synced, as Linux does: content at once, names at the next power cut; needs a Mem or Crash below
	Sticky bool  // every matching call after it fails too

	// Hang is called first, without a lock. When it returns nil the call goes on, and is as ever if nothing else is set here; with an
	// error it fails.
	Hang func(Call) error
}

// Fault wraps a file system and fails chosen calls.
type Fault struct {
	FS
	mu    sync.Mutex // guards the fields below
	rules []*rule
	calls int
}

type rule struct {
	match   func(Call) bool
	left    int // matching calls until it strikes
	failure Failure
	done    bool
}

// NewFault wraps inner; until Fail is called it changes nothing.
func NewFault(inner FS) *Fault { return &Fault{FS: inner} }

// Fail makes the k-th call from now on that matches fail, counting from 1. A nil match is every call.
func (f *Fault) Fail(k int, match func(Call) bool, how Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &rule{match: match, left: k, failure: how})
}

// Heal removes all rules.
func (f *Fault) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// Calls counts the calls so far.
func (f *Fault) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// strike counts the call, lets it hang, and returns the failure that it must suffer, or nil.
func (f *Fault) strike(c Call) *Failure {
	hit := f.hit(c)
	if hit == nil || hit.Hang == nil {
		return hit
	}
	if err := hit.Hang(c); err != nil {
		return &Failure{Err: err}
	}
	if hit.Err == nil && !hit.Flip {
		return nil
	}
	return hit
}

func (f *Fault) hit(c Call) *Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	var hit *Failure
	for _, r := range f.rules {
		if r.done || r.match != nil && !r.match(c) {
			continue
		}
		if r.left--; r.left > 0 {
			continue
		}
		r.done = !r.failure.Sticky
		hit = &r.failure
	}
	return hit
}

func (f *Fault) err(op, name string) error {
	if hit := f.strike(Call{Op: op, Name: name}); hit != nil {
		return &fs.PathError{Op: op, Path: name, Err: hit.Err}
	}
	return nil
}

// Create implements [FS].
func (f *Fault) Create(name string) (File, error) {
	return f.file("create", name, f.FS.Create)
}

// Open implements [FS].
func (f *Fault) Open(name string) (File, error) {
	return f.file("open", name, f.FS.Open)
}

func (f *Fault) file(op, name string, open func(string) (File, error)) (File, error) {
	if err := f.err(op, name); err != nil {
		return nil, err
	}
	inner, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: inner, f: f, name: name}, nil
}

// Rename implements [FS].
func (f *Fault) Rename(from, to string) error {
	if err := f.err("rename", to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// Link implements [FS].
func (f *Fault) Link(from, to string) error {
	if err := f.err("link", to); err != nil {
		return err
	}
	return f.FS.Link(from, to)
}

// Clone implements [Cloner], if the file system below does.
func (f *Fault) Clone(from File, to string) (File, error) {
	if inner, ok := from.(*faultFile); ok && inner.f == f {
		from = inner.File
	}
	return f.file("clone", to, func(to string) (File, error) { return Clone(f.FS, from, to) })
}

// Remove implements [FS].
func (f *Fault) Remove(name string) error {
	if err := f.err("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// Mkdir implements [FS].
func (f *Fault) Mkdir(name string) error {
	if err := f.err("mkdir", name); err != nil {
		return err
	}
	return f.FS.Mkdir(name)
}

// SyncDir implements [FS].
func (f *Fault) SyncDir(name string) error {
	hit := f.strike(Call{Op: "syncdir", Name: name})
	if hit == nil {
		return f.FS.SyncDir(name)
	}
	if d, ok := f.FS.(interface{ dropUnsynced(dir string) }); ok && hit.Drop {
		d.dropUnsynced(name)
	}
	return &fs.PathError{Op: "syncdir", Path: name, Err: hit.Err}
}

// List implements [FS].
func (f *Fault) List(name string) ([]string, error) {
	if err := f.err("list", name); err != nil {
		return nil, err
	}
	return f.FS.List(name)
}

// Lock implements [FS].
func (f *Fault) Lock(dir string) (io.Closer, error) {
	if err := f.err("lock", dir); err != nil {
		return nil, err
	}
	return f.FS.Lock(dir)
}

type faultFile struct {
	File
	f    *Fault
	name string
}

func (f *faultFile) Write(p []byte) (int, error) {
	hit := f.f.strike(Call{Op: "write", Name: f.name})
	if hit == nil {
		return f.File.Write(p)
	}
	n := 0
	if hit.Short {
		n, _ = f.File.Write(p[:len(p)/2])
	}
	return n, &fs.PathError{Op: "write", Path: f.name, Err: hit.Err}
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	hit := f.f.strike(Call{Op: "read", Name: f.name, Offset: off})
	switch {
	case hit == nil:
		return f.File.ReadAt(p, off)
	case hit.Flip:
		n, err := f.File.ReadAt(p, off)
		for i := 0; i < n; i += 512 {
			p[i+min(512, n-i)/2] ^= 1
		}
		return n, err
	}
	n := 0
	if hit.Short {
		n, _ = f.File.ReadAt(p[:len(p)/2], off)
	}
	return n, failed("read", f.name, hit.Err)
}

// failed is the error of a file's call. The end of a file is not wrapped: readers compare.
func failed(op, name string, err error) error {
	if err == io.EOF {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (f *faultFile) Sync() error {
	hit := f.f.strike(Call{Op: "sync", Name: f.name})
	if hit == nil {
		return f.File.Sync()
	}
	if d, ok := f.File.(interface{ dropUnsynced() }); ok && hit.Drop {
		d.dropUnsynced()
	}
	return &fs.PathError{Op: "sync", Path: f.name, Err: hit.Err}
}

// Close always closes: a failed close leaves no open file behind.
func (f *faultFile) Close() error {
	hit := f.f.strike(Call{Op: "close", Name: f.name})
	if err := f.File.Close(); err != nil || hit == nil {
		return err
	}
	return &fs.PathError{Op: "close", Path: f.name, Err: hit.Err}
}
