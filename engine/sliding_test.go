package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// listed is an accumulator that shows what it was made of, and in which order.
type listed struct {
	N, Sum, First, Last int64
}

type listing struct{}

func (listing) Add(a *listed, e event) { listing{}.Merge(a, listed{1, e.N, e.N, e.N}) }

func (listing) Merge(into *listed, from listed) {
	if into.N == 0 {
		*into = from
		return
	}
	into.N, into.Sum = into.N+from.N, into.Sum+from.Sum
	into.First, into.Last = min(into.First, from.First), max(into.Last, from.Last)
}

func (listing) Result(key string, w engine.Span, a listed) string {
	return fmt.Sprintf("%s %s %d %d %d..%d", key, w, a.N, a.Sum, a.First, a.Last)
}

// windowsOf folds records into every window that they belong to.
func windowsOf(all []event, size, slide time.Duration) (rows []string) {
	type kw struct {
		k string
		w engine.Span
	}
	accs := map[kw]listed{}
	for _, e := range all {
		at := engine.TimeOf(e.At)
		for start := at - at%engine.Time(slide); start > at-engine.Time(size); start -= engine.Time(slide) {
			id := kw{e.Key, engine.Span{Start: start, End: start + engine.Time(size)}}
			a := accs[id]
			listing{}.Add(&a, e)
			accs[id] = a
		}
	}
	for id, a := range accs {
		rows = append(rows, listing{}.Result(id.k, id.w, a))
	}
	slices.Sort(rows)
	return rows
}

// TestRandomSlidingWindows has records, sinks and storage fail and the job stopped and resumed at other parallelisms; sizes
// that slides divide, and sizes that they do not; keys that are silent for many windows.
func TestRandomSlidingWindows(t *testing.T) {
	eachSeed(t, 80, 15, randomSliding)
}

func randomSliding(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 13))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 14))}
	slide := time.Duration(1+rnd.IntN(60)) * time.Second
	size := slide + time.Duration(rnd.IntN(10))*slide
	if rnd.IntN(2) == 0 {
		size += time.Duration(rnd.IntN(int(slide/time.Second))) * time.Second
	}
	in, _ := randomEvents(rnd, 3000)
	sparse := 1 + rnd.IntN(200)
	for s := range in.recs { // some keys come rarely
		in.recs[s] = slices.DeleteFunc(in.recs[s], func(e event) bool { return e.Key > "k5" && e.N%int64(sparse) != 0 })
	}
	all := slices.Concat(in.recs...)
	rows := newLog()
	build := func() *engine.Job {
		job := engine.NewJob("sliding")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
		checked := flaky(src, d)
		byKey := engine.KeyBy(checked, func(e event) string { return e.Key })
		engine.To(engine.Aggregate(engine.Window(byKey, engine.Sliding(size, slide)), "windows", listing{}), "out", flakyLog(d, rows))
		return job
	}
	if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
		return err
	}
	if want := windowsOf(all, size, slide); !slices.Equal(rows.rows(), want) {
		return fmt.Errorf("size %s slide %s: %d windows, want %d: %s", size, slide, len(rows.rows()), len(want), firstDifference(rows.rows(), want))
	}
	return nil
}

func firstDifference(got, want []string) string {
	for i := range want {
		if i == len(got) || got[i] != want[i] {
			return fmt.Sprintf("got %q, want %q", got[min(i, len(got)-1)], want[i])
		}
	}
	return "more than there should be"
}

// TestSlidingTakesWhatIsLateForSomeWindows feeds records behind the watermark whose last windows are still open: each window
// that had not closed when a record came counts it, and none that had.
func TestSlidingTakesWhatIsLateForSomeWindows(t *testing.T) {
	for seed := range seeds(200, 20) {
		rnd := rand.New(rand.NewPCG(seed, 15))
		slide := time.Duration(1+rnd.IntN(5)) * time.Second
		size := slide * time.Duration(1+rnd.IntN(12))
		in, rows := newFeed[event](1), newLog()
		job := engine.NewJob("late")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
		byKey := engine.KeyBy(src, func(e event) string { return e.Key })
		engine.To(engine.Aggregate(engine.Window(byKey, engine.Sliding(size, slide)), "windows", listing{}), "out", rows)

		// Batches of one age: within a batch time stands still, so what a window takes is certain.
		type kw struct {
			k string
			w engine.Span
		}
		accs, late, newest, watermark := map[kw]listed{}, int64(0), engine.MinTime, engine.MinTime
		for range 30 {
			base := t0.Add(time.Duration(rnd.IntN(60)) * time.Second)
			for range 256 {
				e := event{Key: fmt.Sprint("k", rnd.IntN(3)), N: int64(rnd.IntN(1000)), At: base.Add(time.Duration(rnd.IntN(3)) * time.Second)}
				in.recs[0] = append(in.recs[0], e)
				at, taken := engine.TimeOf(e.At), false
				for start := at - at%engine.Time(slide); start > at-engine.Time(size); start -= engine.Time(slide) {
					w := engine.Span{Start: start, End: start + engine.Time(size)}
					if w.End-1 > watermark {
						a := accs[kw{e.Key, w}]
						listing{}.Add(&a, e)
						accs[kw{e.Key, w}], taken = a, true
					}
				}
				if !taken {
					late++
				}
				newest = max(newest, at)
			}
			watermark = newest - 1
		}
		in.ended = true
		r := start(t, job, engine.Options{})
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		var want []string
		for id, a := range accs {
			want = append(want, listing{}.Result(id.k, id.w, a))
		}
		slices.Sort(want)
		if !slices.Equal(rows.rows(), want) || r.Stats().Late != late {
			t.Fatalf("seed %d, size %s slide %s: %d late, want %d; %d windows, want %d: %s", seed, size, slide, r.Stats().Late, late,
				len(rows.rows()), len(want), firstDifference(rows.rows(), want))
		}
	}
}
