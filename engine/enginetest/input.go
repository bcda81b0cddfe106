package enginetest

import (
	"time"

	"github.com/pagetide/pagetide/engine"
)

// input is one input of a harness.
type input[T any] struct {
	feed *Feed[item[T]]
	last time.Time // watermark; zero: none
}

// door is an input apart from its type.
type door interface {
	reset()
	mark(at time.Time)
	watermark() time.Time
	drained(over <-chan struct{})
	end()
}

// item is what the feed of an input carries. A mark moves time and is no record.
type item[T any] struct {
	at   time.Time
	rec  T
	mark bool
}

func (i item[T]) time() time.Time { return i.at }

// The splits of the feed. The time of a source is the least of its splits. That of the records is far away from the
// beginning, by a mark, so that the marks of the clock alone move time.
const (
	records = 0
	clock   = 1
)

// farAway is about the latest time that a record may carry.
const farAway = engine.MaxTime - engine.Time(2*time.Second)

// stream is the input in a job.
func (in *input[T]) stream(job *engine.Job, uid string) engine.Stream[T] {
	all := engine.From[item[T]](job, uid, in.feed, engine.EventTime(item[T].time, engine.OutOfOrder(0)))
	only := engine.Filter(all, func(i item[T]) bool { return !i.mark })
	return engine.Map(only, func(i item[T]) T { return i.rec })
}

// reset makes the input one that has had nothing.
func (in *input[T]) reset() {
	in.feed, in.last = NewFeed[item[T]](2), time.Time{}
	in.feed.Add(records, item[T]{at: farAway.UTC(), mark: true})
}

// mark moves the input's time on to a watermark: a source's is just before its records.
func (in *input[T]) mark(at time.Time) {
	in.last = at
	in.feed.Add(clock, item[T]{at: at.Add(1), mark: true})
}

func (in *input[T]) watermark() time.Time         { return in.last }
func (in *input[T]) drained(over <-chan struct{}) { in.feed.drained(over) }
func (in *input[T]) end()                         { in.feed.End() }

// takeBack takes the last record back. No job may be reading.
func (in *input[T]) takeBack() { in.feed.dropLast(records) }
