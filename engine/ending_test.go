package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// TestStartWithEndedContext starts nothing, and gives the directory back.
func TestStartWithEndedContext(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}}
	if _, err := sumJob(newFeed[event](1), newLog()).Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, want %v", err, context.Canceled)
	}
	noneLeft(t)
	start(t, sumJob(newFeed[event](1), newLog()), o)
}

// failing is a job whose records fail until it is let go.
func failing(in engine.Source[event], heal <-chan struct{}) *engine.Job {
	job := engine.NewJob("failing")
	out := engine.FlatMap(engine.From(job, "in", in), func(event, engine.Out[event]) error {
		select {
		case <-heal:
			return nil
		default:
			return errors.New("not yet")
		}
	})
	engine.To(out, "out", nowhere[event]())
	return job
}

// inBackOff starts a job that fails, and returns when it waits for its restart.
func inBackOff(t *testing.T, o engine.Options) *engine.Running {
	t.Helper()
	waits := make(chan struct{})
	o.Restart = engine.Restart{InitialDelay: time.Hour, MaxDelay: time.Hour}
	o.Hooks.Restart = func(int, time.Duration, error) { close(waits) }
	r := start(t, failing(engine.SliceSource(events(5)...), nil), o)
	until(t, "the restart", waits)
	return r
}

func TestRequestsWhileWaitingForARestart(t *testing.T) {
	t.Run("stop", func(t *testing.T) {
		r := inBackOff(t, engine.Options{Checkpoints: engine.Checkpoints{Dir: t.TempDir()}})
		cp, err := r.Stop(t.Context())
		if err != nil || cp.ID != 1 || r.Outcome().State != engine.Stopped {
			t.Errorf("Stop = %+v, %v; %s", cp, err, r.Outcome().State)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		r := inBackOff(t, engine.Options{})
		if err := r.Cancel(); err != nil || !errors.Is(r.Wait(), engine.ErrCancelled) {
			t.Errorf("Cancel = %v, Wait = %v", err, r.Wait())
		}
	})
	t.Run("checkpoint", func(t *testing.T) {
		r := inBackOff(t, engine.Options{})
		if _, err := r.Checkpoint(t.Context()); !errors.Is(err, meta.ErrAborted) {
			t.Errorf("Checkpoint = %v, want %v", err, meta.ErrAborted)
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		waits := make(chan struct{})
		o := engine.Options{Restart: engine.Restart{InitialDelay: time.Hour, MaxDelay: time.Hour}}
		o.Hooks.Restart = func(int, time.Duration, error) { close(waits) }
		r, err := failing(engine.SliceSource(events(5)...), nil).Start(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the restart", waits)
		cancel()
		r.Wait()
		if s := r.Outcome().State; s != engine.Crashed {
			t.Errorf("state %s, want %s", s, engine.Crashed)
		}
		noneLeft(t)
	})
}

// TestStopMeetsFailure stops a job whose task fails before its barrier: the stop is not forgotten.
func TestStopMeetsFailure(t *testing.T) {
	in := newFeed[event](1)
	in.add(0, events(1)...)
	busy, goOn := make(chan struct{}, 1), make(chan struct{})
	job := engine.NewJob("fails")
	out := engine.FlatMap(engine.From(job, "in", in), func(event, engine.Out[event]) error {
		busy <- struct{}{}
		<-goOn
		return errors.New("failed meanwhile")
	})
	engine.To(out, "out", nowhere[event]())
	r := start(t, job, engine.Options{Restart: quick(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}})
	until(t, "the record", busy)
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := r.Stop(ended); !errors.Is(err, context.Canceled) { // it asks, and does not wait
		t.Fatalf("Stop = %v, want %v", err, context.Canceled)
	}
	close(goOn)
	until(t, "the end", r.Done())
	if err := r.Wait(); err != nil || r.Outcome().State != engine.Stopped {
		t.Errorf("Wait = %v, %s; want %s", err, r.Outcome().State, engine.Stopped)
	}
}

// TestStopTwice and asks for checkpoints after the end.
func TestStopTwice(t *testing.T) {
	r := start(t, sumJob(newFeed[event](1), newLog()), engine.Options{Checkpoints: engine.Checkpoints{Dir: t.TempDir()}})
	first, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Stop(t.Context())
	if err != nil || second != first {
		t.Errorf("second Stop = %+v, %v; want %+v", second, err, first)
	}
	if cp, ok := r.Latest(); !ok || cp != first {
		t.Errorf("Latest = %+v, want %+v", cp, first)
	}
	_, err = r.Checkpoint(t.Context())
	contains(t, err, `job "sums" has stopped already`)
	if err := r.Cancel(); err != nil {
		t.Errorf("Cancel after the end: %v", err)
	}
}

// TestStopGivesUpWaiting returns when its context ends; the job goes on stopping.
func TestStopGivesUpWaiting(t *testing.T) {
	in := newFeed[event](1)
	in.add(0, events(1)...)
	busy, goOn := make(chan struct{}, 1), make(chan struct{})
	job := engine.NewJob("slow")
	engine.To(engine.Map(engine.From(job, "in", in), func(e event) event { busy <- struct{}{}; <-goOn; return e }), "out",
		engine.SinkFunc(func(context.Context, []event) error { return nil }))
	r := start(t, job, engine.Options{})
	until(t, "the record", busy)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop = %v, want %v", err, context.Canceled)
	}
	if _, err := r.Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Checkpoint = %v, want %v", err, context.Canceled)
	}
	close(goOn)
	until(t, "the end", r.Done())
	if s := r.Outcome().State; s != engine.Stopped || r.Stats().RecordsOut != 1 {
		t.Errorf("state %s, %d records out; want %s, 1", s, r.Stats().RecordsOut, engine.Stopped)
	}
}

// deaf is a source whose reader ignores its context.
type deaf struct {
	engine.Source[event]
	reads chan struct{}
	wake  chan struct{}
}

func (d deaf) Open(context.Context, engine.Split, engine.Position) (engine.Reader[event], error) {
	return deafReader{d}, nil
}

type deafReader struct{ deaf }

func (d deafReader) Read(context.Context, *engine.Batch[event]) error {
	close(d.reads)
	<-d.wake
	return nil
}
func (d deafReader) Position() engine.Position { return "" }
func (d deafReader) Close() error              { return nil }

// TestStuck leaves behind what does not return, and names it.
func TestStuck(t *testing.T) {
	tests := map[string]struct {
		build func(reads, wake chan struct{}, hang func()) *engine.Job
		says  string
	}{
		"Read": {func(reads, wake chan struct{}, _ func()) *engine.Job {
			return sumJob(deaf{engine.SliceSource(events(1)...), reads, wake}, newLog())
		}, `source "in"`},
		"Map": {func(_, _ chan struct{}, hang func()) *engine.Job {
			job := engine.NewJob("stuck")
			engine.To(engine.Map(engine.From(job, "in", engine.SliceSource(1)), func(n int) int { hang(); return n }), "out", nowhere[int]())
			return job
		}, `source "in" -> map at`},
		"Commit": {func(_, _ chan struct{}, hang func()) *engine.Job {
			return sumJob(engine.SliceSource(events(1)...), hookedLog{txnLog: newLog(), commit: func() error { hang(); return nil }})
		}, `commit of sink "out"`},
		"Close": {func(_, _ chan struct{}, hang func()) *engine.Job {
			return sumJob(newFeed[event](1), closingLog{newLog(), hang})
		}, `: sink "out": close`},
		"OnClose": {func(_, _ chan struct{}, hang func()) *engine.Job {
			job := engine.NewJob("stuck")
			engine.To(engine.ProcessEach(engine.From(job, "in", newFeed[event](1)), "each", func(s *engine.Setup) engine.EachFunc[event, event] {
				s.OnClose(func() error { hang(); return nil })
				return func(*engine.Context, event, engine.Out[event]) error { return nil }
			}), "out", nowhere[event]())
			return job
		}, `"each": OnClose`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reads, wake := make(chan struct{}), make(chan struct{})
			r, err := tt.build(reads, wake, func() { close(reads); <-wake }).Start(t.Context(), engine.Options{ShutdownTimeout: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if name != "Close" && name != "OnClose" {
				until(t, name, reads)
			}
			if err := r.Cancel(); !errors.Is(err, engine.ErrStuck) {
				t.Errorf("Cancel = %v, want %v", err, engine.ErrStuck)
			}
			contains(t, r.Wait(), tt.says)
			if s := r.Outcome().State; s != engine.Cancelled {
				t.Errorf("state %s, want %s", s, engine.Cancelled)
			}
			close(wake)
			noneLeft(t)
		})
	}
}

// TestStuckStart: what hangs before an attempt runs, at the start or at a restart, is named, too.
func TestStuckStart(t *testing.T) {
	for at, says := range map[string]string{"Splits": `: source "in": list splits`, "Recover": `: sink "out": recover`} {
		for spare := range int64(2) {
			reads, wake := make(chan struct{}), make(chan struct{})
			p := &trap{at: at, snap: func() { close(reads); <-wake }}
			p.spare.Store(spare)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			o := engine.Options{ShutdownTimeout: 20 * time.Millisecond, Restart: quick()}
			go func() { ended <- failOnce(trapJob(p, newLog()), new(atomic.Bool)).Run(ctx, o) }()
			until(t, at, reads)
			cancel()
			err := <-ended
			if !errors.Is(err, engine.ErrStuck) {
				t.Errorf("Run = %v, want %v", err, engine.ErrStuck)
			}
			contains(t, err, says)
			close(wake)
			noneLeft(t)
		}
	}
}

// hookedLog is a txnLog whose commits go through a function first.
type hookedLog struct {
	*txnLog
	commit func() error
}

func (l hookedLog) Commit(ctx context.Context, txn engine.Txn) error {
	if err := l.commit(); err != nil {
		return err
	}
	return l.txnLog.Commit(ctx, txn)
}

type closingLog struct {
	*txnLog
	close func()
}

func (l closingLog) Open(ctx context.Context, t engine.Task) (engine.Writer[string], error) {
	w, err := l.txnLog.Open(ctx, t)
	return closingWriter{w, l.close}, err
}

type closingWriter struct {
	engine.Writer[string]
	close func()
}

func (w closingWriter) Close() error { w.close(); return nil }
