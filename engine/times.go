package engine

import (
	"reflect"
	"time"
)

// WatermarkStrategy says how time in a split follows from its records: the watermark that it gives promises that no record
// before it will come. It is taken note of at the end of each batch.
type WatermarkStrategy struct {
	lag  time.Duration
	next any // func(Time, T, Time) Time of a strategy of the user's, else nil
}

// Monotonous promises that times never fall within a split.
func Monotonous() WatermarkStrategy { return OutOfOrder(0) }

// OutOfOrder promises that a record's event time is at most bound before the largest seen in its split. Records that break
// the promise may be late for their window. The bound must not be negative.
func OutOfOrder(bound time.Duration) WatermarkStrategy { return WatermarkStrategy{lag: bound} }

// Watermarks is a strategy of one's own. next is given the watermark of the split so far, MinTime at first, a record and its
// event time, and returns the watermark after it: that of a record which carries one, say, or the old one. A watermark
// does not fall: an earlier one counts as the old. What next returns is all that it can build on, which is what lets a
// job be resumed anywhere in a split; like all functions of the graph it is called by several subtasks at once. T is the
// type of the source's records. A job that is resumed with Watermarks where it had OutOfOrder begins with the largest time
// seen as the watermark: records that the old bound still allowed for may be late.
func Watermarks[T any](next func(w Time, rec T, at Time) Time) WatermarkStrategy {
	return WatermarkStrategy{next: next}
}

// Times says how to read event time off a source's records.
type Times[T any] struct {
	at    func(T) time.Time
	lag   time.Duration
	next  func(w Time, rec T, at Time) Time // nil: the largest time seen less lag
	other reflect.Type                      // of a strategy for other records than these; nil: none
	idle  time.Duration
	group string // of sources that are aligned; empty: none
	drift time.Duration
}

// EventTime takes event time from the records themselves.
func EventTime[T any](at func(T) time.Time, w WatermarkStrategy) Times[T] {
	t := Times[T]{at: at, lag: w.lag}
	if w.next != nil {
		if t.next, _ = w.next.(func(Time, T, Time) Time); t.next == nil {
			t.other = reflect.TypeOf(w.next)
		}
	}
	return t
}

// Idle lets time go on without a split that has had no record for d by the job's [Clock], until its next one; d must not
// be negative, and 0 waits for every split for ever. While all are silent, time stands where the last one left it.
func (t Times[T]) Idle(d time.Duration) Times[T] {
	t.idle = d
	return t
}

// Align keeps the splits of a group together, of this source and of all sources of the job that name the group: one whose
// watermark is ahead of the group's least by more than drift is not read until the others have caught up. What is read
// ahead of that is a batch or two. Splits that are idle or at their end hold nobody up; one that is neither and has no
// record yet holds up all, so a source that may be silent needs Idle as well. The drift must not be negative.
func (t Times[T]) Align(group string, drift time.Duration) Times[T] {
	t.group, t.drift = group, drift
	return t
}

// declare finds the mistakes.
func (t Times[T]) declare(j *Job, uid string) {
	if t.lag < 0 || t.idle < 0 || t.drift < 0 {
		j.mistake("source %q: negative duration", uid)
	}
	if t.other != nil {
		j.mistake("source %q of %s has watermarks by a %s", uid, typeOf[T](), t.other)
	}
	if t.group == "" && t.drift > 0 {
		j.mistake("source %q is aligned with a group without a name", uid)
	}
}

// see takes a record in, by a strategy of the user's, and gives what stands just after the watermark: in the split's
// checkpoints it takes the place of the largest time seen, and does not fall either.
func (t *Times[T]) see(seen Time, rec T, at Time) Time {
	w := min(t.next(t.after(seen), rec, at), MaxTime-2) // the end of time is for the source to say
	return max(seen, w.Add(1))
}

// after is the watermark of a split that has seen as much.
func (t *Times[T]) after(seen Time) Time {
	if seen == MinTime {
		return MinTime
	}
	return seen.Add(-t.lag - 1)
}
