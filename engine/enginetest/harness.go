package enginetest

import (
	"context"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Harness drives one operator with records and watermarks fed by hand. It belongs to the test's goroutine. Whatever goes
// wrong ends the test at the line that called the harness.
type Harness[In, Out any] struct {
	t     testing.TB
	graph func(engine.Stream[In]) engine.Stream[Out]
	main  rows[Out]
	sides []*side[Out]

	steps       []step[In] // all that was done so far
	parallelism int
	time        time.Time // of the last watermark; zero: none
	over        bool      // the input has ended

	feed  *Feed[item[In]]
	disk  vfs.FS
	clock *Clock
	run   *engine.Running // nil after a failure
}

// Process makes a harness of the operator that [engine.Process] would run with the same constructor. It starts at
// parallelism 1, without a watermark, and is gone when the test ends.
func Process[K comparable, In, Out any, P engine.Processor[K, In, Out]](t testing.TB, key func(In) K, newP func(*engine.Setup) P) *Harness[In, Out] {
	t.Helper()
	return Operator(t, func(in engine.Stream[In]) engine.Stream[Out] {
		return engine.Process(engine.KeyBy(in, key), "operator", newP)
	})
}

// Operator makes a harness of any operator, or chain of them, with one input and one output: a window with its
// aggregate, for one. The stream that it is given has event time. It is called for each restart.
func Operator[In, Out any](t testing.TB, graph func(engine.Stream[In]) engine.Stream[Out]) *Harness[In, Out] {
	t.Helper()
	h := &Harness[In, Out]{t: t, graph: graph}
	t.Cleanup(h.close)
	h.must(h.begin())
	return h
}

// Push hands the operator a record with its event time. It may be late.
func (h *Harness[In, Out]) Push(at time.Time, rec In) {
	h.t.Helper()
	h.inRange(at)
	h.do(step[In]{kind: pushed, at: at, rec: rec})
}

// PushError is Push of a record that the operator must fail on. It returns the operator's error; the operator is then as
// it was before, restored from a checkpoint.
func (h *Harness[In, Out]) PushError(at time.Time, rec In) error {
	h.t.Helper()
	h.inRange(at)
	h.alive()
	failed := h.take(step[In]{kind: pushed, at: at, rec: rec})
	if failed == nil {
		h.t.Fatalf("the operator took the record %+v, which it was to fail on", rec)
	}
	h.must(h.back())
	return failed
}

// Watermark moves the operator's time on: no record at or before it is still to be expected. Timers up to it fire and
// windows that end by it close. It never goes back.
func (h *Harness[In, Out]) Watermark(at time.Time) {
	h.t.Helper()
	h.inRange(at)
	if at.Before(h.time) {
		h.t.Fatalf("watermark %s is before the last one, %s", at, h.time)
	}
	h.do(step[In]{kind: watermark, at: at})
	h.time = at
}

// Advance moves processing time on by d, at least 0: timers in processing time that are due fire. It begins at 2000-01-01 UTC
// and stands still otherwise, also over a restart.
func (h *Harness[In, Out]) Advance(d time.Duration) {
	h.t.Helper()
	if d < 0 {
		h.t.Fatalf("time does not go back by %s", -d)
	}
	h.do(step[In]{kind: advanced, by: d})
}

// End ends the input: the last watermark passes, all timers fire and all windows close. Only outputs can be asked for
// after it.
func (h *Harness[In, Out]) End() {
	h.t.Helper()
	h.do(step[In]{kind: ended})
	h.over = true
}

// Restart takes a checkpoint, ends the operator, and has a new one go on from there. It returns h.
func (h *Harness[In, Out]) Restart() *Harness[In, Out] {
	h.t.Helper()
	h.do(step[In]{kind: restarted, parallelism: h.parallelism})
	return h
}

// Rescale is a Restart at another parallelism, at least 1 and at most 128. Above 1, outputs of one call come in any order.
func (h *Harness[In, Out]) Rescale(parallelism int) *Harness[In, Out] {
	h.t.Helper()
	if parallelism < 1 || parallelism > 128 {
		h.t.Fatalf("parallelism %d: want 1 to 128", parallelism)
	}
	h.do(step[In]{kind: restarted, parallelism: parallelism})
	return h
}

// Out returns all that the operator has emitted since the harness was made, restarts included.
func (h *Harness[In, Out]) Out() []Out { return h.main.all() }

// Want reports an error unless Out is exactly want, in order.
func (h *Harness[In, Out]) Want(want ...Out) {
	h.t.Helper()
	h.main.want(h.t, "the operator has emitted", want)
}

// inRange refuses times that no record may carry.
func (h *Harness[In, Out]) inRange(at time.Time) {
	h.t.Helper()
	if t := engine.TimeOf(at); t == engine.MinTime || t >= farAway {
		h.t.Fatalf("time %s is outside the years 1678 to 2261", at)
	}
}

func (h *Harness[In, Out]) alive() {
	h.t.Helper()
	switch {
	case h.over:
		h.t.Fatal("the input has ended: make another harness")
	case h.run == nil:
		h.t.Fatal("the operator has failed before: make another harness")
	}
}

// do takes a step; an error ends the test.
func (h *Harness[In, Out]) do(s step[In]) {
	h.t.Helper()
	h.alive()
	h.must(h.take(s))
	h.steps = append(h.steps, s)
}

func (h *Harness[In, Out]) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// close sees to it that nothing lives on after the test.
func (h *Harness[In, Out]) close() {
	if h.run != nil {
		h.run.Cancel() // how it ends does not matter any more
		h.run = nil
	}
}

// begin starts the operator from nothing.
func (h *Harness[In, Out]) begin() error {
	h.close()
	h.feed, h.disk, h.parallelism = NewFeed[item[In]](2), vfs.NewMem(), 1
	h.clock = NewClock(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	h.feed.Add(records, item[In]{at: farAway.UTC(), mark: true})
	h.main.clear()
	for _, s := range h.sides {
		s.clear()
	}
	return h.start()
}

// start starts a job from its newest checkpoint, if there is one.
func (h *Harness[In, Out]) start() (err error) {
	job := engine.NewJob("enginetest")
	h.build(job)
	h.run, err = job.Start(context.Background(), engine.Options{
		Parallelism: h.parallelism,
		Checkpoints: engine.Checkpoints{Dir: "enginetest", Tolerable: -1}.On(h.disk),
		Restore:     engine.Resume(),
		Restart:     engine.Restart{None: true},
		Clock:       h.clock,
	})
	return err
}
