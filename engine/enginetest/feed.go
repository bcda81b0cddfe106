package enginetest

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/pagetide/pagetide/engine"
)

// Feed is a source that a test fills as it goes. What was added stays: it is read again after a restart. Its methods may
// be called concurrently.
type Feed[T any] struct {
	mu      sync.Mutex    // guards the fields below
	recs    [][]T         // by split
	reading []int         // by split, where a reader waits for more, or has come to the end; -1: none does
	ended   bool          // nothing will be added
	more    chan struct{} // closed when there is more to read
	idle    chan struct{} // closed when a reader begins to wait; nil unless somebody wants to know
}

// NewFeed makes an empty feed of at least one split.
func NewFeed[T any](splits int) *Feed[T] {
	f := &Feed[T]{recs: make([][]T, max(splits, 1)), more: make(chan struct{})}
	for range f.recs {
		f.reading = append(f.reading, -1)
	}
	return f
}

// Add appends records to a split, counted from 0. It must not follow End.
func (f *Feed[T]) Add(split int, recs ...T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		panic("enginetest: Feed.Add after End")
	}
	f.recs[split] = append(f.recs[split], recs...)
	ring(&f.more)
}

// End says that nothing will be added: the input ends there.
func (f *Feed[T]) End() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	ring(&f.more)
}

// ring wakes all that wait on a channel, and puts the next one in its place.
func ring(bell *chan struct{}) {
	close(*bell)
	*bell = make(chan struct{})
}

// drained returns when the job's source task has taken all that was added, or over is closed. A reader that waits at the
// end has handed over everything before it, and one that is closed there the end, too.
func (f *Feed[T]) drained(over <-chan struct{}) {
	for {
		f.mu.Lock()
		if f.idle == nil {
			f.idle = make(chan struct{})
		}
		done, idle := f.caughtUp(), f.idle
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-idle:
		case <-over:
			return
		}
	}
}

func (f *Feed[T]) caughtUp() bool {
	for split, at := range f.reading {
		if at != len(f.recs[split]) {
			return false
		}
	}
	return true
}

// dropLast takes back what was added to a split last. No job may be reading.
func (f *Feed[T]) dropLast(split int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recs[split] = f.recs[split][:len(f.recs[split])-1]
}

// Splits implements [engine.Source].
func (f *Feed[T]) Splits(context.Context) (s []engine.Split, final bool, err error) {
	for i := range f.recs {
		s = append(s, engine.Split{ID: strconv.Itoa(i)})
	}
	return s, true, nil
}

// Open implements [engine.Source].
func (f *Feed[T]) Open(_ context.Context, s engine.Split, from engine.Position) (engine.Reader[T], error) {
	r := &feedReader[T]{feed: f}
	var err error
	if r.split, err = strconv.Atoi(s.ID); err != nil || r.split < 0 || r.split >= len(f.recs) {
		return nil, engine.Permanent(fmt.Errorf("feed has no split %q", s.ID))
	}
	if from == "" {
		return r, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.at, err = strconv.Atoi(string(from)); err != nil || r.at < 0 || r.at > len(f.recs[r.split]) {
		return nil, engine.Permanent(fmt.Errorf("feed position %q of split %s: want 0 to %d", from, s.ID, len(f.recs[r.split])))
	}
	return r, nil
}

type feedReader[T any] struct {
	feed      *Feed[T]
	split, at int
	ended     bool // and that was told
}

func (r *feedReader[T]) Read(ctx context.Context, b *engine.Batch[T]) error {
	for {
		more, ended := r.fill(b)
		switch {
		case b.Full():
			return nil
		case ended:
			r.ended = true
			return io.EOF
		case b.Len() > 0:
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			r.leave()
			return nil
		}
	}
}

// fill adds what there is. If that is nothing, the reader is known to wait from now on.
func (r *feedReader[T]) fill(b *engine.Batch[T]) (more <-chan struct{}, ended bool) {
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	recs := f.recs[r.split]
	for ; r.at < len(recs) && !b.Full(); r.at++ {
		*b.Next() = recs[r.at]
	}
	ended = f.ended && r.at == len(recs)
	if b.Len() == 0 && !ended {
		f.rests(r.split, r.at)
	}
	return f.more, ended
}

// rests notes that a reader goes no further for now.
func (f *Feed[T]) rests(split, at int) {
	f.reading[split] = at
	if f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

func (r *feedReader[T]) leave() {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	r.feed.reading[r.split] = -1
}

func (r *feedReader[T]) Position() engine.Position { return engine.Position(strconv.Itoa(r.at)) }

// Close implements [engine.Reader]. It follows the hand-over of the end.
func (r *feedReader[T]) Close() error {
	if r.ended {
		r.feed.mu.Lock()
		defer r.feed.mu.Unlock()
		r.feed.rests(r.split, r.at)
	}
	return nil
}
