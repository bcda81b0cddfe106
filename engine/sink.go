package engine

import (
	"context"

	"github.com/pagetide/pagetide/meta"
)

// Sink writes records to the outside, exactly once, by a two-phase commit: at a barrier each Writer prepares what it
// wrote since the last one; when the checkpoint is durable, Commit makes it visible. A sink that has no transactions
// embeds [AtLeastOnce] and says so by that. One Sink value serves all subtasks and all attempts of a job.
type Sink[T any] interface {
	// Recover runs once at the start of each attempt, before any Open. It commits the prepared transactions, which the
	// restored checkpoint names, and discards whatever else this job's earlier attempts have prepared or begun. Task
	// carries the job and the uid; its index is zero.
	Recover(ctx context.Context, t Task, prepared []Txn) error

	// Open makes the writer of one subtask.
	Open(ctx context.Context, t Task) (Writer[T], error)

	// Commit makes a prepared transaction visible, durably. It must be idempotent: it is repeated until it succeeds, and
	// again after a restore. It runs beside the Writers.
	Commit(ctx context.Context, txn Txn) error
}

// Writer writes for one subtask. It is used by one goroutine at a time.
type Writer[T any] interface {
	// Write takes a batch. The slice is reused after Write returns; what its records refer to is the writer's to keep.
	Write(ctx context.Context, batch []T) error

	// Prepare is called at the barrier of a checkpoint. All that was written before is durable when it returns, and
	// becomes visible only by Commit of the transaction it returns; nil if nothing was written.
	Prepare(ctx context.Context, checkpoint uint64) (Txn, error)

	// Close releases resources. What was not prepared is given up.
	Close() error
}

// Txn names a prepared transaction, in the sink's own terms. It is stored in the checkpoint.
type Txn []byte

// Task says for whom a sink works.
type Task struct {
	Job         string // the job's name
	JobID       meta.JobID
	UID         string // the sink's uid
	Attempt     meta.Attempt
	Index       int // of the subtask
	Parallelism int

	Fresh   bool       // the job starts from nothing, not from a checkpoint; set for Recover
	Discard meta.JobID // with Fresh: the id of an earlier run, whose output may be deleted; zero: nothing may
}

// AtLeastOnce marks a sink without transactions when embedded: after a restore, records since the restored checkpoint
// are written again.
type AtLeastOnce struct{}

func (AtLeastOnce) atLeastOnce() {}

// Recover has nothing to recover.
func (AtLeastOnce) Recover(context.Context, Task, []Txn) error { return nil }

// Commit has nothing to commit.
func (AtLeastOnce) Commit(context.Context, Txn) error { return nil }

// SinkFunc makes a sink of a function that takes batches, at least once. With a parallelism above one it is called
// concurrently.
func SinkFunc[T any](write func(ctx context.Context, batch []T) error) Sink[T] {
	if write == nil {
		return nil // a mistake: no sink
	}
	return funcSink[T]{write: write}
}

type funcSink[T any] struct {
	AtLeastOnce
	write func(context.Context, []T) error
}

func (s funcSink[T]) Open(context.Context, Task) (Writer[T], error) {
	return funcWriter[T](s.write), nil
}

type funcWriter[T any] func(context.Context, []T) error

func (w funcWriter[T]) Write(ctx context.Context, batch []T) error   { return w(ctx, batch) }
func (w funcWriter[T]) Prepare(context.Context, uint64) (Txn, error) { return nil, nil }
func (w funcWriter[T]) Close() error                                 { return nil }
