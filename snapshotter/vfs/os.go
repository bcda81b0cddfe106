package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pagetide/pagetide/meta"
)

// ownerFile holds the pid of the lock's owner, for the message to the next one. Nothing else believes it.
const ownerFile = ".owner"

// OS is the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(name string) (File, error) {
	f, err := openNoFollow(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, notRegular(name)
	}
	return osFile{f}, nil
}

// Clone implements [Cloner].
func (o osFS) Clone(from File, to string) (File, error) {
	src, ok := from.(osFile)
	if !ok {
		return nil, noClone(to)
	}
	f, err := o.Create(to)
	if err != nil {
		return nil, err
	}
	if err := cloneInto(f.(osFile).File, src.File); err != nil {
		return nil, errors.Join(fmt.Errorf("clone to %s: %w", to, err), f.Close(), o.Remove(to))
	}
	return f, nil
}

func notRegular(name string) error {
	return &meta.DamageError{File: name, What: "not a regular file"}
}

func (osFS) Rename(from, to string) error { return renameNoReplace(from, to) }
func (osFS) Link(from, to string) error   { return os.Link(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) Mkdir(name string) error      { return os.Mkdir(name, 0o700) }
func (osFS) SyncDir(name string) error    { return syncDir(name) }

func (osFS) List(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.Name() != ownerFile {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (osFS) IsLink(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

func (osFS) Resolve(name string) (string, error) {
	name, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(name)
}

func (osFS) Lock(dir string) (io.Closer, error) { return lockDir(dir) }

// writeOwner replaces the pid file. It is best effort: the lock is held already and does not depend on it.
func writeOwner(dir string) {
	name := filepath.Join(dir, ownerFile)
	os.Remove(name)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	f.Close()
}

// describeOwner reads " with pid N", or nothing if the file does not hold a number.
func describeOwner(dir string) string {
	f, err := OS().Open(filepath.Join(dir, ownerFile))
	if err != nil {
		return ""
	}
	defer f.Close()
	var b [20]byte
	n, _ := f.ReadAt(b[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid <= 0 {
		return ""
	}
	return fmt.Sprintf(" with pid %d", pid)
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
