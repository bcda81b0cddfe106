package enginetest

import (
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Harness drives one operator with records, watermarks and a clock moved by hand. It belongs to the test's goroutine.
// Whatever goes wrong ends the test at the line that called the harness.
type Harness[In, Out any] struct {
	d  driver[Out]
	in input[In]
}

// Process makes a harness of the operator that [engine.Process] would run with the same constructor. It starts at
// parallelism 1, without a watermark, and is gone when the test ends.
func Process[K comparable, In, Out any, P engine.Processor[K, In, Out]](t testing.TB, key func(In) K, newP func(*engine.Setup) P) *Harness[In, Out] {
	t.Helper()
	return Operator(t, func(in engine.Stream[In]) engine.Stream[Out] {
		return engine.Process(engine.KeyBy(in, key), "operator", newP)
	})
}

// ProcessEach makes a harness of the operator that [engine.ProcessEach] would run with the same constructor, as [Process]
// does. After a [Harness.Rescale], records go to its subtasks in turn.
func ProcessEach[In, Out any, P engine.EachProcessor[In, Out]](t testing.TB, newP func(*engine.Setup) P) *Harness[In, Out] {
	t.Helper()
	return Operator(t, func(in engine.Stream[In]) engine.Stream[Out] {
		return engine.ProcessEach(engine.Rebalance(in), "operator", newP)
	})
}

// Operator makes a harness of any operator, or chain of them, with one input and one output: a window with its
// aggregate, for one. The stream that it is given has event time. It is called for each restart.
func Operator[In, Out any](t testing.TB, graph func(engine.Stream[In]) engine.Stream[Out]) *Harness[In, Out] {
	t.Helper()
	h := &Harness[In, Out]{}
	h.d = driver[Out]{t: t, inputs: []door{&h.in}, graph: func(job *engine.Job) engine.Stream[Out] {
		return graph(h.in.stream(job, "feed"))
	}}
	t.Cleanup(h.d.close)
	h.d.must(h.d.begin())
	return h
}

// Push hands the operator a record with its event time. It may be late.
func (h *Harness[In, Out]) Push(at time.Time, rec In) {
	h.d.t.Helper()
	pushOne(&h.d, &h.in, at, rec)
}

// PushError is Push of a record that the operator must fail on. It returns the operator's error; the operator is then as
// it was before, restored from a checkpoint.
func (h *Harness[In, Out]) PushError(at time.Time, rec In) error {
	h.d.t.Helper()
	return pushBad(&h.d, &h.in, at, rec)
}

// Watermark moves the operator's time on: no record at or before it is still to be expected. Timers up to it fire and
// windows that end by it close. It never goes back.
func (h *Harness[In, Out]) Watermark(at time.Time) {
	h.d.t.Helper()
	h.d.watermark(at, h.d.inputs...)
}

// Now is the time of the operator's clock: processing time. It is 2000-01-01 00:00 UTC until the first Advance.
func (h *Harness[In, Out]) Now() time.Time { return h.d.clock.Now() }

// Advance moves the operator's clock on by d, which must not be negative. Timers in processing time that are due then
// fire and windows in it close. Event time stands still.
func (h *Harness[In, Out]) Advance(d time.Duration) {
	h.d.t.Helper()
	h.d.advance(d)
}

// End ends the input, as a job's: the watermark goes from where it stands to [engine.MaxTime], all timers fire and all
// windows close. Only outputs can be asked for after it.
func (h *Harness[In, Out]) End() {
	h.d.t.Helper()
	h.d.end()
}

// Restart takes a checkpoint, ends the operator, and has a new one go on from there. It returns h.
func (h *Harness[In, Out]) Restart() *Harness[In, Out] {
	h.d.t.Helper()
	h.d.rescale(h.d.parallelism)
	return h
}

// Rescale is a Restart at another parallelism, at least 1 and at most 128. Above 1, outputs of one call come in any order.
func (h *Harness[In, Out]) Rescale(parallelism int) *Harness[In, Out] {
	h.d.t.Helper()
	h.d.rescale(parallelism)
	return h
}

// Out returns all that the operator has emitted since the harness was made, restarts included.
func (h *Harness[In, Out]) Out() []Out { return h.d.main.all() }

// Want reports an error unless Out is exactly want, in order.
func (h *Harness[In, Out]) Want(want ...Out) {
	h.d.t.Helper()
	h.d.main.want(h.d.t, "the operator has emitted", want)
}

func (h *Harness[In, Out]) driver() *driver[Out] { return &h.d }
