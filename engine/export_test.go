package engine

import "github.com/pagetide/pagetide/snapshotter/vfs"

// On puts the checkpoints on another file system.
func (c Checkpoints) On(fsys vfs.FS) Checkpoints {
	c.fs = fsys
	return c
}

// MemoryShare is how the memory limit is shared out.
var MemoryShare = memoryShare
