package enginetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/internal/sim"
	"github.com/pagetide/pagetide/meta"
)

// Sink collects what a job commits, exactly once, by transactions. The zero value is ready; a job gets its address. Its
// methods may be called concurrently.
type Sink[T any] struct {
	mu       sync.Mutex // guards the fields below
	prepared map[string]written[T]
	done     map[string]bool // handles that were committed
	rows     []written[T]
	next     int
	history  history // of a job in [Run]
}

// written is what a transaction has brought.
type written[T any] struct {
	rows   []T
	branch int
	at     meta.CheckpointID // whose barrier it was prepared at
}

// Rows returns what is committed: by one subtask in the order in which it was written, between subtasks in any. What a job
// in [Run] was put back from is not among it.
func (s *Sink[T]) Rows() (all []T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.rows {
		if s.history.has(w.branch, w.at) {
			all = append(all, w.rows...)
		}
	}
	return all
}

// follow implements output.
func (s *Sink[T]) follow(h history) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = h
}

// Recover implements [engine.Sink].
func (s *Sink[T]) Recover(ctx context.Context, _ engine.Task, prepared []engine.Txn) error {
	if l, ok := sim.Of(ctx).(*life); ok {
		l.w.opens(s)
	}
	for _, txn := range prepared {
		if err := s.Commit(ctx, txn); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.prepared)
	return nil
}

// Open implements [engine.Sink].
func (s *Sink[T]) Open(context.Context, engine.Task) (engine.Writer[T], error) {
	return &sinkWriter[T]{sink: s}, nil
}

// Commit implements [engine.Sink].
func (s *Sink[T]) Commit(_ context.Context, txn engine.Txn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	handle := string(txn)
	if s.done[handle] {
		return nil
	}
	rows, ok := s.prepared[handle]
	if !ok {
		return engine.Permanent(fmt.Errorf("transaction %s was never prepared, or was given up", handle))
	}
	s.rows = append(s.rows, rows)
	s.done[handle] = true
	delete(s.prepared, handle)
	return nil
}

// prepare keeps rows for a commit.
func (s *Sink[T]) prepare(rows []T, at meta.CheckpointID) engine.Txn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared == nil {
		s.prepared, s.done = map[string]written[T]{}, map[string]bool{}
	}
	s.next++
	handle := fmt.Sprint(s.next)
	s.prepared[handle] = written[T]{rows, s.history.now(), at}
	return engine.Txn(handle)
}

type sinkWriter[T any] struct {
	sink *Sink[T]
	rows []T
}

func (w *sinkWriter[T]) Write(_ context.Context, batch []T) error {
	w.rows = append(w.rows, batch...)
	return nil
}

func (w *sinkWriter[T]) Prepare(_ context.Context, checkpoint uint64) (engine.Txn, error) {
	if len(w.rows) == 0 {
		return nil, nil
	}
	rows := w.rows
	w.rows = nil
	return w.sink.prepare(rows, meta.CheckpointID(checkpoint)), nil
}

func (w *sinkWriter[T]) Close() error { return nil }
