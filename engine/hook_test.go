package engine_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// hooksOf calls a function in every hook, with its name.
func hooksOf(call func(string)) engine.Hooks {
	return engine.Hooks{
		Checkpoint:       func(engine.Checkpoint) { call("Checkpoint") },
		CheckpointFailed: func(meta.CheckpointID, error) { call("CheckpointFailed") },
		Restart:          func(int, time.Duration, error) { call("Restart") },
		Importing:        func(_, _ int64) { call("Importing") },
		Restored:         func(engine.Checkpoint) { call("Restored") },
		Verifying:        func(_, _ int64) { call("Verifying") },
		Loaded:           func(engine.Checkpoint, time.Duration) { call("Loaded") },
	}
}

// savedJob is the path of a savepoint of a job.
func savedJob(t *testing.T) string {
	t.Helper()
	in := newFeed[event](1)
	in.add(0, events(1)...)
	r := start(t, sumJob(in, newLog()), engine.Options{})
	readAll(t, r, 1)
	saved, err := r.Savepoint(t.Context(), filepath.Join(t.TempDir(), "saved"))
	if err != nil {
		t.Fatal(err)
	}
	r.Cancel()
	return saved.Path
}

// hookedOptions have every hook called but CheckpointFailed, and Restart if the job fails.
func hookedOptions(t *testing.T, saved string, call func(string)) engine.Options {
	return engine.Options{
		ShutdownTimeout: 20 * time.Millisecond, Restart: quick(), Hooks: hooksOf(call),
		Restore:     engine.Restore{Path: saved, Verify: engine.VerifyEager},
		Checkpoints: engine.Checkpoints{Dir: t.TempDir(), Interval: 10 * time.Millisecond},
	}
}

// TestStuckHooks: a hook that does not return holds up no end of the job, which names it; no other hook is called meanwhile.
func TestStuckHooks(t *testing.T) {
	saved := savedJob(t)
	for _, hook := range []string{"Importing", "Verifying", "Restored", "Loaded", "Checkpoint", "Restart"} {
		t.Run(hook, func(t *testing.T) {
			called, wake := make(chan struct{}), make(chan struct{})
			var held, late atomic.Bool
			o := hookedOptions(t, saved, func(name string) {
				switch {
				case held.Load():
					late.Store(true)
				case name == hook:
					held.Store(true)
					close(called)
					<-wake
				}
			})
			job := sumJob(newFeed[event](1), newLog())
			if hook == "Restart" {
				o.Restore.IgnoreExtra = true
				failOnce(job, new(atomic.Bool))
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- job.Run(ctx, o) }()
			until(t, hook, called)
			cancel()
			err := <-ended
			if !errors.Is(err, engine.ErrStuck) {
				t.Errorf("Run = %v, want %v", err, engine.ErrStuck)
			}
			contains(t, err, ": hook "+hook)
			if late.Load() {
				t.Error("another hook was called")
			}
			close(wake)
			noneLeft(t)
		})
	}
}

// TestStuckHookOfTheFirstCheckpoint: Start itself ends, and the job that fails meanwhile, too.
func TestStuckHookOfTheFirstCheckpoint(t *testing.T) {
	called, wake := make(chan struct{}), make(chan struct{})
	o := engine.Options{ShutdownTimeout: 20 * time.Millisecond}
	o.Hooks.Checkpoint = func(engine.Checkpoint) { close(called); <-wake }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-called; cancel() }()
	if _, err := sumJob(newFeed[event](1), newLog()).Start(ctx, o); !errors.Is(err, engine.ErrStuck) {
		t.Errorf("Start = %v, want %v", err, engine.ErrStuck)
	} else {
		contains(t, err, ": hook Checkpoint")
	}
	close(wake)
	noneLeft(t)
}

// TestStuckHookOfAnAttemptThatFails: there is no restart, which would call it again.
func TestStuckHookOfAnAttemptThatFails(t *testing.T) {
	var begun atomic.Bool
	called, wake := make(chan struct{}), make(chan struct{})
	o := engine.Options{ShutdownTimeout: 20 * time.Millisecond, Restart: quick()}
	o.Hooks.Checkpoint = func(engine.Checkpoint) {
		if begun.Swap(true) { // Start has returned
			close(called)
			<-wake
		}
	}
	in := newFeed[event](1)
	job := engine.NewJob("fails")
	engine.To(engine.From(job, "in", in), "out", engine.SinkFunc(func(context.Context, []event) error { return errors.New("boom") }))
	r := start(t, job, o)
	go r.Checkpoint(t.Context())
	until(t, "the hook", called)
	in.add(0, events(1)...)
	err := r.Wait()
	if !errors.Is(err, engine.ErrStuck) || r.Outcome().State != engine.Failed {
		t.Errorf("Wait = %v, %s; want %v", err, r.Outcome().State, engine.ErrStuck)
	}
	contains(t, err, ": hook Checkpoint", "boom")
	close(wake)
	noneLeft(t)
}

// TestBrokenHooksOfAStart fail it, or the job, and say which hook it was.
func TestBrokenHooksOfAStart(t *testing.T) {
	saved := savedJob(t)
	for _, hook := range []string{"Importing", "Verifying", "Restored", "Loaded"} {
		o := hookedOptions(t, saved, func(name string) {
			if name == hook {
				panic("boom")
			}
		})
		contains(t, sumJob(newFeed[event](1), newLog()).Run(t.Context(), o), "hook "+hook, "boom")
		noneLeft(t)
	}
}
