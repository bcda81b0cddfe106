package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

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
}

func randomInput(rnd *rand.Rand, n int) *input[event] {
	in, all := randomEvents(rnd, n)
	return &input[event]{feed: in, all: all}
}

func (in *input[T]) stream(job *engine.Job, uid string, times ...engine.Times[T]) engine.Stream[T] {
	src := engine.From(job, uid, engine.Source[T](in.feed), times...)
	if in.seen != nil {
		engine.To(src, uid+" seen", in.seen)
	}
	return src
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
