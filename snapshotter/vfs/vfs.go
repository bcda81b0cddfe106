// Package vfs is the seam under everything durable: the few file-system calls that checkpoints and the file sink are
// made of. Code above it never touches package os, so a test can put another world below:
//
//	OS      the operating system
//	Mem     memory; with a recorder it lists every call and rebuilds what a crash after any of them may leave behind
//	Fault   wraps either and fails the k-th call
//
// What a caller may rely on after a crash is only what it synced: file content by [File.Sync], and a name's appearance,
// disappearance or new target by [FS.SyncDir] on its directory. Anything not synced may survive in part, in any order.
package vfs

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/pagetide/pagetide/meta"
)

// FS is a file system. Names are slash- or OS-separated paths, absolute or relative to the process. Errors satisfy
// errors.Is with fs.ErrNotExist, fs.ErrExist and fs.ErrPermission where these apply. All methods may be called
// concurrently.
type FS interface {
	// Create makes a new file, mode 0600, for writing and reading. A name that exists is fs.ErrExist.
	Create(name string) (File, error)

	// Open opens a regular file for reading. It does not follow a link in the last element, does not wait on a FIFO, and
	// refuses what is not a regular file.
	Open(name string) (File, error)

	// Rename moves a file within its file system, never over an existing name: that is fs.ErrExist and changes nothing.
	Rename(from, to string) error

	// Link gives an existing file a second name, never over an existing one.
	Link(from, to string) error

	// Remove deletes a file or an empty directory.
	Remove(name string) error

	// Mkdir makes one directory, mode 0700. A name that exists is fs.ErrExist.
	Mkdir(name string) error

	// SyncDir makes the directory's entries durable.
	SyncDir(name string) error

	// List returns the names in a directory, sorted.
	List(name string) ([]string, error)

	// Lock takes the directory for this owner until Close, or until the process ends. If another owner has it, in this
	// process or another, Lock returns an error that wraps meta.ErrLocked and names the holder's pid where it is known.
	Lock(dir string) (io.Closer, error)
}

// Held says whether a lock still covers the directory that its path leads to. When somebody has moved the directory away,
// or removed it, and perhaps made another, the error wraps meta.ErrRevoked: the new one may have another owner.
func Held(lock io.Closer) error {
	if h, ok := lock.(interface{ Held() error }); ok {
		return h.Held()
	}
	return nil // it cannot be moved while it is locked
}

func notHeld(dir string) error {
	return fmt.Errorf("%s is no longer the directory that was locked: %w", dir, meta.ErrRevoked)
}

// File is an open file. Write appends. Only ReadAt and Size may be called concurrently.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer

	// Sync makes the content durable. After an error the file must be abandoned: a second Sync may succeed without
	// having written anything.
	Sync() error

	// Size is the file's length in bytes.
	Size() (int64, error)
}

// MkdirAll makes a directory and every missing parent, and syncs the parent of each directory it made.
func MkdirAll(fsys FS, name string) error { return mkdirAll(fsys, name) }

// IsLink tells whether a name is a symbolic link, which may lead anywhere. Only the operating system has them.
func IsLink(fsys FS, name string) bool {
	l, ok := fsys.(interface{ IsLink(name string) bool })
	return ok && l.IsLink(name)
}

// Resolve returns the absolute path, free of links, of a name that exists. Only the operating system has links and a
// working directory: any other file system's names are only cleaned.
func Resolve(fsys FS, name string) (string, error) {
	if r, ok := fsys.(interface {
		Resolve(name string) (string, error)
	}); ok {
		return r.Resolve(name)
	}
	return filepath.Clean(name), nil
}
