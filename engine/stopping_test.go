package engine_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// heldCommits is a log whose commits wait until they are let go.
type heldCommits struct {
	*txnLog
	begun chan struct{}
	held  chan struct{}
}

func (h heldCommits) Commit(ctx context.Context, txn engine.Txn) error {
	h.begun <- struct{}{}
	<-h.held
	return h.txnLog.Commit(ctx, txn)
}

// collector takes what is sent, at least once.
type collector struct {
	mu   sync.Mutex
	rows []string
}

func (c *collector) sink() engine.Sink[string] {
	return engine.SinkFunc(func(_ context.Context, batch []string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.rows = append(c.rows, batch...)
		return nil
	})
}

func (c *collector) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.rows
	c.rows = nil
	return all
}

// TestStopWhoseOutputIsNotVisible: a stop whose sink gives up, or that is cancelled while one fails, has not come about. There is
// no savepoint, which would name no transaction.
func TestStopWhoseOutputIsNotVisible(t *testing.T) {
	gone := errors.New("sink is gone")
	for want, fails := range map[error]error{gone: engine.Permanent(gone), engine.ErrCancelled: errors.New("sink is away")} {
		dir, in, log := t.TempDir(), newFeed[event](1), newLog()
		seen, tried := make(chan struct{}, 1), make(chan struct{}, 1)
		in.add(0, events(1)...)
		build := func(commit func() error) *engine.Job {
			job := engine.NewJob("held")
			pipe(job, "in", in, hookedLog{log, commit}, func(event) { seen <- struct{}{} })
			return job
		}
		o := engine.Options{Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: dir, Retention: engine.RetainOnCancellation}}
		r := start(t, build(func() error {
			select {
			case tried <- struct{}{}:
			default:
			}
			return fails
		}), o)
		until(t, "the record", seen)
		if want == engine.ErrCancelled {
			go func() { <-tried; r.Cancel() }()
		}
		_, err := r.StopWithSavepoint(t.Context(), filepath.Join(dir, "savepoint"))
		if out := r.Outcome(); !errors.Is(err, want) || out.State == engine.Stopped || out.Savepoint != "" {
			t.Errorf("StopWithSavepoint = %v, and %+v; want %v", err, out, want)
		}
		in.end()
		if err := build(func() error { return nil }).Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		equal(t, log.rows(), []string{"k0"})
	}
}

// stoppingJob reminds by the clock, closes windows by the clock, and calls. Its log is held up in the commit of a stop.
func stoppingJob(in engine.Source[event], log engine.Sink[string], out *collector, answer <-chan struct{}) *engine.Job {
	job := engine.NewJob("stopping")
	recs := engine.From(job, "in", in)
	engine.To(engine.Map(recs, func(e event) string { return e.Key }), "log", log)
	byKey := engine.KeyBy(recs, func(e event) string { return e.Key })
	reminded := engine.Process(byKey, "remind", reminders)
	windows := engine.Aggregate(engine.Window(byKey, engine.Tumbling(time.Minute).InProcessingTime()), "sum", sum{})
	called := engine.Async(recs, "call", engine.AsyncOptions{Timeout: time.Hour}, func(ctx context.Context, e event) (string, error) {
		select {
		case <-answer:
			return "called " + e.Key, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
	engine.To(engine.Union(reminded, windows, called), "out", out.sink())
	return job
}

// TestNothingAfterTheBarrierOfAStop: timers, windows and calls that come due while the sinks commit the last checkpoint
// are for whoever resumes, and for nobody else: a sink without transactions would have their output twice.
func TestNothingAfterTheBarrierOfAStop(t *testing.T) {
	for _, p := range []int{1, 2} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			clock := enginetest.NewClock(t0)
			in, out := newFeed[event](1), &collector{}
			log := heldCommits{newLog(), make(chan struct{}), make(chan struct{})}
			answer := make(chan struct{})
			o := engine.Options{Clock: clock, Parallelism: p, Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: dir}}
			r, err := stoppingJob(in, log, out, answer).Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			in.add(0, event{Key: "k", N: 10})
			synctest.Wait() // until the job has nothing more to do
			go r.Stop(t.Context())
			<-log.begun // the last checkpoint is taken
			clock.Advance(2 * time.Minute)
			close(answer)
			synctest.Wait()
			if rows := out.take(); len(rows) > 0 {
				t.Errorf("parallelism %d: after the barrier came %q", p, rows)
			}
			close(log.held)
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}

			r, err = stoppingJob(in, newLog(), out, answer).Start(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.Cancel()
			r.Wait()
			equal(t, slices.Sorted(slices.Values(out.take())), []string{"called k", "k 10", "k " + engine.TimeOf(t0).String() + " 1 10"})
		})
	}
}
