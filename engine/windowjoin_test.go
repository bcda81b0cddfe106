package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// joinRows pairs the records of a window: those with even numbers are the left's.
func joinRows(w *modelWindow, kind engine.JoinKind) (rows []string) {
	var left, right []*event
	for i := range w.events {
		if e := &w.events[i]; e.N%2 == 0 {
			left = append(left, e)
		} else {
			right = append(right, e)
		}
	}
	if len(left) == 0 && (kind == engine.RightOuter || kind == engine.FullOuter) {
		left = []*event{nil}
	}
	if len(right) == 0 && (kind == engine.LeftOuter || kind == engine.FullOuter) {
		right = []*event{nil}
	}
	for _, l := range left {
		for _, r := range right {
			rows = append(rows, pairIn(w.key, w.span, l, r))
		}
	}
	return rows
}

func pairIn(key string, w engine.Span, l, r *event) string { return w.String() + " " + pair(key, l, r) }

// joinCase is a window that two streams are joined in. The right one is of flat records, unless each record says its gap.
func joinCase(rnd *rand.Rand) windowCase {
	c := randomWindow(rnd)
	c.model.lateness, c.model.every = 0, 0
	c.model.join = joinKinds[rnd.IntN(len(joinKinds))]
	c.name = fmt.Sprint(c.model.join, " join ", c.assign)
	return c
}

func (c windowCase) buildJoin(l, r engine.Stream[event]) engine.Stream[string] {
	left := engine.KeyBy(l, ofKey)
	if strings.HasPrefix(c.assign.String(), "session by record") {
		return engine.WindowJoin(left, engine.KeyBy(r, ofKey), c.assign, "join", c.model.join, pairIn)
	}
	right := engine.KeyBy(engine.Map(r, flattened), func(f flatEvent) string { return fmt.Sprint("k", f.Key) })
	return engine.WindowJoin(left, right, c.assign, "join", c.model.join, func(key string, w engine.Span, l *event, r *flatEvent) string {
		if r == nil {
			return pairIn(key, w, l, nil)
		}
		e := r.event()
		return pairIn(key, w, l, &e)
	})
}

// TestRandomWindowJoins joins random streams while records, sinks and storage fail and the job is stopped and resumed at
// other parallelisms.
func TestRandomWindowJoins(t *testing.T) {
	eachSeed(t, 80, 15, randomWindowJoin)
}

func randomWindowJoin(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 41))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 42))}
	c := joinCase(rnd)
	feeds := map[int64]*feed[event]{}
	for side := range int64(2) {
		in, _ := randomEvents(rnd, 700)
		for _, split := range in.recs {
			for i := range split {
				split[i].N = 2*split[i].N + side
				c.model.record(split[i])
			}
		}
		feeds[side] = in
	}
	c.model.advance(engine.MaxTime)
	slices.Sort(c.model.rows)
	pairs := newLog()
	build := func() *engine.Job {
		job := engine.NewJob("join")
		side := func(uid string, in engine.Source[event]) engine.Stream[event] {
			return flaky(engine.From(job, uid, in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute))), d)
		}
		engine.To(c.buildJoin(side("left", feeds[0]), side("right", feeds[1])), "pairs", flakyLog(d, pairs))
		return job
	}
	if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
		return err
	}
	if got := pairs.rows(); !slices.Equal(got, c.model.rows) {
		return fmt.Errorf("%s: %d rows, want %d: %s", c.name, len(got), len(c.model.rows), firstDifference(got, c.model.rows))
	}
	return nil
}

// TestWindowJoinBySteps drives joins in event and in processing time, and compares them with the model. Some records are
// late.
func TestWindowJoinBySteps(t *testing.T) {
	for seed := range seeds(60, 15) {
		rnd := rand.New(rand.NewPCG(seed, 43))
		c := joinCase(rnd)
		if rnd.IntN(3) == 0 {
			c.assign, c.model.clock = c.assign.InProcessingTime(), true
		}
		h := enginetest.Operator2(t, c.buildJoin)
		push := func(e event) {
			if e.N%2 == 0 {
				h.PushLeft(e.At, e)
			} else {
				h.PushRight(e.At, e)
			}
		}
		if fault := c.bySteps(rnd, h, push, func(p int) { h.Rescale(p) }); fault != nil {
			t.Fatalf("seed %d, %v", seed, fault)
		}
	}
}

// TestLateForAWindowJoin counts what comes when its windows are over.
func TestLateForAWindowJoin(t *testing.T) {
	left, right, rows := newFeed[event](1), newFeed[event](1), newLog()
	job := engine.NewJob("late")
	side := func(uid string, in engine.Source[event]) engine.Stream[event] {
		return engine.From(job, uid, in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	}
	c := windowCase{assign: engine.Tumbling(time.Minute), model: windowModel{join: engine.LeftOuter}}
	engine.To(c.buildJoin(side("left", left), side("right", right)), "out", rows)
	right.add(0, event{Key: "k1", N: 1, At: t0.Add(time.Hour)})
	right.end()
	r := start(t, job, engine.Options{})
	passed(t, r, "right")
	for i := range int64(3 * 256) { // some batches, so that time moves on between
		left.add(0, event{Key: "k1", N: i, At: t0.Add(time.Minute)})
	}
	left.add(0, event{Key: "k1", N: 7, At: t0}) // its window ends at the watermark
	left.end()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if r.Stats().Late != 1 || len(rows.rows()) != 3*256 {
		t.Errorf("%d late, %d rows, want 1 and %d", r.Stats().Late, len(rows.rows()), 3*256)
	}
}

// TestWindowJoinMistakes are told together with their places.
func TestWindowJoinMistakes(t *testing.T) {
	job := engine.NewJob("mistakes")
	timed := engine.From(job, "in", engine.SliceSource[event](), engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	untimed := engine.From(job, "untimed", engine.SliceSource[event]())
	join := func(n int, l, r engine.Stream[event], a engine.Assigner, kind engine.JoinKind) {
		key := func(e event) string { return e.Key }
		engine.To(engine.WindowJoin(engine.KeyBy(l, key), engine.KeyBy(r, key), a, fmt.Sprint("j", n), kind, pairIn), fmt.Sprint("o", n), newLog())
	}
	join(1, timed, untimed, engine.Session(1), engine.Inner)
	join(2, timed, timed, engine.Count(2), engine.Inner)
	join(3, timed, timed, engine.SessionBy(func(int) time.Duration { return 1 }), engine.Inner)
	join(4, timed, timed, engine.Tumbling(0), engine.Inner)
	join(5, timed, timed, engine.Tumbling(1), 9)
	err := job.Run(t.Context(), engine.Options{})
	for _, want := range []string{
		`window join "j1": a stream without event time`, `"j2": count windows cannot be joined`, `"j3": the gap of sessions is a func(int)`,
		`"j4": window of 0s`, `"j5": no such join kind 9`,
	} {
		contains(t, err, want)
	}
}
