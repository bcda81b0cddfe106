package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// atOf is the time of an event.
func atOf(e event) time.Time { return e.At }

// sumsBy is the sums of engine_test.go with times of one's own.
func sumsBy(in engine.Source[event], t engine.Times[event], out engine.Sink[string]) *engine.Job {
	job := engine.NewJob("sums")
	byKey := engine.KeyBy(engine.From(job, "in", in, t), func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", out)
	return job
}

// TestStrategiesEndure kills and resumes jobs whose time follows each strategy; no window is lost or counted twice.
func TestStrategiesEndure(t *testing.T) {
	all := events(3000)
	for i := range all { // every tenth carries a mark: no time before it will come
		if all[i].N%10 != 9 {
			all[i].N = -all[i].N
		}
	}
	carried := func(w engine.Time, e event, at engine.Time) engine.Time {
		if e.N > 0 {
			return at
		}
		return w
	}
	for name, s := range map[string]engine.WatermarkStrategy{
		"monotonous": engine.Monotonous(), "out of order": engine.OutOfOrder(time.Minute), "carried": engine.Watermarks(carried),
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				log := newLog()
				build := func() *engine.Job {
					in := engine.SliceSource(all...)
					return sumsBy(in, engine.EventTime(atOf, s), log)
				}
				if err := endure(t, rand.New(rand.NewPCG(seed, 31)), vfs.NewFault(vfs.NewMem()), build); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				equal(t, log.rows(), wantSums(all))
			}
			noneLeft(t)
		})
	}
}

// TestWatermarksOnesOwn: a strategy of one's own that says what OutOfOrder says gives the same watermark, after any records
// and a restart between any two of them.
func TestWatermarksOnesOwn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bound := time.Duration(rapid.Int64Range(0, 100).Draw(rt, "bound"))
		own := engine.Watermarks(func(w engine.Time, _ event, at engine.Time) engine.Time { return at.Add(-bound - 1) })
		var all []event
		for range rapid.IntRange(1, 20).Draw(rt, "n") {
			all = append(all, event{At: t0.Add(time.Duration(rapid.Int64Range(0, 1000).Draw(rt, "at")))})
		}
		a, b := watermarkAfter(t, engine.OutOfOrder(bound), all), watermarkAfter(t, own, all)
		if a != b {
			rt.Fatalf("after %v: %s by OutOfOrder, %s by one's own", all, a, b)
		}
	})
}

// watermarkAfter runs a source to where it waits for more, and tells its watermark.
func watermarkAfter(t *testing.T, s engine.WatermarkStrategy, all []event) engine.Time {
	t.Helper()
	in := newFeed[event](1)
	in.add(0, all...)
	job := engine.NewJob("marks")
	engine.To(engine.From(job, "in", in, engine.EventTime(atOf, s)), "out", engine.SinkFunc(func(context.Context, []event) error { return nil }))
	r, err := job.Start(t.Context(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Cancel()
	readAll(t, r, int64(len(all)))
	readAll(t, r, 0) // the watermark is told with the next
	return r.Stats().Watermark
}

// TestWatermarksWithoutEnd: what a strategy says cannot end time, nor turn it back.
func TestWatermarksWithoutEnd(t *testing.T) {
	for _, w := range []engine.Time{engine.MinTime, engine.MaxTime} {
		log := newLog()
		s := engine.Watermarks(func(engine.Time, event, engine.Time) engine.Time { return w })
		late := events(1)
		if err := sumsBy(engine.SliceSource(late...), engine.EventTime(atOf, s), log).Run(t.Context(), engine.Options{}); err != nil {
			t.Fatal(err)
		}
		equal(t, log.rows(), wantSums(late))
	}
}

func TestTimesMistakes(t *testing.T) {
	job := engine.NewJob("mistaken")
	other := engine.Watermarks(func(w engine.Time, _ string, _ engine.Time) engine.Time { return w })
	out := engine.SinkFunc(func(context.Context, []event) error { return nil })
	in := engine.SliceSource[event]()
	engine.To(engine.From(job, "a", in, engine.EventTime(atOf, other)), "a-out", out)
	engine.To(engine.From(job, "b", in, engine.EventTime(atOf, engine.Monotonous()).Align("", time.Second)), "b-out", out)
	engine.To(engine.From(job, "c", in, engine.EventTime(atOf, engine.Monotonous()).Align("g", -1)), "c-out", out)
	_, err := job.Start(t.Context(), engine.Options{})
	contains(t, err, `source "a" of engine_test.event has watermarks by a func(engine.Time, string, engine.Time) engine.Time`,
		`source "b" is aligned with a group without a name`, `source "c": negative duration`)
}

// alignedJob has a source that is ahead whenever it may, and one that a test feeds.
func alignedJob(fast engine.Source[event], slow engine.Source[event], drift, idle time.Duration, out engine.Sink[event]) *engine.Job {
	job := engine.NewJob("aligned")
	times := engine.EventTime(atOf, engine.Monotonous()).Align("both", drift).Idle(idle)
	engine.To(engine.Union(engine.From(job, "fast", fast, times), engine.From(job, "slow", slow, times)), "out", out)
	return job
}

// perSecond makes one event a second.
func perSecond(n int64) engine.Source[event] {
	return engine.Generate(engine.GenerateOptions{Count: n}, func(i int64, _ time.Time) event {
		return event{Key: "fast", N: i, At: t0.Add(time.Duration(i) * time.Second)}
	})
}

// TestAlign: the source that is ahead waits for the other, however far that is, and no longer.
func TestAlign(t *testing.T) {
	const n, drift = 10_000, 100
	for _, p := range []int{1, 2} {
		slow, out := newFeed[event](1), &enginetest.Sink[event]{}
		r := start(t, alignedJob(perSecond(n), slow, drift*time.Second, 0, out), engine.Options{Parallelism: p})
		for _, second := range []int64{0, 1000, 1500, 7000} {
			slow.add(0, event{Key: "slow", At: t0.Add(time.Duration(second) * time.Second)})
			within := func() int64 { return operatorIn(r, "fast") }
			for within() <= second+drift-1 {
				if _, err := r.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				if _, err := r.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if most := second + drift + 3*256; within() > most {
				t.Errorf("parallelism %d: %d seconds read while the other is at %d, want at most %d", p, within(), second, most)
			}
		}
		slow.end()
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := len(out.Rows()); got != n+4 {
			t.Errorf("parallelism %d: %d rows, want %d", p, got, n+4)
		}
	}
}

func operatorIn(r *engine.Running, uid string) int64 {
	for _, op := range r.Stats().Operators {
		if op.UID == uid {
			return op.In
		}
	}
	return 0
}

// TestAlignIdle: a split that is idle holds nobody up, and one that waits for the others is not idle.
func TestAlignIdle(t *testing.T) {
	const n = 3000
	clock := enginetest.NewClock(t0)
	slow, out := newFeed[event](1), &enginetest.Sink[event]{}
	r := start(t, alignedJob(perSecond(n), slow, time.Second, time.Hour, out), engine.Options{Clock: clock, Parallelism: 2})
	slow.add(0, event{Key: "slow", At: t0})
	readAll(t, r, 2)
	for range 10 {
		readAll(t, r, 2)
	}
	if in := operatorIn(r, "fast"); in == n {
		t.Fatal("the fast source does not wait")
	}
	for operatorIn(r, "fast") < n {
		clock.Advance(time.Hour)
		readAll(t, r, 0)
	}
	slow.end()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestAlignEndures: with any drift, splits in any order and kills between, a job gets to its end: nobody waits for one who
// waits for him.
func TestAlignEndures(t *testing.T) {
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 41))
		all := events(2000)
		a, b := newFeed[event](1+rnd.IntN(3)), newFeed[event](1+rnd.IntN(3))
		for i, e := range all { // the sources cover different times
			in := a
			if rnd.IntN(len(all)) > i {
				in = b
			}
			split := rnd.IntN(len(in.recs))
			in.recs[split] = append(in.recs[split], e)
		}
		a.ended, b.ended = true, true
		log, drift := newLog(), time.Duration(rnd.IntN(200))*time.Second
		build := func() *engine.Job {
			job := engine.NewJob("aligned")
			times := engine.EventTime(atOf, engine.Monotonous()).Align("g", drift)
			both := engine.Union(engine.From(job, "a", a, times), engine.From(job, "b", b, times.Align("g", 0)))
			byKey := engine.KeyBy(both, func(e event) string { return e.Key })
			engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", log)
			return job
		}
		if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got, want := fmt.Sprint(log.rows()), fmt.Sprint(wantSums(all)); got != want {
			t.Fatalf("seed %d: %s\nwant %s", seed, got, want)
		}
	}
	noneLeft(t)
}
