package engine_test

import (
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// timesOfTimers makes a harness of an operator that sets a timer in processing time for a second after each record. It emits
// what the outputs of the timers carry.
func timesOfTimers(t *testing.T) *enginetest.Harness[event, engine.Time] {
	t.Helper()
	return enginetest.Operator(t, func(in engine.Stream[event]) engine.Stream[engine.Time] {
		fired := engine.Process(engine.KeyBy(in, keyOf), "timer", func(s *engine.Setup) engine.Func[string, event, string] {
			timer := engine.NewTimer(s, "t", func(_ *engine.Context, key string, _ engine.Time, out engine.Out[string]) error {
				out.Emit(key)
				return nil
			}, engine.ProcessingTime)
			return func(ctx *engine.Context, _ string, _ event, _ engine.Out[string]) error {
				timer.Set(ctx, ctx.ProcessingTime().Add(time.Second))
				return nil
			}
		})
		return engine.ProcessEach(fired, "times", func(*engine.Setup) engine.EachFunc[string, engine.Time] {
			return func(ctx *engine.Context, _ string, out engine.Out[engine.Time]) error {
				out.Emit(ctx.Time())
				return nil
			}
		})
	})
}

func keyOf(e event) string { return e.Key }

// TestTimeOfClockTimersAfterRestore: what a timer in processing time emits carries the instant after the watermark before a
// restore and after it, in all years, and the clock's time where the watermark has not started.
func TestTimeOfClockTimersAfterRestore(t *testing.T) {
	for _, restored := range []bool{false, true} {
		for _, year := range []int{1700, 1950, 1970, 2026} {
			noon := time.Date(year, 3, 1, 12, 0, 0, 0, time.UTC)
			h := timesOfTimers(t)
			h.Push(noon, event{Key: "k"})
			h.Watermark(noon.Add(time.Hour))
			if restored {
				h.Restart()
			}
			h.Advance(time.Second)
			h.Want(engine.TimeOf(noon.Add(time.Hour)) + 1)
		}
	}
}

// TestTimeOfClockTimersUnknown: where neither a record nor a watermark says what the time is, it is the clock's, until one
// does.
func TestTimeOfClockTimersUnknown(t *testing.T) {
	noon := time.Date(1950, 3, 1, 12, 0, 0, 0, time.UTC)
	h := timesOfTimers(t)
	h.Push(noon, event{Key: "a"})
	h.Advance(time.Second / 2)
	h.Push(noon, event{Key: "b"})
	h.Advance(time.Second / 4)
	h.Push(noon, event{Key: "c"})
	h.Restart()
	h.Advance(time.Second / 4)
	first := engine.TimeOf(h.Now())
	h.Want(first)
	h.Watermark(noon)
	h.Advance(time.Second / 2)
	h.Want(first, engine.TimeOf(noon)+1)
	h.Push(noon.Add(time.Hour), event{Key: "d"})
	h.Advance(time.Second / 4)
	h.Want(first, engine.TimeOf(noon)+1, engine.TimeOf(noon.Add(time.Hour)))
}

// TestTimeOfClockTimersAtTheEnd: the same at the end of an input that brings nothing more.
func TestTimeOfClockTimersAtTheEnd(t *testing.T) {
	h := timesOfTimers(t)
	h.Push(t0, event{Key: "k"})
	h.Restart()
	h.End()
	h.Want(engine.TimeOf(h.Now()))
}

// TestTimeOfClockTimersWithoutEventTime is 0, as that of records.
func TestTimeOfClockTimersWithoutEventTime(t *testing.T) {
	clock, dir := enginetest.NewClock(t0), t.TempDir()
	in := newFeed[event](1)
	for restored := range 2 {
		times := make(chan engine.Time, 1)
		job := engine.NewJob("untimed")
		out := engine.Process(engine.KeyBy(engine.From[event](job, "in", in), keyOf), "timer", func(s *engine.Setup) engine.Func[string, event, string] {
			timer := engine.NewTimer(s, "t", func(ctx *engine.Context, _ string, _ engine.Time, _ engine.Out[string]) error {
				times <- ctx.Time()
				return nil
			}, engine.ProcessingTime)
			return func(ctx *engine.Context, _ string, _ event, _ engine.Out[string]) error {
				timer.Set(ctx, ctx.ProcessingTime().Add(time.Second))
				return nil
			}
		})
		engine.To(out, "out", newLog())
		r := start(t, job, engine.Options{Clock: clock, Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: dir}})
		if restored == 0 {
			in.add(0, event{Key: "k"})
			hasRead(t, r, 1)
			if _, err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			clock.Advance(time.Second)
			continue
		}
		if got := <-times; got != 0 {
			t.Errorf("time %s, want 0", got)
		}
	}
}
