package vfs

import (
	"errors"
	"fmt"
)

// Cloner is a file system that can make a copy which shares the blocks of its original until one of the two is written.
type Cloner interface {
	// Clone makes a new file with the content of from, which is open and was opened here. Like a copy it is durable only
	// when it was synced. A name that exists is fs.ErrExist. Where sharing is not possible, between two disks for
	// instance, the error wraps errors.ErrUnsupported and nothing is left behind.
	Clone(from File, to string) (File, error)
}

// Clone clones a file if the file system can; else the error wraps errors.ErrUnsupported, and a copy must do.
func Clone(fsys FS, from File, to string) (File, error) {
	if c, ok := fsys.(Cloner); ok {
		return c.Clone(from, to)
	}
	return nil, noClone(to)
}

func noClone(to string) error { return fmt.Errorf("clone to %s: %w", to, errors.ErrUnsupported) }
