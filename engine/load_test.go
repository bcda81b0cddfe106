package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// slowJob has a source in two subtasks, of which one has nothing to read, and behind it, in a task of its own, an operator that
// waits at each record for the gate.
func slowJob(in engine.Source[int], entered chan<- int, gate <-chan struct{}) *engine.Job {
	job := engine.NewJob("slow")
	all := engine.From(job, "in", in).Parallelism(2)
	slow := engine.ProcessEach(all, "slow", func(*engine.Setup) engine.EachFunc[int, int] {
		return func(_ *engine.Context, i int, out engine.Out[int]) error {
			select {
			case entered <- i:
			default:
			}
			<-gate
			return nil
		}
	}).Parallelism(1)
	engine.To(slow, "out", engine.SinkFunc(func(context.Context, []int) error { return nil }))
	return job
}

// grown is how much of each kind of load a subtask has gained since earlier statistics.
func grown(uid string, subtask int, from, to engine.Stats) engine.Load {
	a, b := loadOf(from, uid, subtask), loadOf(to, uid, subtask)
	return engine.Load{Busy: b.Busy - a.Busy, Idle: b.Idle - a.Idle, BackPressured: b.BackPressured - a.BackPressured}
}

func loadOf(s engine.Stats, uid string, subtask int) engine.Load {
	for _, op := range s.Operators {
		if op.UID == uid {
			return op.Subtasks[subtask].Load
		}
	}
	return engine.Load{}
}

// advanceUntil moves the clock on by small steps until one of them was spent by all as wanted.
func advanceUntil(r *engine.Running, clock *enginetest.Clock, wanted func(from, to engine.Stats) bool) engine.Stats {
	const step = time.Millisecond
	for {
		from := r.Stats()
		clock.Advance(step)
		if to := r.Stats(); wanted(from, to) {
			return to
		}
	}
}

// TestLoad has a task wait for its input, one for room, and one for neither.
func TestLoad(t *testing.T) {
	const n, step, long = 200_000, time.Millisecond, 10 * time.Second
	clock, in := enginetest.NewClock(t0), newFeed[int](1)
	entered, gate := make(chan int, 1), make(chan struct{})
	r := start(t, slowJob(in, entered, gate), engine.Options{Clock: clock})
	defer func() {
		select {
		case <-gate:
		default:
			close(gate)
		}
	}()
	in.add(0, 0)
	<-entered // and what comes now queues up
	in.add(0, make([]int, n-1)...)

	before := advanceUntil(r, clock, func(from, to engine.Stats) bool {
		return grown("in", 0, from, to).BackPressured == step && grown("slow", 0, from, to).Busy == step &&
			from.Operators[0].Subtasks[1].Watermark == engine.MaxTime && grown("in", 1, from, to).Idle == step
	})
	clock.Advance(long)
	r.Stats() // what is newest begins anew
	clock.Advance(long)
	after := r.Stats()
	for _, want := range []struct {
		uid     string
		subtask int
		load    engine.Load
	}{
		{"in", 0, engine.Load{BackPressured: 2 * long}},
		{"in", 1, engine.Load{Idle: 2 * long}},
		{"slow", 0, engine.Load{Busy: 2 * long}},
	} {
		if got := grown(want.uid, want.subtask, before, after); got != want.load {
			t.Errorf("%s [%d] has spent %+v, want %+v", want.uid, want.subtask, got, want.load)
		}
	}
	wantRates(t, after, "in", -1, 0, 500, 500)
	wantRates(t, after, "in", 0, 0, 0, 1000)
	wantRates(t, after, "in", 1, 0, 1000, 0)
	wantRates(t, after, "slow", -1, 1000, 0, 0)
	wantRates(t, after, "out", 0, 1000, 0, 0) // the same task

	close(gate)
	readAll(t, r, n)
	before = advanceUntil(r, clock, func(from, to engine.Stats) bool {
		return grown("in", 0, from, to).Idle == step && grown("slow", 0, from, to).Idle == step && to.Operators[1].In == n
	})
	clock.Advance(long)
	if got := grown("slow", 0, before, r.Stats()); got != (engine.Load{Idle: long}) {
		t.Errorf("without records the operator has spent %+v, want %s idle", got, long)
	}
	for _, s := range r.Stats().Operators[0].Subtasks {
		if all := s.Load.Busy + s.Load.Idle + s.Load.BackPressured; all != clock.Now().Sub(t0) {
			t.Errorf("in [%d]: %+v adds up to %s, want %s", s.Index, s.Load, all, clock.Now().Sub(t0))
		}
	}
}

// wantRates compares what became of a second.
func wantRates(t *testing.T, s engine.Stats, uid string, subtask int, busy, idle, backPressured float64) {
	t.Helper()
	want := map[string]float64{"busyTimeMsPerSecond": busy, "idleTimeMsPerSecond": idle, "backPressuredTimeMsPerSecond": backPressured}
	for _, m := range s.Metrics() {
		if v, ok := want[m.Name]; ok && m.UID == uid && m.Subtask == subtask {
			delete(want, m.Name)
			if m.Value != v {
				t.Errorf("%s of %s [%d] is %v, want %v", m.Name, uid, subtask, m.Value, v)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("%s [%d] does not tell %v", uid, subtask, want)
	}
}

// TestFiredTimersOfProcess counts those that a process has set.
func TestFiredTimersOfProcess(t *testing.T) {
	job := engine.NewJob("timers")
	in := engine.From(job, "in", engine.SliceSource(events(3)...), engine.EventTime(atOf, engine.Monotonous()))
	byKey := engine.KeyBy(in, func(e event) int64 { return e.N })
	late := engine.Process(byKey, "late", func(s *engine.Setup) engine.Func[int64, event, int64] {
		timer := engine.NewTimer(s, "later", func(*engine.Context, int64, engine.Time, engine.Out[int64]) error { return nil })
		return func(ctx *engine.Context, _ int64, _ event, _ engine.Out[int64]) error {
			timer.Set(ctx, ctx.Time().Add(time.Hour))
			return nil
		}
	})
	engine.To(late, "out", engine.SinkFunc(func(context.Context, []int64) error { return nil }))
	r := start(t, job, engine.Options{})
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := operator(t, r, "late").Timers; got != 3 {
		t.Errorf("%d timers have fired, want 3", got)
	}
}

// TestFiredTimers counts timers and windows over a restart of the job; a subtask counts its own, anew.
func TestFiredTimers(t *testing.T) {
	in, dir := newFeed[event](1), t.TempDir()
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}}
	r := start(t, sumJob(in, newLog()), o)
	in.add(0, event{Key: "a", At: t0}, event{Key: "b", At: t0}, event{Key: "a", At: t0.Add(time.Hour)})
	readAll(t, r, 3)
	readAll(t, r, 3) // with the watermark behind them
	if op := operator(t, r, "sum"); op.Timers != 2 || op.Subtasks[0].Timers != 2 {
		t.Errorf("timers fired: %d, in the subtask %d, want 2", op.Timers, op.Subtasks[0].Timers)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Restore = engine.Resume()
	r = start(t, sumJob(in, newLog()), o)
	in.add(0, event{Key: "a", At: t0.Add(2 * time.Hour)})
	readAll(t, r, 4)
	readAll(t, r, 4)
	if op := operator(t, r, "sum"); op.Timers != 3 || op.Subtasks[0].Timers != 1 {
		t.Errorf("timers fired: %d, in the subtask %d, want 3 and 1", op.Timers, op.Subtasks[0].Timers)
	}
}
