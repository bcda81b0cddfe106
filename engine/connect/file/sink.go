package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// SinkOption changes how a sink writes.
type SinkOption func(*sinkConfig)

type sinkConfig struct {
	fs           vfs.FS
	requireEmpty bool
}

// OnFS makes the sink write to another file system, for tests.
func OnFS(fsys vfs.FS) SinkOption { return func(c *sinkConfig) { c.fs = fsys } }

// RequireEmpty makes a fresh start fail with meta.ErrExists if the directory already holds committed rows, that is, files
// named part-*. A resumed job goes on beside its own. A fresh start that discards what its job's earlier run left deletes
// that run's files first.
func RequireEmpty() SinkOption { return func(c *sinkConfig) { c.requireEmpty = true } }

// JSONLinesSink writes one JSON value per line into files in dir, exactly once: rows become visible only when the commit
// of their checkpoint renames their file to part-*.jsonl. Each subtask makes at most one file per checkpoint, and none
// without rows. The directory is a plain path or a file: URI; any other scheme is an error when the job starts.
//
// What other runs and other jobs have committed to the directory stays, and new rows come beside it: a job that is run
// twice leaves its rows twice. [RequireEmpty] refuses that.
//
// The order that makes it exactly-once; each step is durable before the next begins:
//
//	1 Write    rows go to a hidden file
//	2 Prepare  sync the file
//	3          sync the directory: the hidden name is found again after a crash
//	4          the checkpoint keeps the handle; from here on the rows count
//	5 Commit   rename, never over an existing name
//	6          sync the directory; only then may a checkpoint forget the handle
//
// After a crash, Recover repeats 5 and 6 for the handles of the restored checkpoint and deletes this job's other hidden
// files: their rows are written again.
func JSONLinesSink[T any](dir string, o ...SinkOption) engine.Sink[T] {
	return newSink(dir, jsonSuffix, nil, newJSONEncoder[T], o)
}

func newSink[T any](dir, suffix string, bad error, enc func(io.Writer) encoder[T], o []SinkOption) engine.Sink[T] {
	path, err := folderPath(dir)
	s := &sink[T]{dir: path, suffix: suffix, encoder: enc, bad: cmp.Or(err, bad), sinkConfig: sinkConfig{fs: vfs.OS()}}
	for _, set := range o {
		set(&s.sinkConfig)
	}
	return s
}

type sink[T any] struct {
	dir     string
	suffix  string // of the files with committed rows
	encoder func(io.Writer) encoder[T]
	bad     error // what is wrong with the name of dir, or with T
	sinkConfig
}

// Recover implements [engine.Sink].
func (s *sink[T]) Recover(_ context.Context, t engine.Task, prepared []engine.Txn) error {
	if s.bad != nil {
		return s.bad
	}
	handles, err := parseHandles(prepared)
	if err != nil {
		return engine.Permanent(s.fail("recover", s.dir, err))
	}
	names, err := s.fs.List(s.dir)
	if errors.Is(err, fs.ErrNotExist) && len(handles) == 0 {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return engine.Permanent(fmt.Errorf("output folder %s is gone, and with it prepared rows in %s: %w", s.dir, handles[0].hidden, err))
	}
	if err != nil {
		return s.fail("recover", s.dir, err)
	}
	for _, h := range handles {
		if err := s.publish(h); err != nil {
			return err
		}
	}
	if len(handles) > 0 {
		if err := s.syncRenames(); err != nil {
			return err
		}
	}
	if err := s.removeHidden(names, ownerOf(t), handles); err != nil {
		return err
	}
	if !t.Fresh || len(handles) > 0 {
		return nil
	}
	return s.startFresh(t)
}

func parseHandles(txns []engine.Txn) ([]handle, error) {
	handles := make([]handle, len(txns))
	for i, t := range txns {
		h, err := parseHandle(t)
		if err != nil {
			return nil, err
		}
		handles[i] = h
	}
	return handles, nil
}

// removeHidden deletes what its owner began and no checkpoint names. A deletion that a crash undoes is done again.
func (s *sink[T]) removeHidden(names []string, o owner, keep []handle) error {
	kept := map[string]bool{}
	for _, h := range keep {
		kept[h.hidden] = true
	}
	for _, name := range names {
		if w, ok := parseHidden(name); !ok || w.owner != o || kept[name] {
			continue
		}
		if err := s.remove(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink[T]) remove(name string) error {
	if err := s.fs.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.fail("remove", s.path(name), err)
	}
	return nil
}

// startFresh clears away what an earlier run of the job left, if it may, and looks for what else is there.
func (s *sink[T]) startFresh(t engine.Task) error {
	if t.Discard != 0 {
		if err := s.discard(t.Discard); err != nil {
			return err
		}
	}
	if !s.requireEmpty {
		return nil
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return s.fail("list", s.dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, finalPrefix) {
			return engine.Permanent(fmt.Errorf("output folder %s %w: %s", s.dir, meta.ErrExists, name))
		}
	}
	return nil
}

// discard deletes the rows of an earlier run, committed or not. It lasts: rows that came back would mix with the new ones.
func (s *sink[T]) discard(job meta.JobID) error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return s.fail("list", s.dir, err)
	}
	gone := 0
	for _, name := range names {
		w, ok := parseFinal(name)
		if !ok {
			w, ok = parseHidden(name)
		}
		if !ok || w.owner.job != job {
			continue
		}
		if err := s.remove(name); err != nil {
			return err
		}
		gone++
	}
	if gone == 0 {
		return nil
	}
	err = s.fs.SyncDir(s.dir) // guard: sink-sync-dir-discard
	return s.fail("sync", s.dir, err)
}

// Commit implements [engine.Sink].
func (s *sink[T]) Commit(_ context.Context, txn engine.Txn) error {
	h, err := parseHandle(txn)
	if err != nil {
		return engine.Permanent(s.fail("commit", s.dir, err))
	}
	if err := s.publish(h); err != nil {
		return err
	}
	return s.syncRenames()
}

// publish is step 5. If it was done before, that is fine; if the rows are in neither place, they are lost and it says so.
func (s *sink[T]) publish(h handle) error {
	err := s.fs.Rename(s.path(h.hidden), s.path(h.final))
	if err == nil {
		return nil
	}
	hidden, err1 := s.exists(h.hidden)
	final, err2 := s.exists(h.final)
	switch {
	case err1 != nil || err2 != nil:
		return s.fail("commit", s.path(h.final), errors.Join(err1, err2))
	case final && !hidden:
		return nil
	case final:
		return s.resolve(h)
	case !hidden:
		return engine.Permanent(fmt.Errorf("commit %s: prepared rows are lost: neither it nor %s is there: %w",
			s.path(h.final), h.hidden, fs.ErrNotExist))
	}
	return s.fail("commit", s.path(h.final), err)
}

// resolve is for both names being there: where a rename is made of a link and a removal, a crash may come in between.
func (s *sink[T]) resolve(h handle) error {
	same, err := s.same(h.hidden, h.final)
	switch {
	case err != nil:
		return s.fail("commit", s.path(h.final), err)
	case !same:
		return engine.Permanent(fmt.Errorf("commit %s: it is there with other rows than %s: %w", s.path(h.final), h.hidden, fs.ErrExist))
	}
	return s.remove(h.hidden)
}

// syncRenames is step 6.
func (s *sink[T]) syncRenames() (err error) {
	err = s.fs.SyncDir(s.dir) // guard: sink-sync-dir-commit
	return s.fail("sync", s.dir, err)
}

func (s *sink[T]) exists(name string) (bool, error) {
	f, err := s.fs.Open(s.path(name))
	switch {
	case err == nil:
		return true, f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

// same compares two files byte by byte.
func (s *sink[T]) same(a, b string) (bool, error) {
	ra, na, err := s.reader(a)
	if err != nil {
		return false, err
	}
	defer ra.Close()
	rb, nb, err := s.reader(b)
	if err != nil {
		return false, err
	}
	defer rb.Close()
	if na != nb {
		return false, nil
	}
	var ba, bb [4096]byte
	for at := int64(0); at < na; {
		n := min(na-at, int64(len(ba)))
		if _, err := ra.ReadAt(ba[:n], at); err != nil && err != io.EOF {
			return false, err
		}
		if _, err := rb.ReadAt(bb[:n], at); err != nil && err != io.EOF {
			return false, err
		}
		if !bytes.Equal(ba[:n], bb[:n]) {
			return false, nil
		}
		at += n
	}
	return true, nil
}

func (s *sink[T]) reader(name string) (vfs.File, int64, error) {
	f, err := s.fs.Open(s.path(name))
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

// format is what the rows are, for messages.
func (s *sink[T]) format() string {
	if s.suffix == csvSuffix {
		return "CSV"
	}
	return "JSON"
}

func (s *sink[T]) path(name string) string { return filepath.Join(s.dir, name) }

// fail names the file, unless there is no error. What waiting cannot mend is permanent.
func (s *sink[T]) fail(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok && path.Path == name {
		err = path.Err
	}
	named := fmt.Errorf("output: %s %s: %w", doing, name, err)
	if isFull(err) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOTDIR) {
		return engine.Permanent(named)
	}
	return named
}

func isFull(err error) bool {
	const windowsDiskFull = syscall.Errno(112)
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		runtime.GOOS == "windows" && errors.Is(err, windowsDiskFull)
}
