package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// loading follows the state of a restored checkpoint into memory. The tasks report what has become of their stores; a
// goroutine of its own waits for that, verifies what no store had room for, and closes the checkpoint when nobody reads
// from it any more. While it is open it is not retired, and while it is not verified the job does not finish.
type loading struct {
	from   *snapshotter.Checkpoint
	began  time.Time
	stores int

	loaded   chan bool     // by store: nothing is loaded in the background any more; true: all of it is in memory
	left     chan struct{} // by store: nothing is read from the checkpoint any more
	verified chan struct{} // closed when all that was restored has been verified
	done     atomic.Bool   // verified is closed
}

func newLoading(from *snapshotter.Checkpoint, now time.Time) *loading {
	return &loading{from: from, began: now, verified: make(chan struct{})}
}

// share is one store's part of a loading. It belongs to the store's task.
type share struct {
	of   *loading    // nil: nothing to report
	from meta.Loader // what the store reads
	told bool        // that nothing is loaded in the background
}

// join adds a store that reads from a loader of the checkpoint.
func (l *loading) join(from meta.Loader) share {
	l.stores++
	return share{of: l, from: from}
}

// report tells what has changed since the last call.
func (s *share) report(store *mmapstate.Store) {
	if s.of == nil || store.Loading() {
		return
	}
	l, gone := s.of, !store.Reads(s.from)
	if gone {
		l.left <- struct{}{}
		s.of = nil
	}
	if !s.told { // second: who knows it knows whether the store has left
		resident, pages := store.Residency()
		s.told = true
		l.loaded <- resident == pages
	}
}

// ready is called when all stores have joined, before any reports. What has been verified already need not be again.
func (l *loading) ready(verified bool) {
	l.loaded, l.left = make(chan bool, l.stores), make(chan struct{}, l.stores)
	if verified {
		l.finish()
	}
}

// run ends when the checkpoint is verified and closed, or ctx ends. An error ends the attempt. If nobody reads from the
// checkpoint any more it is closed first: who knows that it is verified knows that it may be retired. A store with a memory
// limit goes on reading until it has another one, which may be the job's last.
func (l *loading) run(ctx context.Context, step func(task, what string)) error {
	step(l.String(), "starts")
	all := true
	for range l.stores {
		select {
		case whole := <-l.loaded:
			all = all && whole
		case <-ctx.Done():
		}
		if step(l.String(), "was told of a store"); ctx.Err() != nil {
			return nil
		}
	}
	if all && len(l.left) == l.stores {
		l.close(ctx, step)
		l.finish()
		return nil
	}
	if !all {
		if err := l.verifyRest(ctx); err != nil {
			return err
		}
	}
	l.finish()
	step(l.String(), "has verified")
	l.close(ctx, step)
	return nil
}

// verifyRest reads all once more: a store with a memory limit has not had room for it.
func (l *loading) verifyRest(ctx context.Context) error {
	if l.done.Load() {
		return nil
	}
	if err := l.from.Verify(ctx, nil); err != nil {
		return fmt.Errorf("restored checkpoint %d: %w", l.from.Meta.ID, err)
	}
	return nil
}

// close waits until nobody reads from the checkpoint any more.
func (l *loading) close(ctx context.Context, step func(task, what string)) {
	for range l.stores {
		select {
		case <-l.left:
		case <-ctx.Done():
		}
		if step(l.String(), "was told of a reader"); ctx.Err() != nil {
			return
		}
	}
	_ = l.from.Close() // files that were only read
}

// finish lets the job finish.
func (l *loading) finish() {
	if l.done.CompareAndSwap(false, true) {
		close(l.verified)
	}
}

// maintain takes over what was loaded in the background and reports. No reference into the state may be in use.
func (op *keyedOp) maintain() error {
	op.shareMemory()
	if err := op.store.Maintain(); err != nil {
		return fmt.Errorf("state of task %s: %w", op.st, err)
	}
	op.measure()
	op.share.report(op.store)
	return nil
}

// measure publishes how much of the state is in memory, and how long the task has waited for storage.
func (op *keyedOp) measure() {
	resident, pages := op.store.Residency()
	op.stats.resident.Store(resident)
	op.stats.pages.Store(pages)
	op.stats.stalled.Store(int64(op.store.Waited()))
	op.stats.evictions.Store(op.store.Evictions())
}

// maintain is for the time between two batches.
func (st *subtask) maintain() error {
	for _, op := range st.keyed {
		if err := op.maintain(); err != nil {
			return err
		}
	}
	return st.relieve()
}

// rest is idle between two batches, with the alarm set. While state is loaded in the background there will be more to take
// over soon: again rings then, too.
func (st *subtask) rest() (again <-chan time.Time, err error) {
	if err := st.maintain(); err != nil {
		return nil, err
	}
	st.setAlarm()
	if again := st.idle(); again != nil {
		return again, nil
	}
	for _, op := range st.keyed {
		if op.store.Loading() {
			return st.again.set(gatherAgain), nil
		}
	}
	return nil, nil
}

// spoilt prefers the failure of a store to what a user's function that has recovered it made of it.
func (st *subtask) spoilt(err error) error {
	for _, op := range st.keyed {
		if cause := op.store.Err(); cause != nil {
			return fmt.Errorf("state of task %s: %w", st, cause)
		}
	}
	return err
}

func (l *loading) String() string {
	return fmt.Sprintf("verification of checkpoint %d", l.from.Meta.ID)
}
