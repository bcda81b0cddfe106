package vfs

import (
	"fmt"
	"io"
	"io/fs"
)

// memFile is one handle on a node; the node outlives its names.
type memFile struct {
	m        *Mem
	n        *node
	name     string
	writable bool
	closed   bool
}

func (f *memFile) check(op string) error {
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("write"); err != nil {
		return 0, err
	}
	if !f.writable {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrPermission}
	}
	at := len(f.n.data)
	f.n.data = append(f.n.data, p...)
	f.m.record(call{kind: opWrite, path: f.name, node: f.n, data: f.n.data[at:len(f.n.data):len(f.n.data)]})
	return len(p), nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fmt.Errorf("negative offset: %w", fs.ErrInvalid)}
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("sync"); err != nil {
		return err
	}
	f.n.synced = len(f.n.data)
	f.m.record(call{kind: opSync, path: f.name, node: f.n})
	return nil
}

// dropUnsynced forgets what was not synced, as a kernel does after a failed fsync.
func (f *memFile) dropUnsynced() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.n.data = f.n.data[:f.n.synced:f.n.synced]
	f.m.record(call{kind: opDrop, path: f.name, node: f.n})
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if err := f.check("size"); err != nil {
		return 0, err
	}
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("close"); err != nil {
		return err
	}
	f.closed = true
	return nil
}
