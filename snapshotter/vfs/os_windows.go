package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/pagetide/pagetide/meta"
	"golang.org/x/sys/windows"
)

func openNoFollow(name string) (*os.File, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(name)
	}
	return os.Open(name)
}

// syncDir does nothing: NTFS journals its directories, and a directory handle cannot be flushed.
func syncDir(name string) error {
	_, err := os.Stat(name)
	return err
}

func renameNoReplace(from, to string) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(f, t, windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// lockDir locks a byte far beyond the end of the owner file, so that its content stays readable to the next one. An
// open file cannot be removed here, so the file stands for the directory.
func lockDir(dir string) (io.Closer, error) {
	name := filepath.Join(dir, ownerFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, at); err != nil {
		f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil, fmt.Errorf("%s: %w%s", dir, meta.ErrLocked, describeOwner(dir))
		}
		return nil, &os.PathError{Op: "lock", Path: dir, Err: err}
	}
	f.Truncate(0)
	fmt.Fprintln(f, os.Getpid())
	return &dirLock{f: f}, nil
}

type dirLock struct {
	f    *os.File
	once sync.Once
	err  error
}

func (l *dirLock) Close() error {
	l.once.Do(func() { l.err = l.f.Close() })
	return l.err
}
