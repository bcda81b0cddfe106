package enginetest

import (
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Harness2 is a [Harness] of an operator with two inputs, each with a watermark of its own: the operator's is the lesser
// of them.
type Harness2[L, R, Out any] struct {
	d     driver[Out]
	left  input[L]
	right input[R]
}

// Process2 makes a harness of the operator that [engine.Process2] would run with the same constructor. It starts at
// parallelism 1, without a watermark, and is gone when the test ends.
func Process2[K comparable, L, R, Out any, P engine.Processor2[K, L, R, Out]](t testing.TB, left func(L) K, right func(R) K, newP func(*engine.Setup) P) *Harness2[L, R, Out] {
	t.Helper()
	return Operator2(t, func(l engine.Stream[L], r engine.Stream[R]) engine.Stream[Out] {
		return engine.Process2(engine.KeyBy(l, left), engine.KeyBy(r, right), "operator", newP)
	})
}

// ProcessBroadcast makes a harness of the operator that [engine.ProcessBroadcast] would run with the same constructor, as
// [Process2] does. The left input are the records, the right one the rules, which reach all subtasks.
func ProcessBroadcast[K comparable, In, R, Out any, P engine.BroadcastProcessor[K, In, R, Out]](t testing.TB, key func(In) K, newP func(*engine.Setup) P) *Harness2[In, R, Out] {
	t.Helper()
	return Operator2(t, func(in engine.Stream[In], rules engine.Stream[R]) engine.Stream[Out] {
		return engine.ProcessBroadcast(engine.KeyBy(in, key), rules, "operator", newP)
	})
}

// ProcessEachBroadcast is [ProcessBroadcast] for [engine.ProcessEachBroadcast]. After a [Harness2.Rescale], records go to the
// subtasks in turn.
func ProcessEachBroadcast[In, R, Out any, P engine.EachBroadcastProcessor[In, R, Out]](t testing.TB, newP func(*engine.Setup) P) *Harness2[In, R, Out] {
	t.Helper()
	return Operator2(t, func(in engine.Stream[In], rules engine.Stream[R]) engine.Stream[Out] {
		return engine.ProcessEachBroadcast(engine.Rebalance(in), rules, "operator", newP)
	})
}

// Operator2 makes a harness of any operator, or graph of them, with two inputs and one output: a join, for one. The
// streams that it is given have event time. It is called for each restart.
func Operator2[L, R, Out any](t testing.TB, graph func(engine.Stream[L], engine.Stream[R]) engine.Stream[Out]) *Harness2[L, R, Out] {
	t.Helper()
	h := &Harness2[L, R, Out]{}
	h.d = driver[Out]{t: t, inputs: []door{&h.left, &h.right}, graph: func(job *engine.Job) engine.Stream[Out] {
		return graph(h.left.stream(job, "left"), h.right.stream(job, "right"))
	}}
	t.Cleanup(h.d.close)
	h.d.must(h.d.begin())
	return h
}

// PushLeft hands the operator a record of the left input with its event time. It may be late.
func (h *Harness2[L, R, Out]) PushLeft(at time.Time, rec L) {
	h.d.t.Helper()
	pushOne(&h.d, &h.left, at, rec)
}

// PushRight is PushLeft for the right input.
func (h *Harness2[L, R, Out]) PushRight(at time.Time, rec R) {
	h.d.t.Helper()
	pushOne(&h.d, &h.right, at, rec)
}

// PushLeftError is PushLeft of a record that the operator must fail on. It returns the operator's error; the operator is
// then as it was before, restored from a checkpoint.
func (h *Harness2[L, R, Out]) PushLeftError(at time.Time, rec L) error {
	h.d.t.Helper()
	return pushBad(&h.d, &h.left, at, rec)
}

// PushRightError is PushLeftError for the right input.
func (h *Harness2[L, R, Out]) PushRightError(at time.Time, rec R) error {
	h.d.t.Helper()
	return pushBad(&h.d, &h.right, at, rec)
}

// Watermark moves the time of both inputs on, and so the operator's: see [Harness.Watermark].
func (h *Harness2[L, R, Out]) Watermark(at time.Time) {
	h.d.t.Helper()
	h.d.watermark(at, h.d.inputs...)
}

// WatermarkLeft moves the time of the left input on. The operator's follows as far as that of the right one has come.
func (h *Harness2[L, R, Out]) WatermarkLeft(at time.Time) {
	h.d.t.Helper()
	h.d.watermark(at, &h.left)
}

// WatermarkRight is WatermarkLeft for the right input.
func (h *Harness2[L, R, Out]) WatermarkRight(at time.Time) {
	h.d.t.Helper()
	h.d.watermark(at, &h.right)
}

// Now is the time of the operator's clock: see [Harness.Now].
func (h *Harness2[L, R, Out]) Now() time.Time { return h.d.clock.Now() }

// Advance moves the operator's clock on: see [Harness.Advance].
func (h *Harness2[L, R, Out]) Advance(d time.Duration) {
	h.d.t.Helper()
	h.d.advance(d)
}

// End ends both inputs: see [Harness.End].
func (h *Harness2[L, R, Out]) End() {
	h.d.t.Helper()
	h.d.end()
}

// Restart takes a checkpoint, ends the operator, and has a new one go on from there. It returns h.
func (h *Harness2[L, R, Out]) Restart() *Harness2[L, R, Out] {
	h.d.t.Helper()
	h.d.rescale(h.d.parallelism)
	return h
}

// Rescale is a Restart at another parallelism: see [Harness.Rescale].
func (h *Harness2[L, R, Out]) Rescale(parallelism int) *Harness2[L, R, Out] {
	h.d.t.Helper()
	h.d.rescale(parallelism)
	return h
}

// Out returns all that the operator has emitted since the harness was made, restarts included.
func (h *Harness2[L, R, Out]) Out() []Out { return h.d.main.all() }

// Want reports an error unless Out is exactly want, in order.
func (h *Harness2[L, R, Out]) Want(want ...Out) {
	h.d.t.Helper()
	h.d.main.want(h.d.t, "the operator has emitted", want)
}

func (h *Harness2[L, R, Out]) driver() *driver[Out] { return &h.d }
