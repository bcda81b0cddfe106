package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// pipe writes every record as it comes: the output of a checkpoint is known.
func pipe(job *engine.Job, uid string, in engine.Source[event], out engine.Sink[string], seen func(event)) {
	src := engine.Map(engine.From(job, uid, in), func(e event) string { seen(e); return e.Key })
	engine.To(src, uid+" out", out)
}

// TestFailingCommit fails the commits of one sink for a while: they are repeated until they succeed, checkpoints go on
// meanwhile, another sink's rows become visible, and every row is there once.
func TestFailingCommit(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	tried := make(chan struct{}, 1)
	bad, good := newLog(), newLog()
	inBad, inGood := newFeed[event](1), newFeed[event](1)
	job := engine.NewJob("two sinks")
	seen := make(chan struct{}, 100)
	note := func(event) { seen <- struct{}{} }
	pipe(job, "bad", inBad, hookedLog{bad, func() error {
		if !down.Load() {
			return nil
		}
		select {
		case tried <- struct{}{}:
		default:
		}
		return errors.New("down")
	}}, note)
	shown := make(chan struct{}, 100)
	pipe(job, "good", inGood, afterCommit{good, shown}, note)
	r := start(t, job, engine.Options{Checkpoints: engine.Checkpoints{Dir: t.TempDir()}})
	for i := range 5 {
		inBad.add(0, event{Key: string(rune('a' + i))})
		inGood.add(0, event{Key: string(rune('a' + i))})
		until(t, "a record", seen)
		until(t, "a record", seen)
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "a commit that fails", tried)
		until(t, "a commit of the other sink", shown)
	}
	if got := bad.rows(); len(got) != 0 {
		t.Errorf("rows %v are visible while the sink is down", got)
	}
	down.Store(false)
	inBad.end()
	inGood.end()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "b", "c", "d", "e"}
	equal(t, bad.rows(), want)
	equal(t, good.rows(), want)
}

// afterCommit tells of its commits when they are done.
type afterCommit struct {
	*txnLog
	done chan<- struct{}
}

func (l afterCommit) Commit(ctx context.Context, txn engine.Txn) error {
	err := l.txnLog.Commit(ctx, txn)
	l.done <- struct{}{}
	return err
}

// TestCommitThatAppliedAndFailed is repeated, with the same handle.
func TestCommitThatAppliedAndFailed(t *testing.T) {
	log := newLog()
	var mu sync.Mutex
	var handles []string
	sink := appliedLog{log, func(txn engine.Txn) error {
		mu.Lock()
		defer mu.Unlock()
		handles = append(handles, string(txn))
		if n := len(handles); n == 1 || handles[n-2] != string(txn) {
			return errors.New("lost the answer")
		}
		return nil
	}}
	all := events(3_000)
	if err := sumJob(engine.SliceSource(all...), sink).Run(t.Context(), engine.Options{Parallelism: 2}); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), wantSums(all))
	if n := len(handles); n == 0 || n%2 != 0 {
		t.Errorf("commits %v: want each twice", handles)
	}
}

// TestDelayOfCommits: a sink that fails is asked less and less often, and anew from when a commit has got through.
func TestDelayOfCommits(t *testing.T) {
	ms := time.Millisecond
	clock := hasty{enginetest.NewClock(t0), make(chan time.Duration, 100)}
	failures, left := []int{4, 2}, map[string]int{} // of the first transaction, and of the second
	log := newLog()
	sink := appliedLog{log, func(txn engine.Txn) error {
		h := string(txn)
		if _, known := left[h]; !known {
			left[h] = failures[len(left)]
		}
		if left[h]--; left[h] >= 0 {
			return errors.New("lost the answer")
		}
		return nil
	}}
	in := newFeed[event](2)
	job := engine.NewJob("delays")
	pipe(job, "in", in, sink, func(event) {})
	r := start(t, job, engine.Options{Parallelism: 2, Clock: clock})
	in.add(0, event{Key: "a"})
	in.add(1, event{Key: "b"})
	in.end()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), []string{"a", "b"})
	for i, want := range []time.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 10 * ms, 20 * ms} {
		if got := <-clock.delays; got != want {
			t.Errorf("delay %d is %s, want %s", i, got, want)
		}
	}
	if len(clock.delays) > 0 {
		t.Errorf("%d more delays", len(clock.delays))
	}
}

// hasty is a clock that rings at once for what is due within the longest delay of a commit, and tells how long that was.
type hasty struct {
	*enginetest.Clock
	delays chan time.Duration
}

func (c hasty) Alarm(at time.Time) (ring <-chan time.Time, stop func()) {
	d := at.Sub(c.Now())
	if d <= 0 || d > 10*time.Second {
		return c.Clock.Alarm(at)
	}
	c.delays <- d
	rings := make(chan time.Time, 1)
	rings <- at
	return rings, func() {}
}

type appliedLog struct {
	*txnLog
	after func(engine.Txn) error
}

func (l appliedLog) Commit(ctx context.Context, txn engine.Txn) error {
	return errors.Join(l.txnLog.Commit(ctx, txn), l.after(txn))
}

// TestCommitsOfASinkTakeTurns commits from many checkpoints: never two at once, and in order.
func TestCommitsOfASinkTakeTurns(t *testing.T) {
	var inside atomic.Int64
	var order []string          // written by one commit at a time
	gate := make(chan struct{}) // the first commit takes longer than some checkpoints
	log := newLog()
	sink := appliedLog{log, func(txn engine.Txn) error {
		if inside.Add(1) > 1 {
			t.Error("two commits at once")
		}
		<-gate
		order = append(order, string(txn))
		inside.Add(-1)
		return nil
	}}
	in := newFeed[event](1)
	seen := make(chan struct{}, 1)
	job := engine.NewJob("turns")
	pipe(job, "in", in, sink, func(event) { seen <- struct{}{} })
	r := start(t, job, engine.Options{})
	for i := range 9 {
		if i == 5 {
			close(gate)
		}
		in.add(0, event{Key: "x"})
		until(t, "a record", seen)
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(order) || len(order) != 9 || len(log.rows()) != 9 {
		t.Errorf("commits %v, %d rows", order, len(log.rows()))
	}
}

// TestPermanentCommitError ends the job; what was prepared is still named by the newest checkpoint and committed by the
// next run.
func TestPermanentCommitError(t *testing.T) {
	dir := t.TempDir()
	log := newLog()
	in := newFeed[event](1)
	in.add(0, event{Key: "a"})
	in.end()
	gone := errors.New("sink is gone")
	build := func(fail bool) *engine.Job {
		job := engine.NewJob("gone")
		pipe(job, "in", in, hookedLog{log, func() error {
			if fail {
				return engine.Permanent(gone)
			}
			return nil
		}}, func(event) {})
		return job
	}
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Resume()}
	err := build(true).Run(t.Context(), o)
	if !errors.Is(err, gone) {
		t.Fatalf("Run = %v, want %v", err, gone)
	}
	contains(t, err, `operator "in out"`)
	if err := build(false).Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), []string{"a"})
}
