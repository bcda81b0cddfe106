package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Stdout prints records to standard output, as [Lines] does.
func Stdout[T any]() Sink[T] { return Lines[T](os.Stdout) }

// Lines prints each record to w on a line of its own, as fmt.Println does, at least once: after a restart, records since
// the checkpoint are printed again. Lines of several subtasks come in any order, whole: w is called for one batch at a
// time, by one goroutine. That it is closed ends the job, any other error the attempt. It is not closed.
func Lines[T any](w io.Writer) Sink[T] { return &lineSink[T]{w: w} }

type lineSink[T any] struct {
	AtLeastOnce
	mu sync.Mutex // held while w is called
	w  io.Writer
}

func (s *lineSink[T]) Open(context.Context, Task) (Writer[T], error) {
	if s.w == nil {
		return nil, Permanent(errors.New("the writer is nil"))
	}
	return &lineWriter[T]{sink: s}, nil
}

func (s *lineSink[T]) print(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.w.Write(b)
	if errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		return Permanent(err)
	}
	return err
}

type lineWriter[T any] struct {
	sink *lineSink[T]
	buf  bytes.Buffer
}

func (w *lineWriter[T]) Write(_ context.Context, batch []T) error {
	w.buf.Reset()
	for i := range batch {
		fmt.Fprintln(&w.buf, batch[i])
	}
	return w.sink.print(w.buf.Bytes())
}

func (w *lineWriter[T]) Prepare(context.Context, uint64) (Txn, error) { return nil, nil }
func (w *lineWriter[T]) Close() error                                 { return nil }
