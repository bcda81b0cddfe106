//go:build unix

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/pagetide/pagetide/meta"
	"golang.org/x/sys/unix"
)

// openNoFollow neither follows a link nor waits for a FIFO's writer; the caller checks what it got.
func openNoFollow(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ELOOP), // a link
		errors.Is(err, unix.ENXIO), errors.Is(err, unix.EOPNOTSUPP): // a socket
		return nil, notRegular(name)
	}
	return f, err
}

func syncDir(name string) error {
	d, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockDir locks the directory itself: a lock file could be removed and made again, and would then admit two owners.
// flock belongs to the open file, so two owners in one process exclude each other too.
func lockDir(dir string) (io.Closer, error) {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err := flock(d); err != nil {
		d.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w%s", dir, meta.ErrLocked, describeOwner(dir))
		}
		return nil, &fs.PathError{Op: "lock", Path: dir, Err: err}
	}
	writeOwner(dir)
	return &dirLock{d: d}, nil
}

func flock(d *os.File) error {
	for {
		if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EINTR {
			return err
		}
	}
}

type dirLock struct {
	d    *os.File
	once sync.Once
	err  error
}

// Held is for the function of that name.
func (l *dirLock) Held() error {
	locked, err := l.d.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(l.d.Name())
	if err != nil || !os.SameFile(locked, named) {
		return notHeld(l.d.Name())
	}
	return nil
}

func (l *dirLock) Close() error {
	l.once.Do(func() {
		if l.Held() == nil {
			os.Remove(filepath.Join(l.d.Name(), ownerFile))
		}
		l.err = l.d.Close()
	})
	return l.err
}

// renameByLink is for file systems without an exclusive rename. A crash in between leaves both names. What cannot be
// linked is checked and renamed, which is safe under the directory's lock.
func renameByLink(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}
