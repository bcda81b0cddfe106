package engine

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"time"
)

// JoinKind says what becomes of records that find no partner.
type JoinKind uint8

// The kinds of join.
const (
	Inner      JoinKind = 1 // they are dropped
	LeftOuter  JoinKind = 2 // those of the left go on alone
	RightOuter JoinKind = 3 // those of the right do
	FullOuter  JoinKind = 4 // both do
)

// String is Flink's name of the kind.
func (k JoinKind) String() string {
	switch k {
	case Inner:
		return "inner"
	case LeftOuter:
		return "left outer"
	case RightOuter:
		return "right outer"
	case FullOuter:
		return "full outer"
	}
	return fmt.Sprintf("join kind %d", uint8(k))
}

// Interval says how far the times of two records that belong together may be apart.
type Interval struct {
	lower, upper time.Duration
	clock        bool // in processing time
}

// Within pairs a left record at time t with the right records from t+lower to t+upper, both included. Lower must not be
// above upper; both may be negative.
func Within(lower, upper time.Duration) Interval {
	const least = -math.MaxInt64 // it can be negated
	return Interval{lower: max(lower, least), upper: max(upper, least)}
}

// InProcessingTime has the join go by the job's clock instead of event time, which the streams need not have: the time of a
// record is that at which its batch is taken in, and it waits for partners until the clock has passed the end of the
// interval, or to the end of the input. No record is late. The output has no event time. What became due while no job was
// running ends at once after a restore.
func (iv Interval) InProcessingTime() Interval {
	iv.clock = true
	return iv
}

// String reads "-1m0s to 10m0s", and says so if it is in processing time. It is part of the operator's fingerprint.
func (iv Interval) String() string {
	s := fmt.Sprintf("%s to %s", iv.lower, iv.upper)
	if iv.clock {
		s += " in processing time"
	}
	return s
}

// IntervalJoin pairs the records of two streams that have the same key and times within an interval: event times, unless it
// is [Interval.InProcessingTime]. f makes the output of a pair, which carries the later of the two times; with an outer join
// also that of a record alone, with nil for the other side, once time says that no partner will come. Records are kept
// until then. One that comes at or before the watermark is late: it is dropped and counted. f must not keep its pointers.
func IntervalJoin[K comparable, L, R, O any](l Keyed[K, L], r Keyed[K, R], uid string, kind JoinKind, iv Interval, f func(K, *L, *R) O) Stream[O] {
	n := l.from.node.job.add("interval join", uid, l.from, r.from)
	switch {
	case !iv.clock && !n.timed():
		n.job.mistake("%s: a stream without event time: give From an EventTime", n.label())
	case iv.lower > iv.upper:
		n.job.mistake("%s: the interval from %s is empty", n.label(), iv)
	case kind < Inner || kind > FullOuter:
		n.job.mistake("%s: no such %s", n.label(), kind)
	}
	n.wants(f != nil, "function")
	out := runProcess2[K, L, R, O](n, l, r, func(s *Setup) *intervalJoin[K, L, R, O] { return newIntervalJoin(s, kind, iv, f) })
	n.fingerprint = fmt.Sprintf("%s join %s, key %s", kind, iv, reflect.TypeFor[K]())
	out.from.timed = out.from.timed && !iv.clock
	return out
}

// intervalJoin keeps the records of both sides until no partner can come, and a timer for each of them.
type intervalJoin[K comparable, L, R, O any] struct {
	f     func(K, *L, *R) O
	clock bool // in processing time
	left  joinSide[L]
	right joinSide[R]
	ends  Timer
}

func newIntervalJoin[K comparable, L, R, O any](s *Setup, kind JoinKind, iv Interval, f func(K, *L, *R) O) *intervalJoin[K, L, R, O] {
	j := &intervalJoin[K, L, R, O]{f: f, clock: iv.clock}
	j.left = newJoinSide[L](s, "left", iv.lower, iv.upper, kind == LeftOuter || kind == FullOuter)
	j.right = newJoinSide[R](s, "right", -iv.upper, -iv.lower, kind == RightOuter || kind == FullOuter)
	s.timed = true // that it is not was said before
	j.ends = NewTimer(s, "ends", j.onEnd, iv.domain()...)
	return j
}

// domain is the time that the ends of an interval are in.
func (iv Interval) domain() []TimeDomain {
	if iv.clock {
		return []TimeDomain{ProcessingTime}
	}
	return nil
}

// time is that of the record in hand; ok is false if it is late.
func (j *intervalJoin[K, L, R, O]) time(ctx *Context) (at Time, ok bool) {
	if j.clock {
		return ctx.ProcessingTime(), true
	}
	return ctx.time, !ctx.late()
}

// until has what ends at a time forgotten then: by the clock, whose next reading may be the same, an instant later.
func (j *intervalJoin[K, L, R, O]) until(ctx *Context, end Time) {
	if j.clock {
		end = end.Add(1)
	}
	if end == MaxTime {
		ctx.op.fail(Permanent(errors.New("its interval reaches beyond the years 1678 to 2261: the record would be kept for ever")))
	}
	j.ends.Set(ctx, end)
}

func (j *intervalJoin[K, L, R, O]) OnLeft(ctx *Context, key K, l L, out Out[O]) error {
	at, ok := j.time(ctx)
	if !ok {
		return nil
	}
	matched := false
	for r := range j.right.partners(ctx, at, &j.left) {
		j.emit(out, max(at, r.At), j.f(key, &l, &r.Val))
		matched = true
	}
	j.until(ctx, j.left.keep(ctx, at, l, matched))
	return nil
}

func (j *intervalJoin[K, L, R, O]) OnRight(ctx *Context, key K, r R, out Out[O]) error {
	at, ok := j.time(ctx)
	if !ok {
		return nil
	}
	matched := false
	for l := range j.left.partners(ctx, at, &j.right) {
		j.emit(out, max(at, l.At), j.f(key, &l.Val, &r))
		matched = true
	}
	j.until(ctx, j.right.keep(ctx, at, r, matched))
	return nil
}

// emit sends an output, with a time to carry if the join is in event time.
func (j *intervalJoin[K, L, R, O]) emit(out Out[O], at Time, v O) {
	if j.clock {
		at = 0
	}
	out.at(at, v)
}

// onEnd forgets the records whose time is over.
func (j *intervalJoin[K, L, R, O]) onEnd(ctx *Context, key K, at Time, out Out[O]) error {
	if j.clock {
		at-- // the reverse of until
	}
	for l := range j.left.ended(ctx, at) {
		j.emit(out, at, j.f(key, &l, nil))
	}
	for r := range j.right.ended(ctx, at) {
		j.emit(out, at, j.f(key, nil, &r))
	}
	return nil
}

// joinSide is one side of a join: the records of a key that may still find partners, by number.
type joinSide[T any] struct {
	lower, upper time.Duration // how far before and after a record its partners may be
	alone        bool          // records without a partner go on alone
	next         Cell[uint64]  // the number of the next record
	recs         MapState[uint64, waiting[T]]
}

// waiting is a record that waits for partners.
type waiting[T any] struct {
	At      Time
	Matched bool
	Val     T
}

func newJoinSide[T any](s *Setup, name string, lower, upper time.Duration, alone bool) joinSide[T] {
	return joinSide[T]{
		lower: lower, upper: upper, alone: alone,
		next: NewCell[uint64](s, name+".next"), recs: NewMapState[uint64, waiting[T]](s, name),
	}
}

// end is when no partner of a record at t can come any more.
func (s *joinSide[T]) end(t Time) Time { return t.Add(max(s.upper, 0)) }

// keep stores a record and returns its end.
func (s *joinSide[T]) keep(ctx *Context, at Time, v T, matched bool) Time {
	n := s.next.Ref(ctx)
	s.recs.Put(ctx, *n, waiting[T]{at, matched, v})
	*n++
	return s.end(at)
}

// partners goes through the records that belong to one at a time, which is of the other side.
func (s *joinSide[T]) partners(ctx *Context, at Time, other interface{ span(Time) (first, last Time) }) iter.Seq[waiting[T]] {
	first, last := other.span(at)
	return func(yield func(waiting[T]) bool) {
		for n, w := range s.recs.All(ctx) {
			if w.At < first || w.At > last {
				continue
			}
			if s.alone && !w.Matched {
				w.Matched = true
				s.recs.Put(ctx, n, w)
			}
			if !yield(w) {
				return
			}
		}
	}
}

// span is where the partners of a record at t are.
func (s *joinSide[T]) span(t Time) (first, last Time) { return t.Add(s.lower), t.Add(s.upper) }

// ended removes the records that end by a time, and goes through those that had no partner if they go on alone.
func (s *joinSide[T]) ended(ctx *Context, at Time) iter.Seq[T] {
	return func(yield func(T) bool) {
		for n, w := range s.recs.All(ctx) {
			if s.end(w.At) > at {
				continue
			}
			s.recs.Delete(ctx, n)
			if s.alone && !w.Matched && !yield(w.Val) {
				return
			}
		}
		if s.recs.Len(ctx) == 0 {
			s.next.Clear(ctx)
		}
	}
}
