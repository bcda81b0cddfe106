package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// reminders sends each record again when its delay, N seconds, is over by the clock.
func reminders(s *engine.Setup) engine.Func[string, event, string] {
	waiting := engine.NewMapState[engine.Time, []int64](s, "waiting")
	again := engine.NewTimer(s, "again", func(ctx *engine.Context, key string, at engine.Time, out engine.Out[string]) error {
		due, _ := waiting.Get(ctx, at)
		waiting.Delete(ctx, at)
		for _, n := range due {
			out.Emit(fmt.Sprint(key, " ", n))
		}
		return nil
	}, engine.ProcessingTime)
	return func(ctx *engine.Context, _ string, e event, _ engine.Out[string]) error {
		at := ctx.ProcessingTime().Add(time.Duration(e.N) * time.Second)
		due, _ := waiting.Get(ctx, at)
		waiting.Put(ctx, at, append(due, e.N))
		again.Set(ctx, at)
		return nil
	}
}

// remindJob has no event time. It tells of its outputs as they come.
func remindJob(in engine.Source[event], log engine.Sink[string]) (*engine.Job, chan string) {
	told := make(chan string, 100_000)
	job := engine.NewJob("reminders")
	byKey := engine.KeyBy(engine.From(job, "in", in), func(e event) string { return e.Key })
	out := engine.Process(byKey, "remind", reminders)
	engine.To(engine.Map(out, func(s string) string { told <- s; return s }), "out", log)
	return job, told
}

// checkpoint takes one: all that was due before it has been done.
func checkpoint(t *testing.T, r *engine.Running) {
	t.Helper()
	if _, err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hasRead waits until a job has read some records.
func hasRead(t *testing.T, r *engine.Running, n int64) {
	t.Helper()
	for r.Stats().RecordsIn < n {
		checkpoint(t, r)
	}
	checkpoint(t, r) // which follows the records through all tasks
}

func drain(c <-chan string) (all []string) {
	for {
		select {
		case s := <-c:
			all = append(all, s)
		default:
			return all
		}
	}
}

// TestTimersByTheClock fires timers in processing time when they are due, in order, and before the barrier that follows.
func TestTimersByTheClock(t *testing.T) {
	for _, p := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			clock := enginetest.NewClock(t0)
			in := newFeed[event](1)
			job, told := remindJob(in, newLog())
			r := start(t, job, engine.Options{Clock: clock, Parallelism: p})
			for n := int64(10); n > 0; n-- {
				in.add(0, event{Key: "k", N: n})
			}
			hasRead(t, r, 10)
			if got := drain(told); len(got) > 0 {
				t.Errorf("%v before their time", got)
			}
			clock.Advance(3*time.Second - 1)
			checkpoint(t, r)
			equal(t, drain(told), []string{"k 1", "k 2"})
			clock.Advance(1)
			equal(t, []string{<-told}, []string{"k 3"}) // with nothing else to wake the task
			clock.Advance(time.Minute)
			checkpoint(t, r)
			equal(t, drain(told), []string{"k 4", "k 5", "k 6", "k 7", "k 8", "k 9", "k 10"})
		})
	}
}

// TestOverdueTimers: what became due while no job was running fires when one is.
func TestOverdueTimers(t *testing.T) {
	clock := enginetest.NewClock(t0)
	in := newFeed[event](1)
	dir := t.TempDir()
	for i, p := range []int{1, 4, 2} {
		job, told := remindJob(in, newLog())
		r := start(t, job, engine.Options{Clock: clock, Parallelism: p, Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: dir}})
		if i > 0 {
			got := []string{<-told, <-told, <-told}
			slices.Sort(got)
			equal(t, got, []string{"a 60", "b 60", "c 60"})
		}
		before := r.Stats().RecordsIn
		for _, k := range []string{"a", "b", "c"} {
			in.add(0, event{Key: k, N: 60})
		}
		hasRead(t, r, before+3)
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Hour)
	}
}

// TestTimersAtTheEnd: timers in both times fire at the end of the input, also those that the others set, and what they
// emit is not late.
func TestTimersAtTheEnd(t *testing.T) {
	job := engine.NewJob("end")
	at := func(e event) time.Time { return e.At }
	src := engine.From(job, "in", engine.SliceSource(events(100)...), engine.EventTime(at, engine.OutOfOrder(time.Minute)))
	out := engine.Process(engine.KeyBy(src, func(e event) string { return e.Key }), "both", func(s *engine.Setup) engine.Func[string, event, event] {
		var byEvent, byClock engine.Timer
		left := engine.NewCell[int64](s, "left")
		fire := func(ctx *engine.Context, key string, _ engine.Time, out engine.Out[event]) error {
			n := left.Ref(ctx)
			out.Emit(event{Key: key, N: *n})
			switch *n--; {
			case *n < 0:
				return errors.New("a timer too many")
			case *n > 0 && *n%2 == 0:
				byClock.Set(ctx, ctx.ProcessingTime().Add(time.Hour))
			case *n > 0:
				byEvent.Set(ctx, ctx.Time().Add(time.Hour))
			}
			return nil
		}
		byEvent = engine.NewTimer(s, "event", fire)
		byClock = engine.NewTimer(s, "clock", fire, engine.ProcessingTime)
		return func(ctx *engine.Context, _ string, _ event, _ engine.Out[event]) error {
			if *left.Ref(ctx) == 0 {
				*left.Ref(ctx) = 7
				byClock.Set(ctx, ctx.ProcessingTime().Add(time.Hour))
			}
			return nil
		}
	})
	log := newLog()
	windows := engine.Window(engine.KeyBy(out, func(e event) string { return e.Key }), engine.Tumbling(50*365*24*time.Hour))
	engine.To(engine.Map(engine.Aggregate(windows, "sum", sum{}), func(string) string { return "window" }), "out", log)
	r := start(t, job, engine.Options{Clock: enginetest.NewClock(t0), Parallelism: 2})
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, e := range events(100) {
		keys[e.Key] = true
	}
	s := r.Stats()
	if s.Late != 0 || s.Operators[1].Out != int64(7*len(keys)) || len(log.rows()) != len(keys) {
		t.Errorf("%d keys: %d records late, %d timers, %d windows", len(keys), s.Late, s.Operators[1].Out, len(log.rows()))
	}
}

// TestTimeOfClockTimers: what a timer in processing time emits has the time of the record before, but is never late.
func TestTimeOfClockTimers(t *testing.T) {
	clock := enginetest.NewClock(t0.AddDate(10, 0, 0))
	times := make(chan engine.Time, 10)
	in := newFeed[event](1)
	job := engine.NewJob("times")
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
	out := engine.Process(engine.KeyBy(src, func(e event) string { return e.Key }), "timer", func(s *engine.Setup) engine.Func[string, event, string] {
		timer := engine.NewTimer(s, "t", func(ctx *engine.Context, key string, at engine.Time, out engine.Out[string]) error {
			times <- ctx.Time()
			return nil
		}, engine.ProcessingTime)
		return func(ctx *engine.Context, key string, e event, out engine.Out[string]) error {
			timer.Set(ctx, ctx.ProcessingTime().Add(time.Duration(e.N)*time.Second))
			return nil
		}
	})
	engine.To(out, "out", newLog())
	r := start(t, job, engine.Options{Clock: clock})
	in.add(0, event{Key: "k", N: 1, At: t0}, event{Key: "k", N: 2, At: t0.Add(-30 * time.Second)})
	hasRead(t, r, 2)
	clock.Advance(time.Second)
	if got, want := <-times, engine.TimeOf(t0.Add(-30*time.Second)); got != want {
		t.Errorf("time %s, want %s", got, want)
	}
	in.add(0, event{Key: "k", N: 2, At: t0.Add(time.Hour)}, event{Key: "k", N: 2, At: t0})
	hasRead(t, r, 4)
	clock.Advance(time.Second)
	if got, want := <-times, engine.TimeOf(t0.Add(59*time.Minute)); got != want {
		t.Errorf("time %s, want %s", got, want)
	}
}

// TestClockTimersRefused: a timer does not change from one time to the other while some are set.
func TestClockTimersRefused(t *testing.T) {
	dir := t.TempDir()
	for i, o := range [][]engine.TimeDomain{nil, {engine.ProcessingTime}} {
		job := engine.NewJob("domain")
		src := engine.From[event](job, "in", newFeed[event](1), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
		byKey := engine.KeyBy(src, func(e event) string { return e.Key })
		engine.To(engine.Process(byKey, "op", func(s *engine.Setup) engine.Func[string, event, string] {
			engine.NewTimer(s, "t", func(*engine.Context, string, engine.Time, engine.Out[string]) error { return nil }, o...)
			return func(*engine.Context, string, event, engine.Out[string]) error { return nil }
		}), "out", newLog())
		r, err := job.Start(t.Context(), engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()})
		if i == 0 {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, meta.ErrIncompatible) {
			t.Errorf("Start = %v", err)
		}
		contains(t, err, "timers [t]", "timers [t (processing time)]")
	}
}

// TestRandomClockTimers runs reminders while time jumps ahead, records, sinks and storage fail, and the job is stopped and
// resumed at other parallelisms. Each record is sent again, once.
func TestRandomClockTimers(t *testing.T) {
	eachSeed(t, 40, 10, randomReminders)
}

func randomReminders(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 21))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 22))}
	in, all := randomEvents(rnd, 1500)
	log := newLog()
	clock := jumpyFrom(t0, d, 3)
	build := func() *engine.Job {
		job := engine.NewJob("reminders")
		src := engine.FlatMap(engine.From[event](job, "in", in), func(e event, out engine.Out[event]) error {
			if d.oneIn(1500) {
				return errors.New("injected")
			}
			out.Emit(e)
			return nil
		})
		out := engine.Process(engine.KeyBy(src, func(e event) string { return e.Key }), "remind", reminders)
		engine.To(out, "out", flakyLog(d, log))
		return job
	}
	if err := endureOn(t, rnd, vfs.NewFault(vfs.NewMem()), clock, build); err != nil {
		return err
	}
	var want []string
	for _, e := range all {
		want = append(want, fmt.Sprint(e.Key, " ", e.N))
	}
	slices.Sort(want)
	if !slices.Equal(log.rows(), want) {
		return fmt.Errorf("%d reminders, want %d", len(log.rows()), len(want))
	}
	return nil
}

// jumpy is a clock whose time jumps ahead when it is asked for. It rings at once: who waits for a time looks again.
type jumpy struct{ now func() time.Time }

// jumpyFrom makes a clock that jumps by a minute one time in n.
func jumpyFrom(start time.Time, d *dice, n int) jumpy {
	var mu sync.Mutex // guards now
	now := start
	return jumpy{func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		if d.oneIn(n) {
			now = now.Add(time.Minute)
		}
		return now
	}}
}

func (c jumpy) Now() time.Time { return c.now() }

func (c jumpy) Alarm(time.Time) (<-chan time.Time, func()) {
	ring := make(chan time.Time, 1)
	ring <- c.now()
	return ring, func() {}
}

func TestExplainClockTimer(t *testing.T) {
	job, _ := remindJob(newFeed[event](1), newLog())
	x, err := job.Explain(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(x.String(), "timer \"again\" in processing time\n") {
		t.Errorf("says\n%s", x)
	}
}

// silent is a clock that rings for what is over already, and for nothing that is to come.
type silent struct{ *enginetest.Clock }

func (c silent) Alarm(at time.Time) (<-chan time.Time, func()) {
	if at.After(c.Now()) {
		return nil, func() {}
	}
	return c.Clock.Alarm(at)
}

// TestDueBeforeTheBarrier: what is due is done before the barrier that comes then, also by a task that did not wait.
func TestDueBeforeTheBarrier(t *testing.T) {
	for _, p := range []int{1, 2} {
		clock, log := enginetest.NewClock(t0), newLog()
		in := newFeed[event](1)
		job, _ := remindJob(in, log)
		r := start(t, job, engine.Options{Clock: silent{clock}, Parallelism: p})
		in.add(0, event{Key: "k", N: 1})
		hasRead(t, r, 1)
		clock.Advance(time.Second)
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, log.rows(), []string{"k 1"})
	}
}
