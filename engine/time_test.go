package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

const clicks engine.Side[string] = "clicks"

// TestTimersInOrder sets and deletes timers of two kinds, with a restart in the middle: they fire in order of time, with
// their key, once, and those that were deleted do not.
func TestTimersInOrder(t *testing.T) {
	for _, p := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			all := events(2_000)
			var failed atomic.Bool
			log := newLog()
			job := engine.NewJob("timers")
			src := engine.From(job, "in", engine.SliceSource(all...), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
			out := engine.Process(engine.KeyBy(src, func(e event) string { return e.Key }), "timers",
				func(s *engine.Setup) engine.Func[string, event, string] {
					last := engine.NewCell[engine.Time](s, "last")
					fire := func(kind string) func(*engine.Context, string, engine.Time, engine.Out[string]) error {
						return func(ctx *engine.Context, key string, at engine.Time, out engine.Out[string]) error {
							l := last.Ref(ctx)
							if at < *l || ctx.Time() != at || ctx.Watermark() < at {
								return engine.Permanent(fmt.Errorf("timer at %s after %s, time %s, watermark %s", at, *l, ctx.Time(), ctx.Watermark()))
							}
							*l = at
							out.Emit(fmt.Sprintf("%s %s %s", kind, key, at))
							return nil
						}
					}
					soon := engine.NewTimer(s, "soon", fire("soon"))
					later := engine.NewTimer(s, "later", fire("later"))
					return func(ctx *engine.Context, key string, e event, _ engine.Out[string]) error {
						if e.N == 1_200 && !failed.Swap(true) {
							return errors.New("injected")
						}
						soon.Set(ctx, ctx.Time().Add(10*time.Second))
						soon.Set(ctx, ctx.Time().Add(10*time.Second)) // once is enough
						later.Set(ctx, ctx.Time().Add(time.Hour))
						if e.N%3 == 0 {
							if !later.Delete(ctx, ctx.Time().Add(time.Hour)) || later.Delete(ctx, ctx.Time().Add(time.Hour)) {
								return engine.Permanent(errors.New("Delete does not tell what was set"))
							}
						}
						return nil
					}
				})
			engine.To(out, "out", log)
			err := job.Run(t.Context(), engine.Options{Parallelism: p, Restart: quick(), Checkpoints: engine.Checkpoints{Interval: time.Millisecond}})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, e := range all {
				want = append(want, fmt.Sprintf("soon %s %s", e.Key, engine.TimeOf(e.At.Add(10*time.Second))))
				if e.N%3 != 0 {
					want = append(want, fmt.Sprintf("later %s %s", e.Key, engine.TimeOf(e.At.Add(time.Hour))))
				}
			}
			slices.Sort(want)
			equal(t, log.rows(), want)
		})
	}
}

// TestTimerEdges sets timers at the watermark, below it, and from within a timer.
func TestTimerEdges(t *testing.T) {
	var mu sync.Mutex
	var fired []string
	job := engine.NewJob("edges")
	src := engine.From(job, "in", engine.SliceSource(events(300)...), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	out := engine.Process(engine.KeyBy(src, func(event) string { return "all" }), "edges",
		func(s *engine.Setup) engine.Func[string, event, string] {
			var chain engine.Timer
			chain = engine.NewTimer(s, "chain", func(ctx *engine.Context, _ string, at engine.Time, _ engine.Out[string]) error {
				mu.Lock()
				defer mu.Unlock()
				fired = append(fired, fmt.Sprint(at.Sub(engine.TimeOf(t0))))
				if len(fired) < 5 {
					chain.Set(ctx, at.Add(time.Second))
				}
				return nil
			})
			return func(ctx *engine.Context, _ string, e event, _ engine.Out[string]) error {
				if e.N == 280 { // the watermark stands behind record 255, the last of the first batch
					chain.Set(ctx, ctx.Watermark())
					chain.Set(ctx, ctx.Watermark().Add(-time.Hour))
				}
				return nil
			}
		})
	engine.To(out, "out", nowhere[string]())
	if err := job.Run(t.Context(), engine.Options{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"-55m45.000000001s", "-55m44.000000001s", "-55m43.000000001s", "-55m42.000000001s", "-55m41.000000001s", "4m14.999999999s"}
	if !slices.Equal(fired, want) {
		t.Errorf("fired %v, want %v", fired, want)
	}
}

// TestTimesOutOfRange are errors, never lost.
func TestTimesOutOfRange(t *testing.T) {
	far := time.Unix(0, int64(engine.MaxTime.Add(-2*time.Second))).UTC()
	tests := map[string]func(job *engine.Job){
		"record": func(job *engine.Job) {
			src := engine.From(job, "in", engine.SliceSource(event{At: time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)}),
				engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
			engine.To(src, "out", nowhere[event]())
		},
		"window": func(job *engine.Job) { sumGraph(job, engine.SliceSource(event{Key: "k", At: far}), newLog()) },
		"timer": func(job *engine.Job) {
			src := engine.From(job, "in", engine.SliceSource(event{At: far}), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
			out := engine.Process(engine.KeyBy(src, func(e event) string { return e.Key }), "timer", func(s *engine.Setup) engine.Func[string, event, string] {
				timer := engine.NewTimer(s, "t", func(*engine.Context, string, engine.Time, engine.Out[string]) error { return nil })
				return func(ctx *engine.Context, _ string, _ event, _ engine.Out[string]) error {
					timer.Set(ctx, ctx.Time().Add(time.Hour))
					return nil
				}
			})
			engine.To(out, "out", newLog())
		},
	}
	for name, build := range tests {
		t.Run(name, func(t *testing.T) {
			job := engine.NewJob("range")
			build(job)
			err := job.Run(t.Context(), engine.Options{Restart: quick()})
			if !engine.IsPermanent(err) {
				t.Errorf("Run = %v, want a permanent error", err)
			}
			contains(t, err, "1678 to 2261", "operator", "record")
		})
	}
}

// TestLateAndSide: late records are counted and can be taken; what an operator puts aside can too.
func TestLateAndSide(t *testing.T) {
	for _, p := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			var all []event
			for i := range 4_000 {
				at := t0.Add(time.Duration(i) * time.Second)
				if i%10 == 9 && i > 3_000 { // tasks may be apart by as many batches as queues hold
					at = t0 // its window closed long ago
				}
				all = append(all, event{Key: fmt.Sprint("k", i%7), N: int64(i), At: at})
			}
			windows, late, side := newLog(), newLog(), newLog()
			job := engine.NewJob("late")
			src := engine.From(job, "in", engine.SliceSource(all...), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
			marked := engine.Process(engine.KeyBy(src, func(e event) string { return e.Key }), "mark", func(s *engine.Setup) engine.Func[string, event, event] {
				to, nobody := engine.NewSide(s, clicks), engine.NewSide(s, engine.Side[int]("nobody takes it"))
				return func(_ *engine.Context, key string, e event, out engine.Out[event]) error {
					if e.N%100 == 0 {
						to.Emit(fmt.Sprint("aside ", e.N))
						nobody.Emit(1)
					}
					out.Emit(e)
					return nil
				}
			})
			engine.To(engine.SideOutput(marked, clicks), "side", side)
			w := engine.Window(engine.KeyBy(marked, func(e event) string { return e.Key }), engine.Tumbling(5*time.Minute))
			engine.To(engine.Map(w.Late(), func(e event) string { return fmt.Sprint("late ", e.N) }), "late", late)
			engine.To(engine.Aggregate(w, "sum", sum{}), "out", windows)
			r := start(t, job, engine.Options{Parallelism: p})
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			var inTime []event
			var wantLate, wantSide []string
			for _, e := range all {
				if e.N%100 == 0 {
					wantSide = append(wantSide, fmt.Sprint("aside ", e.N))
				}
				if e.At.Equal(t0) && e.N > 0 {
					wantLate = append(wantLate, fmt.Sprint("late ", e.N))
				} else {
					inTime = append(inTime, e)
				}
			}
			slices.Sort(wantLate)
			slices.Sort(wantSide)
			equal(t, late.rows(), wantLate)
			equal(t, side.rows(), wantSide)
			equal(t, windows.rows(), wantSums(inTime))
			if n := r.Stats().Late; n != int64(len(wantLate)) {
				t.Errorf("%d late records counted, want %d", n, len(wantLate))
			}
		})
	}
}

// idleJob sums two splits and tells of its windows as they close.
func idleJob(in engine.Source[event], idle time.Duration, log *txnLog) (*engine.Job, chan string) {
	closed := make(chan string, 100_000) // more than there are windows
	job := engine.NewJob("idle")
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)).Idle(idle))
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	sums := engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{})
	engine.To(engine.Map(sums, func(s string) string { closed <- s; return s }), "out", log)
	return job, closed
}

func takeRow(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("no window closes")
		return ""
	}
}

// TestIdleSplit lets time go on without a split that says nothing, and waits for it again when it speaks.
func TestIdleSplit(t *testing.T) {
	for _, p := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			in, log := newFeed[event](2), newLog()
			job, closed := idleJob(in, 5*time.Millisecond, log)
			r := start(t, job, engine.Options{Parallelism: p})
			at := func(d time.Duration) event { return event{Key: "k", N: 1, At: t0.Add(d)} }
			in.add(0, at(0), at(10*time.Minute))
			if got, want := takeRow(t, closed), fmt.Sprintf("k %s 1 1", engine.TimeOf(t0)); got != want {
				t.Errorf("window %s, want %s", got, want)
			}
			in.add(1, at(12*time.Minute)) // it speaks; the other one has nothing more to say
			in.add(1, at(30*time.Minute))
			if got, want := takeRow(t, closed), fmt.Sprintf("k %s 2 2", engine.TimeOf(t0.Add(10*time.Minute))); got != want {
				t.Errorf("window %s, want %s", got, want)
			}
			in.end()
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			if n := r.Stats().Late; n != 0 {
				t.Errorf("%d records were late", n)
			}
		})
	}
}

// TestNoSplitsForASubtask runs more subtasks than the source has splits, also when further ones may appear: time goes on.
func TestNoSplitsForASubtask(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("open=%t", open), func(t *testing.T) {
			in, log := newFeed[event](1), newLog()
			in.open = open
			job, closed := idleJob(in, 0, log)
			r := start(t, job, engine.Options{Parallelism: 4})
			in.add(0, event{Key: "k", At: t0}, event{Key: "k", At: t0.Add(time.Hour)})
			takeRow(t, closed)
			if _, err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestEndedSplit goes on without a split that has been read to its end, also after a restore.
func TestEndedSplit(t *testing.T) {
	in, log := newFeed[event](2), newLog()
	dir := t.TempDir()
	o := engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()}
	for i := range 3 {
		job, closed := idleJob(oneEnds{in}, 0, log)
		r := start(t, job, o)
		in.add(0, event{Key: "k", At: t0.Add(time.Duration(i) * time.Hour)}, event{Key: "k", At: t0.Add(time.Duration(i)*time.Hour + 30*time.Minute)})
		takeRow(t, closed)
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.Parallelism = i + 1
	}
}

// oneEnds is a feed whose second split is at its end.
type oneEnds struct{ *feed[event] }

func (s oneEnds) Open(ctx context.Context, sp engine.Split, at engine.Position) (engine.Reader[event], error) {
	if sp.ID == "1" {
		return engine.SliceSource[event]().Open(ctx, sp, at)
	}
	return s.feed.Open(ctx, sp, at)
}

// TestRescale runs a job in pieces, at one parallelism after the other.
func TestRescale(t *testing.T) {
	const piece = 3_000
	parallelisms := []int{1, 4, 2, 8, 3, 1}
	in, log := newFeed[event](2), newLog()
	dir := t.TempDir()
	all := events(piece * len(parallelisms))
	var from atomic.Int64
	for i, p := range parallelisms {
		job, _ := idleJob(in, 0, log)
		o := engine.Options{Parallelism: p, Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()}
		o.Hooks.Restored = func(engine.Checkpoint) { from.Add(1) }
		r := start(t, job, o)
		for k, e := range all[piece*i : piece*(i+1)] {
			in.add(k%2, e)
		}
		if i == len(parallelisms)-1 {
			in.end()
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := r.Stop(t.Context()); err != nil { // somewhere in the piece
			t.Fatal(err)
		}
	}
	if from.Load() != int64(len(parallelisms)-1) {
		t.Errorf("%d runs were resumed", from.Load())
	}
	equal(t, log.rows(), wantSums(all))
}

// TestStreamUsedTwice sends every record both ways, through maps, filters and flat maps.
func TestStreamUsedTwice(t *testing.T) {
	for _, p := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			all := events(5_000)
			sums, even, twice, count := newLog(), newLog(), newLog(), newLog()
			job := engine.NewJob("twice")
			src := engine.From(job, "in", engine.SliceSource(all...), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
			byKey := engine.KeyBy(src, func(e event) string { return e.Key })
			engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "sums", sums)
			text := func(e event) string { return fmt.Sprint(e.N) }
			engine.To(engine.Map(engine.Filter(src, func(e event) bool { return e.N%2 == 0 }), text), "even", even)
			engine.To(engine.FlatMap(src, func(e event, out engine.Out[string]) error {
				out.Emit(text(e))
				out.Emit(text(e))
				return nil
			}), "two", twice)
			engine.To(engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, string] {
				n := engine.NewCell[int64](s, "n")
				return func(ctx *engine.Context, key string, _ event, out engine.Out[string]) error {
					*n.Ref(ctx)++
					out.Emit(fmt.Sprint(key, " ", *n.Ref(ctx)))
					return nil
				}
			}), "counts", count)
			if err := job.Run(t.Context(), engine.Options{Parallelism: p}); err != nil {
				t.Fatal(err)
			}
			var wantEven, wantTwice, wantCount []string
			counts := map[string]int{}
			for _, e := range all {
				if e.N%2 == 0 {
					wantEven = append(wantEven, text(e))
				}
				wantTwice = append(wantTwice, text(e), text(e))
				counts[e.Key]++
				wantCount = append(wantCount, fmt.Sprint(e.Key, " ", counts[e.Key]))
			}
			for _, w := range [][]string{wantEven, wantTwice, wantCount} {
				slices.Sort(w)
			}
			equal(t, sums.rows(), wantSums(all))
			equal(t, even.rows(), wantEven)
			equal(t, twice.rows(), wantTwice)
			equal(t, count.rows(), wantCount)
		})
	}
}
