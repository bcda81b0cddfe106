package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// sinkWriter writes for one subtask. After an error it is of no more use: a file whose sync failed is never tried again.
type sinkWriter[T any] struct {
	s      *sink[T]
	id     writerID
	seq    uint64 // of the next hidden file
	hidden string // the name of file
	file   vfs.File
	buf    *bufio.Writer
	enc    encoder[T]
	err    error
}

// writeBuffer is how many bytes go to a file at a time.
const writeBuffer = 64 << 10

// Open implements [engine.Sink].
func (s *sink[T]) Open(_ context.Context, t engine.Task) (engine.Writer[T], error) {
	if s.bad != nil {
		return nil, s.bad
	}
	if err := vfs.MkdirAll(s.fs, s.dir); err != nil {
		return nil, s.fail("make folder", s.dir, err)
	}
	buf := bufio.NewWriterSize(nil, writeBuffer)
	id := writerID{owner: ownerOf(t), attempt: t.Attempt, subtask: t.Index}
	return &sinkWriter[T]{s: s, id: id, buf: buf, enc: s.encoder(buf)}, nil
}

// Write implements [engine.Writer]. It is step 1.
func (w *sinkWriter[T]) Write(_ context.Context, batch []T) error {
	if w.err == nil && len(batch) > 0 {
		w.err = w.write(batch)
	}
	return w.err
}

func (w *sinkWriter[T]) write(batch []T) error {
	if w.file == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	for i := range batch {
		if err := w.enc.encode(&batch[i]); err != nil {
			return w.rowFault(err)
		}
	}
	return nil
}

func (w *sinkWriter[T]) begin() error {
	name := w.id.hidden(w.seq)
	f, err := w.s.fs.Create(w.s.path(name))
	if err != nil {
		return w.s.fail("create", w.s.path(name), err)
	}
	w.seq++
	w.hidden, w.file = name, f
	w.buf.Reset(f)
	if err := w.enc.begin(); err != nil {
		return w.s.fail("write", w.s.path(name), err)
	}
	return nil
}

// rowFault tells a value that the format cannot say, which is the same next time, from a disk that cannot take it.
func (w *sinkWriter[T]) rowFault(err error) error {
	if value, ok := errors.AsType[*valueError](err); ok {
		return engine.Permanent(fmt.Errorf("output: %s: row cannot be written as %s: %w", w.s.path(w.hidden), w.s.format(), value.err))
	}
	return w.s.fail("write", w.s.path(w.hidden), err)
}

// Prepare implements [engine.Writer].
func (w *sinkWriter[T]) Prepare(_ context.Context, checkpoint uint64) (engine.Txn, error) {
	if w.err != nil {
		return nil, w.err
	}
	if w.file == nil {
		return nil, nil
	}
	if w.err = w.seal(); w.err != nil {
		return nil, w.err
	}
	h := handle{hidden: w.hidden, final: w.id.final(checkpoint, w.s.suffix)}
	w.hidden, w.file = "", nil
	return h.txn(), nil
}

// seal is steps 2 and 3.
func (w *sinkWriter[T]) seal() (err error) {
	name := w.s.path(w.hidden)
	if err := w.buf.Flush(); err != nil {
		return w.s.fail("write", name, err)
	}
	err = w.file.Sync() // guard: sink-sync-file
	if err != nil {
		return w.s.fail("sync", name, err)
	}
	if err := w.file.Close(); err != nil {
		return w.s.fail("close", name, err)
	}
	err = w.s.fs.SyncDir(w.s.dir) // guard: sink-sync-dir-prepare
	return w.s.fail("sync", w.s.dir, err)
}

// Close implements [engine.Writer]. Rows that were not prepared go with their file.
func (w *sinkWriter[T]) Close() error {
	if w.file == nil {
		return nil
	}
	w.file.Close() // the rows are given up, so its verdict does not matter
	w.file = nil
	return w.s.remove(w.hidden)
}
