package engine_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

var joinKinds = []engine.JoinKind{engine.Inner, engine.LeftOuter, engine.RightOuter, engine.FullOuter}

// TestRandomJoins joins random streams while records, sinks and storage fail and the job is stopped and resumed at other
// parallelisms. What is committed is what two nested loops make of the same input.
func TestRandomJoins(t *testing.T) {
	eachSeed(t, 60, 6, randomJoin)
}

func randomJoin(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 11))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 12))}
	kind := joinKinds[rnd.IntN(len(joinKinds))]
	lower := time.Duration(rnd.IntN(121)-60) * time.Second
	upper := lower + time.Duration(rnd.IntN(90))*time.Second
	left, lefts := randomEvents(rnd, 1500)
	right, rights := randomEvents(rnd, 1500)
	pairs := newLog()
	build := func() *engine.Job {
		job := engine.NewJob("join")
		side := func(uid string, in engine.Source[event]) engine.Keyed[string, event] {
			src := engine.From(job, uid, in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
			return engine.KeyBy(flaky(src, d), func(e event) string { return e.Key })
		}
		joined := engine.IntervalJoin(side("left", left), side("right", right), "join", kind, engine.Within(lower, upper), pair)
		engine.To(joined, "pairs", flakyLog(d, pairs))
		return job
	}
	if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
		return err
	}
	if want := nestedLoops(lefts, rights, kind, lower, upper); !slices.Equal(pairs.rows(), want) {
		return fmt.Errorf("%s from %s to %s: %d rows, want %d", kind, lower, upper, len(pairs.rows()), len(want))
	}
	return nil
}

// randomEvents are up to n events in one to three splits, each out of order by less than a minute.
func randomEvents(rnd *rand.Rand, n int) (*feed[event], []event) {
	all := make([]event, rnd.IntN(n))
	for i := range all {
		at := time.Duration(i)*time.Second - time.Duration(rnd.IntN(60))*time.Second
		all[i] = event{Key: fmt.Sprint("k", rnd.IntN(12)), N: int64(i), At: t0.Add(at)}
	}
	in := newFeed[event](1 + rnd.IntN(3))
	for _, e := range all {
		s := rnd.IntN(len(in.recs))
		in.recs[s] = append(in.recs[s], e)
	}
	in.ended = true
	return in, all
}

func pair(key string, l, r *event) string {
	show := func(e *event) string {
		if e == nil {
			return "-"
		}
		return fmt.Sprint(e.N)
	}
	return key + " " + show(l) + " " + show(r)
}

func nestedLoops(lefts, rights []event, kind engine.JoinKind, lower, upper time.Duration) (rows []string) {
	matched := map[*event]bool{}
	for i := range lefts {
		for k := range rights {
			l, r := &lefts[i], &rights[k]
			if apart := r.At.Sub(l.At); l.Key == r.Key && apart >= lower && apart <= upper {
				rows = append(rows, pair(l.Key, l, r))
				matched[l], matched[r] = true, true
			}
		}
	}
	for i := range lefts {
		if l := &lefts[i]; !matched[l] && (kind == engine.LeftOuter || kind == engine.FullOuter) {
			rows = append(rows, pair(l.Key, l, nil))
		}
	}
	for k := range rights {
		if r := &rights[k]; !matched[r] && (kind == engine.RightOuter || kind == engine.FullOuter) {
			rows = append(rows, pair(r.Key, nil, r))
		}
	}
	slices.Sort(rows)
	return rows
}

// TestUnion sends several streams down one, of one source and of two.
func TestUnion(t *testing.T) {
	for _, parallelism := range []int{1, 2, 3} {
		rows := newLog()
		job := engine.NewJob("union")
		a := engine.From(job, "a", engine.SliceSource(1, 2, 3, 4))
		b := engine.From(job, "b", engine.SliceSource(5, 6))
		even := engine.Filter(a, func(n int) bool { return n%2 == 0 })
		all := engine.Union(a, even, b)
		engine.To(engine.Map(all, func(n int) string { return fmt.Sprint(n) }), "out", rows)
		if err := job.Run(t.Context(), engine.Options{Parallelism: parallelism}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"1", "2", "2", "3", "4", "4", "5", "6"}; !slices.Equal(rows.rows(), want) {
			t.Errorf("parallelism %d: %v, want %v", parallelism, rows.rows(), want)
		}
	}
}

// leftsAndRights remembers the order in which one source's records came by its two ways.
type leftsAndRights struct{ engine.Cell[int64] }

func (s leftsAndRights) OnLeft(ctx *engine.Context, _ string, e event, out engine.Out[string]) error {
	return s.next(ctx, e, "left", out)
}

func (s leftsAndRights) OnRight(ctx *engine.Context, _ string, e event, out engine.Out[string]) error {
	return s.next(ctx, e, "right", out)
}

func (s leftsAndRights) next(ctx *engine.Context, e event, side string, out engine.Out[string]) error {
	if n := s.Ref(ctx); *n > e.N {
		out.Emit(fmt.Sprintf("%s record %d came after %d", side, e.N, *n))
	} else {
		*n = e.N
	}
	return nil
}

// TestProcess2KeepsTheOrderOfOneTask sends a source's records to both sides by turns: within one task nothing overtakes.
func TestProcess2KeepsTheOrderOfOneTask(t *testing.T) {
	var all []event
	for i := range 1000 {
		all = append(all, event{Key: "k", N: int64(i), At: t0})
	}
	rows := newLog()
	job := engine.NewJob("order")
	src := engine.From(job, "in", engine.SliceSource(all...))
	side := func(rest int64) engine.Keyed[string, event] {
		return engine.KeyBy(engine.Filter(src, func(e event) bool { return e.N%3%2 == rest }), func(e event) string { return e.Key })
	}
	both := engine.Process2(side(0), side(1), "both", func(s *engine.Setup) leftsAndRights {
		return leftsAndRights{engine.NewCell[int64](s, "last")}
	})
	engine.To(both, "out", rows)
	if err := job.Run(t.Context(), engine.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := rows.rows(); len(got) > 0 {
		t.Errorf("%d out of order, first: %s", len(got), got[0])
	}
}

// passed returns when all that a bounded source has to say has reached every operator.
func passed(t *testing.T, r *engine.Running, uid string) {
	t.Helper()
	for ended := false; ; {
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ended { // before the checkpoint's barrier
			return
		}
		for _, o := range r.Stats().Operators {
			ended = ended || o.UID == uid && o.Watermark == engine.MaxTime
		}
	}
}

// TestJoinsWithoutEnd: a record that would wait for ever is an error; no pair is missed without a word.
func TestJoinsWithoutEnd(t *testing.T) {
	for _, iv := range []engine.Interval{engine.Within(math.MinInt64, 0), engine.Within(0, math.MaxInt64), engine.Within(math.MinInt64, math.MaxInt64)} {
		job := engine.NewJob("endless")
		src := engine.From(job, "in", engine.SliceSource(events(3)...), engine.EventTime(atOf, engine.Monotonous()))
		byKey := engine.KeyBy(src, func(event) string { return "all" })
		engine.To(engine.IntervalJoin(byKey, byKey, "join", engine.Inner, iv, pair), "out", newLog())
		err := job.Run(t.Context(), engine.Options{})
		if !engine.IsPermanent(err) {
			t.Errorf("%s: %v, want a permanent error", iv, err)
		}
		contains(t, err, `operator "join"`, "its interval reaches beyond the years 1678 to 2261")
	}
}

// TestLateForAJoin counts what comes at or before the watermark.
func TestLateForAJoin(t *testing.T) {
	left, right, rows := newFeed[event](1), newFeed[event](1), newLog()
	job := engine.NewJob("late")
	side := func(uid string, in engine.Source[event]) engine.Keyed[string, event] {
		src := engine.From(job, uid, in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
		return engine.KeyBy(src, func(e event) string { return e.Key })
	}
	engine.To(engine.IntervalJoin(side("left", left), side("right", right), "join", engine.Inner, engine.Within(-time.Hour, time.Hour), pair), "out", rows)
	right.add(0, event{Key: "a", N: 1, At: t0.Add(time.Hour)})
	right.end()
	r := start(t, job, engine.Options{})
	passed(t, r, "right")
	for i := range 3 * 256 { // some batches, so that time moves on between
		left.add(0, event{Key: "a", N: int64(i), At: t0.Add(time.Minute)})
	}
	left.add(0, event{Key: "a", N: 999, At: t0.Add(time.Minute - 1)}) // the watermark, exactly
	left.end()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Late != 1 || len(rows.rows()) != 3*256 {
		t.Errorf("%d late, %d pairs, want 1 and %d", s.Late, len(rows.rows()), 3*256)
	}
}
