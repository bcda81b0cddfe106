package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// mkdirAll goes up to the deepest directory that exists and makes the missing ones from there down. The one that exists
// is synced too: a process killed between its Mkdir and its SyncDir may have left it.
func mkdirAll(fsys FS, name string) error {
	name = filepath.Clean(name)
	parent := filepath.Dir(name)
	switch _, err := fsys.List(name); {
	case err == nil:
		if err := fsys.SyncDir(parent); !errors.Is(err, fs.ErrPermission) { // guard: sync-known-parent
			return err
		}
		return nil // a parent that cannot be opened was not made by us
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("make directory %s: %w", name, err)
	case parent == name:
		return err
	}
	if err := mkdirAll(fsys, parent); err != nil {
		return err
	}
	if err := fsys.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent) // guard: sync-parent
}
