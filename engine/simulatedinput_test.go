package engine_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// intake is an input apart from its type.
type intake interface {
	watch()
	check() (all bool, err error)
}

// input is what a job reads, as far as it gets.
type input[T comparable] struct {
	*feed[T]
	all  []T
	seen *enginetest.Sink[T] // nil: it gets to the end

	pauses []map[int]time.Duration // before which records of each split there is silence; nil: there is none
}

func randomInput(rnd *rand.Rand, n int) *input[event] {
	in, all := randomEvents(rnd, n)
	return &input[event]{feed: in, all: all}
}

// renumber makes the numbers of an input's events such that the other side has none of them.
func renumber(in *input[event], side int) {
	in.all = nil
	for _, split := range in.recs {
		for i := range split {
			split[i].N = 2*split[i].N + int64(side)
		}
		in.all = append(in.all, split...)
	}
}

func (in *input[T]) stream(job *engine.Job, uid string, times ...engine.Times[T]) engine.Stream[T] {
	src := engine.From(job, uid, engine.Source[T](in), times...)
	if in.seen != nil {
		engine.To(src, uid+" seen", in.seen)
	}
	return src
}

// Open gives a reader that is silent now and then.
func (in *input[T]) Open(ctx context.Context, s engine.Split, from engine.Position) (engine.Reader[T], error) {
	r, err := in.feed.Open(ctx, s, from)
	if err != nil || in.pauses == nil {
		return r, err
	}
	f := r.(*feedReader[T])
	return &pausingReader[T]{f, in.pauses[f.split], -1}, nil
}

type pausingReader[T any] struct {
	*feedReader[T]
	pauses map[int]time.Duration
	over   int // before which record the last pause was
}

func (r *pausingReader[T]) Read(ctx context.Context, b *engine.Batch[T]) error {
	for recs := r.recs[r.split]; r.at < len(recs) && !b.Full(); r.at++ {
		if d := r.pauses[r.at]; d > 0 && r.over != r.at {
			if b.Len() > 0 {
				return nil
			}
			r.over = r.at
			if pause(ctx, d); ctx.Err() != nil {
				return nil
			}
		}
		*b.Next() = recs[r.at]
	}
	if b.Full() {
		return nil
	}
	return io.EOF
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func randomPauses[T any](rnd *rand.Rand, splits [][]T, n int) (all []map[int]time.Duration) {
	for _, recs := range splits {
		pauses := map[int]time.Duration{}
		for range n {
			pauses[rnd.IntN(len(recs)+1)] = time.Millisecond << rnd.IntN(5)
		}
		all = append(all, pauses)
	}
	return all
}

func (in *input[T]) watch() { in.seen = new(enginetest.Sink[T]) }

// read is what the job has read, in the order of all.
func (in *input[T]) read() []T {
	if in.seen == nil {
		return in.all
	}
	seen := map[T]bool{}
	for _, rec := range in.seen.Rows() {
		seen[rec] = true
	}
	return slices.DeleteFunc(slices.Clone(in.all), func(rec T) bool { return !seen[rec] })
}

// check says whether what was read is all, and what is wrong if it is not the first records of each split, once.
func (in *input[T]) check() (all bool, err error) {
	if in.seen == nil {
		return true, nil
	}
	times := map[T]int{}
	for _, rec := range in.seen.Rows() {
		times[rec]++
	}
	n := 0
	for s, split := range in.recs {
		for i, rec := range split {
			if times[rec] > 1 || i > 0 && times[rec] > times[split[i-1]] {
				return false, fmt.Errorf("record %d of split %d went by %d times, the one before it %d", i, s, times[rec], times[split[max(i, 1)-1]])
			}
			n += times[rec]
		}
	}
	return n == len(in.all), nil
}
