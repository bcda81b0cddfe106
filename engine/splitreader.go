package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// splitTask is a split in its subtask. Its reader sees where to begin, and then shares free and waiting with it.
type splitTask[T any] struct {
	name    splitName
	pos     Position
	maxTime Time
	done    bool
	asleep  bool
	heard   time.Time    // when the last record came
	waiting atomic.Int32 // batches that its reader has for the task
	stats   *splitStats
	stand   *stand // in the group, if there is one
	ahead   bool   // of the group, by too much
	batches[T]
}

// filledBatch is what a reader has read, or why it has ended.
type filledBatch[T any] struct {
	split *splitTask[T]
	batch *Batch[T]
	pos   Position
	took  time.Duration // to read it
	err   error
}

// assign takes the splits of this subtask, with the positions that the checkpoint has for them.
func (s *sourceTask[T]) assign() {
	var told []*splitStats
	for i, sp := range s.st.a.splits[s.n].list {
		if i%s.st.plan.subtasks != s.st.index {
			continue
		}
		p := &splitTask[T]{name: splitName{s.n.uid, sp.ID}, stats: &splitStats{id: sp.ID}, maxTime: MinTime, heard: s.st.read, batches: newBatches[T](s.st.a.readSize)}
		if r, ok := s.st.a.restored.split(s.n.uid, sp.ID); ok {
			p.pos, p.maxTime, p.done = Position(r.Position), Time(r.MaxTime), r.Done
		}
		p.lend()
		s.splits = append(s.splits, p)
		told = append(told, p.stats)
	}
	s.tell()
	s.stats.splits.Store(&told)
}

// read is the goroutine of one split. However it ends, its task is told.
func (s *sourceTask[T]) read(ctx context.Context, p *splitTask[T], to chan<- filledBatch[T]) {
	send := func(f filledBatch[T]) bool {
		p.waiting.Add(1)
		select {
		case to <- f:
			return f.err == nil
		case <-ctx.Done():
			return false
		}
	}
	at, returned := origin{&p.name, p.pos}, false
	defer func() {
		err := errGoexit
		if v := recover(); v != nil {
			err = panicked(v)
		}
		if !returned {
			send(filledBatch[T]{split: p, batch: newBatch[T](0), err: at.fails(err, debug.Stack())})
		}
	}()
	s.readSplit(ctx, p, &at, send)
	returned = true
}

// readSplit reads a split from a position on, which it moves to what the next read comes after. Of the errors that it sends on,
// io.EOF alone is the reader's as it was.
func (s *sourceTask[T]) readSplit(ctx context.Context, p *splitTask[T], at *origin, send func(filledBatch[T]) bool) {
	name := fmt.Sprintf("reader of %s, split %s", s.n.uid, p.name.id)
	s.st.a.step(name, "starts")
	r, err := s.src.Open(ctx, Split{ID: p.name.id}, at.from)
	if err == nil && r == nil {
		err = errors.New("the source opened no reader")
	}
	if err != nil {
		send(filledBatch[T]{split: p, batch: newBatch[T](0), err: at.fails(fmt.Errorf("open: %w", err), nil)}) // also io.EOF, which ends no split here
		return
	}
	defer r.Close()
	for {
		var b *Batch[T]
		select {
		case b = <-p.free:
		case <-ctx.Done():
		}
		if s.st.a.step(name, "reads"); ctx.Err() != nil {
			return
		}
		b.Reset()
		start := time.Now()
		err := r.Read(ctx, b)
		if err != nil && err != io.EOF { // one that wraps it is no end: a connection that broke, say
			err = at.fails(err, nil)
		}
		f := filledBatch[T]{p, b, r.Position(), time.Since(start), err}
		at.from = f.pos
		if s.st.a.step(name, "has read"); !send(f) {
			return
		}
	}
}
