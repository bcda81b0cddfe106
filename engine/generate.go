package engine

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// GenerateOptions say how many records a [Generate] source makes, and when. The zero value makes them without end, one after the
// other in one split, as fast as they are taken.
type GenerateOptions struct {
	Splits int       // read side by side, default 1: record i is in split i % Splits
	Count  int64     // records in all; 0: no end
	Rate   float64   // records per second, of all splits together; 0: no limit
	Start  time.Time // when record 0 is due, if there is a Rate; default: when the source is first opened
}

// Generate makes records: number i, from 0 on, is f(i, due). With a Rate a record is due at Start + i/Rate by the job's
// clock and is never there before; a source that was held up, by backpressure or while the job was down, makes good for it
// at once, so how late a record is at any place is the time there less due. Without a Rate due is the zero time. f is
// called by several goroutines at once and again after a restart, and must depend on nothing but its arguments.
//
// The position in a split is the number of records made there, and, if it was not given, the start: the same records are
// due at the same times after any restart. Splits and Rate are part of what the records are; keep them for as long as the
// job goes on.
func Generate[T any](o GenerateOptions, f func(i int64, due time.Time) T) Source[T] {
	o.Splits = orDefault(o.Splits, 1)
	return &generator[T]{o: o, f: f}
}

type generator[T any] struct {
	o GenerateOptions
	f func(int64, time.Time) T

	mu    sync.Mutex // guards start
	start time.Time  // of splits that start from nothing
}

// Splits names them so that another number of them is noticed.
func (s *generator[T]) Splits(context.Context) (all []Split, final bool, err error) {
	if err := s.validate(); err != nil {
		return nil, false, Permanent(fmt.Errorf("generator: %w", err))
	}
	for i := range s.o.Splits {
		all = append(all, Split{ID: fmt.Sprintf("%d/%d", i, s.o.Splits)})
	}
	return all, true, nil
}

func (s *generator[T]) validate() error {
	switch o := s.o; {
	case s.f == nil:
		return fmt.Errorf("there is no function that makes the records")
	case o.Splits < 1 || o.Splits > math.MaxUint16:
		return fmt.Errorf("%d splits: want 1 to %d", o.Splits, math.MaxUint16)
	case o.Count < 0:
		return fmt.Errorf("%d records: want 0 or more", o.Count)
	case !(o.Rate >= 0) || math.IsInf(o.Rate, 1):
		return fmt.Errorf("%g records per second: want 0 or more", o.Rate)
	}
	return nil
}

func (s *generator[T]) Open(ctx context.Context, sp Split, from Position) (Reader[T], error) {
	var split, of int
	if _, err := fmt.Sscanf(sp.ID, "%d/%d", &split, &of); err != nil || of != s.o.Splits || split < 0 || split >= of {
		return nil, Permanent(fmt.Errorf("generator of %d splits has no split %q", s.o.Splits, sp.ID))
	}
	n, start, err := parseGenerated(from)
	if err != nil {
		return nil, Permanent(err)
	}
	r := &generatorReader[T]{generator: s, clock: ClockOf(ctx), next: int64(split) + n*int64(of), start: start}
	if r.o.Rate > 0 {
		r.begin()
	}
	return r, nil
}

// parseGenerated reads "<records made>" or "<records made>@<start in ns since 1970>".
func parseGenerated(from Position) (n int64, start time.Time, err error) {
	if from == "" {
		return 0, time.Time{}, nil
	}
	made, at, scheduled := strings.Cut(string(from), "@")
	n, err = strconv.ParseInt(made, 10, 64)
	if err == nil && scheduled {
		var ns int64
		ns, err = strconv.ParseInt(at, 10, 64)
		start = time.Unix(0, ns).UTC()
	}
	if err != nil || n < 0 || n > math.MaxInt64/math.MaxUint16-1 {
		return 0, time.Time{}, fmt.Errorf("generator position %q: want a number of records, with @ and the start in ns if they have a rate", from)
	}
	return n, start, nil
}

type generatorReader[T any] struct {
	*generator[T]
	clock Clock
	next  int64     // the record to make
	start time.Time // of the schedule
	fresh bool      // no position has the start yet
}

// begin settles when the schedule starts: as the options say, as the position says, or now.
func (r *generatorReader[T]) begin() {
	switch {
	case !r.o.Start.IsZero():
		r.start = r.o.Start
	case !r.start.IsZero():
	case r.next < int64(r.o.Splits):
		r.start, r.fresh = r.starts(r.clock.Now()), true
	default: // it had no schedule before
		r.start, r.fresh = r.clock.Now().Add(-r.after(r.next)), true
	}
}

// starts is one time for all splits.
func (s *generator[T]) starts(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start.IsZero() {
		s.start = time.Unix(0, now.UnixNano()).UTC() // as a position keeps it
	}
	return s.start
}

// after is how long after the start a record is due.
func (r *generatorReader[T]) after(i int64) time.Duration {
	ns := math.Round(float64(i) * float64(time.Second) / r.o.Rate)
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}

func (r *generatorReader[T]) Read(ctx context.Context, b *Batch[T]) error {
	if r.fresh && !r.over() { // a checkpoint that is taken while the first record is waited for needs the start
		r.fresh = false
		return nil
	}
	if r.o.Rate > 0 && !r.over() {
		if ok := r.wait(ctx); !ok {
			return nil
		}
		return r.makeDue(b, r.clock.Now())
	}
	for !r.over() && !b.Full() {
		*b.Next() = r.f(r.next, time.Time{})
		r.next += int64(r.o.Splits)
	}
	return r.end()
}

func (r *generatorReader[T]) makeDue(b *Batch[T], now time.Time) error {
	for !r.over() && !b.Full() {
		due := r.start.Add(r.after(r.next))
		if due.After(now) {
			return nil
		}
		*b.Next() = r.f(r.next, due)
		r.next += int64(r.o.Splits)
	}
	return r.end()
}

// wait returns when the next record is due; ok is false if ctx ends first.
func (r *generatorReader[T]) wait(ctx context.Context) (ok bool) {
	due := r.start.Add(r.after(r.next))
	for r.clock.Now().Before(due) {
		ring, stop := r.clock.Alarm(due)
		select {
		case <-ring:
			stop()
		case <-ctx.Done():
			stop()
			return false
		}
	}
	return true
}

func (r *generatorReader[T]) over() bool { return r.o.Count > 0 && r.next >= r.o.Count }

func (r *generatorReader[T]) end() error {
	if r.over() {
		return io.EOF
	}
	return nil
}

func (r *generatorReader[T]) Position() Position {
	made := strconv.FormatInt(r.next/int64(r.o.Splits), 10)
	if r.start.IsZero() || !r.o.Start.IsZero() {
		return Position(made)
	}
	return Position(made + "@" + strconv.FormatInt(r.start.UnixNano(), 10))
}

func (r *generatorReader[T]) Close() error { return nil }
