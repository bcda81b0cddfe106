package engine_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// TestCheckpointsByTheClock takes a periodic checkpoint when the clock says so.
func TestCheckpointsByTheClock(t *testing.T) {
	clock := enginetest.NewClock(t0)
	taken := make(chan engine.Checkpoint, 10)
	in := newFeed[event](1)
	o := engine.Options{Clock: clock, Checkpoints: engine.Checkpoints{Interval: time.Hour}}
	o.Hooks.Checkpoint = func(c engine.Checkpoint) { taken <- c }
	start(t, sumJob(in, newLog()), o)
	for i := range 3 {
		c := <-taken
		if want := t0.Add(time.Duration(i) * time.Hour); !c.Triggered.Equal(want) || c.Duration != 0 {
			t.Errorf("checkpoint %d at %s took %s, want %s and no time", c.ID, c.Triggered, c.Duration, want)
		}
		clock.Advance(time.Hour)
	}
}

// TestIdleByTheClock lets time go on without a split that has been silent for long enough by the clock.
func TestIdleByTheClock(t *testing.T) {
	clock := enginetest.NewClock(t0)
	in, log := newFeed[event](2), newLog()
	job, closed := idleJob(in, time.Hour, log)
	r := start(t, job, engine.Options{Clock: clock, Parallelism: 2})
	in.add(0, event{Key: "k", At: t0}, event{Key: "k", At: t0.Add(10 * time.Minute)})
	in.add(1, event{Key: "k", At: t0})
	for r.Stats().RecordsIn < 3 {
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Hour - 1)
	in.add(0, event{Key: "k", At: t0.Add(20 * time.Minute)})
	for r.Stats().RecordsIn < 4 {
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(closed); n > 0 {
		t.Errorf("%d windows closed before their time", n)
	}
	clock.Advance(1)
	takeRow(t, closed)
}

// TestBackOffByTheClock restarts a job that has failed when the clock says so.
func TestBackOffByTheClock(t *testing.T) {
	clock := enginetest.NewClock(t0)
	failed := make(chan time.Duration, 1)
	attempts := 0
	job := engine.NewJob("fails once")
	src := engine.From(job, "in", engine.SliceSource(1))
	engine.To(engine.FlatMap(src, func(n int, out engine.Out[int]) error {
		if attempts++; attempts == 1 {
			return errors.New("not now")
		}
		return nil
	}), "out", nowhere[int]())
	o := engine.Options{Clock: clock, Restart: engine.Restart{InitialDelay: time.Hour, MaxDelay: time.Hour, Jitter: -1}}
	o.Hooks.Restart = func(_ int, after time.Duration, _ error) { failed <- after }
	r := start(t, job, o)
	clock.Advance(<-failed)
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if attempts != 2 {
		t.Errorf("%d attempts, want 2", attempts)
	}
}

// TestCommitByTheClock repeats a commit that has failed when the clock says so.
func TestCommitByTheClock(t *testing.T) {
	clock := enginetest.NewClock(t0)
	log := newLog()
	failed := make(chan struct{})
	fails := func() error { close(failed); return errors.New("down") }
	commits := 0
	sink := hookedLog{log, func() error {
		if commits++; commits == 1 {
			return fails()
		}
		return nil
	}}
	r := start(t, sumJob(engine.SliceSource(events(10)...), sink), engine.Options{Clock: clock})
	until(t, "a commit that fails", failed)
	if len(log.rows()) > 0 {
		t.Error("rows are visible before their commit")
	}
	for over := false; !over; runtime.Gosched() {
		if at, ok := clock.Next(); ok {
			clock.Advance(at.Sub(clock.Now()))
		}
		select {
		case <-r.Done():
			over = true
		default:
		}
	}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), wantSums(events(10)))
	if passed := clock.Now().Sub(t0); passed < 10*time.Millisecond {
		t.Errorf("the commit was repeated after %s", passed)
	}
}

// TestTTLByTheClock lets a state in processing time end when the clock says so, also after a long silence.
func TestTTLByTheClock(t *testing.T) {
	clock := enginetest.NewClock(t0)
	in := newFeed[int](1)
	seen := make(chan string, 10)
	job := engine.NewJob("ttl")
	src := engine.From(job, "in", in)
	out := engine.Process(engine.KeyBy(src, func(int) int { return 0 }), "last", func(s *engine.Setup) engine.Func[int, int, int] {
		last := engine.NewValueState[int](s, "last", engine.TTL(time.Hour, engine.ProcessingTime))
		return func(ctx *engine.Context, _ int, n int, _ engine.Out[int]) error {
			v, ok := last.Get(ctx)
			last.Set(ctx, n)
			seen <- fmt.Sprint(v, ok, ctx.ProcessingTime().UTC().Sub(t0))
			return nil
		}
	})
	engine.To(out, "out", nowhere[int]())
	start(t, job, engine.Options{Clock: clock})
	for i, step := range []struct {
		after time.Duration
		want  string
	}{{0, "0 false 0s"}, {time.Hour - 1, "1 true 59m59.999999999s"}, {time.Hour, "0 false 1h59m59.999999999s"}} {
		clock.Advance(step.after)
		in.add(0, i+1)
		if got := <-seen; got != step.want {
			t.Errorf("record %d saw %q, want %q", i+1, got, step.want)
		}
	}
}
