package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// recall reads the checkpoint that the run is to continue, if there is one, for the job's recorded flags. The engine
// reads it again, under the lock, and has the last word.
func (s *session) recall(a *jobFlags) error {
	restore := s.config.options.Restore // what settings say of it
	restore.Path, restore.Fresh, restore.Rewind, restore.IgnoreExtra = s.flags.from, s.flags.fresh, s.flags.rewind, s.flags.ignoreExtra
	if s.flags.resume {
		restore.Path, restore.OrFresh = engine.Latest, true
	}
	s.config.options.Restore = restore
	s.dir = filepath.Join(s.config.dir, s.config.name)
	if restore.Path == "" {
		return nil
	}
	if _, err := parseDir(restore.Path); err != nil {
		return usage(err, "")
	}
	m, path, err := s.peek(restore.Path)
	switch {
	case errors.Is(err, meta.ErrNotFound) && restore.OrFresh && !holdsMetadata(s.dir):
		s.fresh = true
		return nil
	case err != nil:
		return s.refused(err)
	case m.Name != s.config.name:
		err := fmt.Errorf("%s is of job %q, not of %q: %w", path, m.Name, s.config.name, meta.ErrIncompatible)
		return &problem{exitCheckpoint, err, s.hintOther(m.Name, path)}
	}
	remarks, err := a.recall(m.Args)
	if err != nil {
		return s.refused(err)
	}
	for _, r := range remarks {
		s.screen.say("%s", r)
	}
	return nil
}

func (s *session) peek(path string) (*meta.Metadata, string, error) {
	if path == engine.Latest {
		path = s.dir
	}
	m, at, err := readMetadata(path, s.config)
	if err != nil {
		return nil, "", s.orLocked(err)
	}
	return m, at, nil
}

// orLocked prefers to say that another process is at work in the job's directory: then a checkpoint that was there a
// moment ago may be gone for good reason.
func (s *session) orLocked(err error) error {
	lock, lockErr := vfs.OS().Lock(s.dir)
	if lockErr == nil {
		lock.Close()
	}
	if errors.Is(lockErr, meta.ErrLocked) {
		return lockErr
	}
	return err
}

// holdsMetadata says whether there is a checkpoint where path leads. If it cannot be found nevertheless, its data files
// are missing: it is not to be taken for none, because a fresh start deletes it.
func holdsMetadata(path string) bool {
	if path, err := parseDir(path); err == nil {
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() || exists(filepath.Join(path, meta.FileName)) {
			return true
		}
		entries, _ := os.ReadDir(path) // a directory that cannot be read is another error
		for _, e := range entries {
			if isChk(e.Name()) && exists(filepath.Join(path, e.Name(), meta.FileName)) {
				return true
			}
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isChk recognises chk-7, and not chk-07, which is somebody else's.
func isChk(name string) bool {
	id, err := strconv.ParseUint(strings.TrimPrefix(name, "chk-"), 10, 64)
	return err == nil && name == fmt.Sprintf("chk-%d", id)
}

func readMetadata(path string, c config) (*meta.Metadata, string, error) {
	cp, err := loadCheckpoint(path, c)
	if err != nil {
		return nil, "", err
	}
	defer cp.Close() // read only
	return cp.Meta, cp.Path, nil
}

// loadCheckpoint opens a checkpoint. Its data files may lie in the configured data directory.
func loadCheckpoint(path string, c config) (*snapshotter.Checkpoint, error) {
	var o snapshotter.LoadOptions
	if data := c.options.Checkpoints.DataDir; data != "" {
		dir, err := snapshotter.ParseDir(data)
		if err != nil {
			return nil, err
		}
		o.DataDir = filepath.Join(dir, c.name)
	}
	return snapshotter.Load(path, o)
}
