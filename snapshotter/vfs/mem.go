package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pagetide/pagetide/meta"
)

// Mem is a file system in memory. It holds no more than its files do, and forgets with the process. Absolute and
// relative names start at the same root.
type Mem struct {
	mu   sync.RWMutex // guards every node
	root *node
	log  *recorder // nil unless a Crash records
}

// NewMem makes an empty file system.
func NewMem() *Mem { return &Mem{root: newDir()} }

// node is a file or a directory. Content only grows at its end, so a slice of it stays what it was.
type node struct {
	entries map[string]*node // nil for a file
	data    []byte
	synced  int // bytes of data known durable
	locked  bool
}

func newDir() *node { return &node{entries: map[string]*node{}} }

func (n *node) isDir() bool { return n.entries != nil }

// Create implements [FS].
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := &node{}
	if err := m.add("create", name, n, opCreate); err != nil {
		return nil, err
	}
	return &memFile{m: m, n: n, name: name, writable: true}, nil
}

// Clone implements [Cloner]. A crash may leave any part of it, as of a copy.
func (m *Mem) Clone(from File, to string) (File, error) {
	src, ok := from.(*memFile)
	if !ok || src.m != m {
		return nil, noClone(to)
	}
	f, err := m.Create(to)
	if err != nil {
		return nil, err
	}
	m.mu.RLock()
	b := src.n.data
	m.mu.RUnlock()
	_, err = f.Write(b)
	return f, err
}

// Mkdir implements [FS].
func (m *Mem) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.add("mkdir", name, newDir(), opMkdir)
}

// add enters n under a name that must be free.
func (m *Mem) add(op, name string, n *node, kind opKind) error {
	dir, base, err := m.parent(op, name)
	if err != nil {
		return err
	}
	if base == "" || dir.entries[base] != nil {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	}
	dir.entries[base] = n
	m.record(call{kind: kind, path: name, dir: dir, name: base, node: n})
	return nil
}

// Open implements [FS].
func (m *Mem) Open(name string) (File, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if n.isDir() {
		return nil, notRegular(name)
	}
	return &memFile{m: m, n: n, name: name}, nil
}

// Rename implements [FS].
func (m *Mem) Rename(from, to string) error {
	return m.move("rename", from, to, opRename)
}

// Link implements [FS].
func (m *Mem) Link(from, to string) error {
	return m.move("link", from, to, opLink)
}

func (m *Mem) move(op, from, to string, kind opKind) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fromDir, fromBase, err := m.parent(op, from)
	if err != nil {
		return err
	}
	toDir, toBase, err := m.parent(op, to)
	if err != nil {
		return err
	}
	n := fromDir.entries[fromBase]
	switch {
	case n == nil:
		return &os.LinkError{Op: op, Old: from, New: to, Err: fs.ErrNotExist}
	case toBase == "" || toDir.entries[toBase] != nil:
		return &os.LinkError{Op: op, Old: from, New: to, Err: fs.ErrExist}
	case kind == opLink && n.isDir():
		return &os.LinkError{Op: op, Old: from, New: to, Err: fs.ErrPermission}
	}
	toDir.entries[toBase] = n
	if kind == opRename {
		delete(fromDir.entries, fromBase)
	}
	m.record(call{kind: kind, path: from, path2: to, dir: fromDir, name: fromBase, dir2: toDir, name2: toBase, node: n})
	return nil
}

// Remove implements [FS].
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if len(n.entries) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: fmt.Errorf("directory not empty: %w", fs.ErrExist)}
	}
	delete(dir.entries, base)
	m.record(call{kind: opRemove, path: name, dir: dir, name: base, node: n})
	return nil
}

// SyncDir implements [FS].
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.directory("sync", name)
	if err != nil {
		return err
	}
	m.record(call{kind: opSyncDir, path: name, dir: n})
	return nil
}

// dropUnsynced has a directory's entries that were not synced seem to be clean, as a kernel may after a failed fsync: they
// are seen until the next power cut, and no later sync saves them.
func (m *Mem) dropUnsynced(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, err := m.directory("sync", dir); err == nil {
		m.record(call{kind: opDropDir, path: dir, dir: n})
	}
}

// List implements [FS].
func (m *Mem) List(name string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.directory("list", name)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.entries)), nil
}

// Lock implements [FS]. The lock excludes other owners that use this Mem.
func (m *Mem) Lock(dir string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.directory("lock", dir)
	if err != nil {
		return nil, err
	}
	if n.locked {
		return nil, fmt.Errorf("%s: %w with pid %d", dir, meta.ErrLocked, os.Getpid())
	}
	n.locked = true
	return &memLock{m: m, n: n, dir: dir}, nil
}

type memLock struct {
	m   *Mem
	n   *node // nil once released
	dir string
}

// Held is for the function of that name.
func (l *memLock) Held() error {
	l.m.mu.RLock()
	defer l.m.mu.RUnlock()
	if n, err := l.m.directory("lock", l.dir); err != nil || n != l.n {
		return notHeld(l.dir)
	}
	return nil
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.n != nil {
		l.n.locked = false
		l.n = nil
	}
	return nil
}

func (m *Mem) record(c call) {
	if m.log != nil {
		m.log.calls = append(m.log.calls, c)
	}
}

func (m *Mem) lookup(op, name string) (*node, error) {
	n := m.root
	for _, part := range parts(name) {
		if n = n.entries[part]; n == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

func (m *Mem) directory(op, name string) (*node, error) {
	n, err := m.lookup(op, name)
	if err != nil {
		return nil, err
	}
	if !n.isDir() {
		return nil, &fs.PathError{Op: op, Path: name, Err: fmt.Errorf("not a directory: %w", fs.ErrInvalid)}
	}
	return n, nil
}

// parent finds the directory that holds name, and name's last element there; the root has none.
func (m *Mem) parent(op, name string) (*node, string, error) {
	p := parts(name)
	if len(p) == 0 {
		return m.root, "", nil
	}
	n := m.root
	for _, part := range p[:len(p)-1] {
		if n = n.entries[part]; n == nil || !n.isDir() {
			return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return n, p[len(p)-1], nil
}

func parts(name string) []string {
	name = strings.Trim(path.Clean("/"+filepath.ToSlash(name)), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}
