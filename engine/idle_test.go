package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// TestIdleFarDown lets time go on without a source that says nothing, also where other tasks lie between it and the windows,
// and waits for it again when it speaks. Subtasks of it that have no split are at their end, which is not the end of time.
func TestIdleFarDown(t *testing.T) {
	for _, p := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			clock := enginetest.NewClock(t0)
			quiet, busy := newFeed[event](1), newFeed[event](1)
			closed := make(chan string, 100)
			job := engine.NewJob("far")
			times := engine.EventTime(atOf, engine.Monotonous()).Idle(time.Hour)
			far := engine.Rebalance(engine.From(job, "quiet", quiet, times).Parallelism(p)).Parallelism(3 - p)
			both := engine.Union(far, engine.From(job, "busy", busy, times).Parallelism(1))
			byKey := engine.KeyBy(both, func(e event) string { return e.Key })
			sums := engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{})
			engine.To(engine.Map(sums, func(s string) string { closed <- s; return s }), "out", newLog())
			r := start(t, job, engine.Options{Clock: clock, Parallelism: 2})
			at := func(d time.Duration) event { return event{Key: "k", N: 1, At: t0.Add(d)} }
			closes := func(start time.Duration, n int) {
				t.Helper()
				if got, want := takeRow(t, closed), fmt.Sprintf("k %s %d %d", engine.TimeOf(t0.Add(start)), n, n); got != want {
					t.Errorf("window %s, want %s", got, want)
				}
			}
			quiet.add(0, at(0))
			busy.add(0, at(0))
			readAll(t, r, 2)
			clock.Advance(time.Hour)
			busy.add(0, at(10*time.Minute))
			closes(0, 2)
			quiet.add(0, at(11*time.Minute))
			readAll(t, r, 4)
			readAll(t, r, 0) // time waits for it again
			busy.add(0, at(20*time.Minute))
			readAll(t, r, 5)
			quiet.add(0, at(12*time.Minute), at(20*time.Minute))
			closes(10*time.Minute, 3)
			clock.Advance(time.Hour) // all are idle
			readAll(t, r, 7)
			quiet.add(0, at(20*time.Minute))
			quiet.end()
			busy.end()
			closes(20*time.Minute, 3)
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			if n := r.Stats().Late; n != 0 {
				t.Errorf("%d records were late", n)
			}
		})
	}
}
