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

// item is what the feed of an input carries. A mark is a watermark and no record.
type item[T any] struct {
	at   time.Time
	rec  T
	mark bool
}

func (i item[T]) time() time.Time { return i.at }

// byMarks is the watermark of the feed: marks alone move it, so that the one after them is that of the end.
func byMarks[T any](w engine.Time, i item[T], at engine.Time) engine.Time {
	if i.mark {
		return at
	}
	return w
}

// stream is the input in a job.
func (in *input[T]) stream(job *engine.Job, uid string) engine.Stream[T] {
	all := engine.From[item[T]](job, uid, in.feed, engine.EventTime(item[T].time, engine.Watermarks(byMarks[T])))
	only := engine.Filter(all, func(i item[T]) bool { return !i.mark })
	return engine.Map(only, func(i item[T]) T { return i.rec })
}

// reset makes the input one that has had nothing.
func (in *input[T]) reset() {
	in.feed, in.last = NewFeed[item[T]](1), time.Time{}
}

// add hands over a record.
func (in *input[T]) add(at time.Time, rec T) { in.feed.Add(0, item[T]{at: at, rec: rec}) }

// mark moves the input's time on to a watermark.
func (in *input[T]) mark(at time.Time) {
	in.last = at
	in.feed.Add(0, item[T]{at: at, mark: true})
}

func (in *input[T]) watermark() time.Time         { return in.last }
func (in *input[T]) drained(over <-chan struct{}) { in.feed.drained(over) }
func (in *input[T]) end()                         { in.feed.End() }

// takeBack takes the last record back. No job may be reading.
func (in *input[T]) takeBack() { in.feed.dropLast(0) }
