package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/snapshotter"
)

// Start checks the graph, opens the job's directory, chooses and verifies the checkpoint to start from, and begins to
// run. Mistakes in the graph are returned together. What can be refused is refused here, with one of the errors of
// package meta. A fresh run has published its first, empty checkpoint when Start returns: there is always something to
// resume. When ctx ends the run crashes: it leaves everything as it is, to be resumed.
func (j *Job) Start(ctx context.Context, o Options) (*Running, error) {
	if j.started {
		return nil, fmt.Errorf("job %q was started before", j.name)
	}
	if err := errors.Join(j.check(), o.validate()); err != nil {
		return nil, err
	}
	j.started = true
	o = o.withDefaults()
	ctx = withClock(ctx, o.Clock)
	dir, err := patient(ctx, o.ShutdownTimeout, plainly("opening the directory of checkpoints"),
		func() (*snapshotter.Dir, error) { return openDir(j.name, o.Checkpoints) }, (*snapshotter.Dir).Close)
	if err != nil {
		return nil, err
	}
	r := &Running{job: j, o: o, dir: dir, requests: make(chan request), drains: make(chan chan<- error), stop: make(chan struct{}), done: make(chan struct{})}
	ctx, r.cancel = context.WithCancelCause(ctx)
	if f := o.Hooks.Importing; f != nil {
		r.o.Hooks.Importing = func(done, total int64) { r.hook(ctx, "Importing", func() { f(done, total) }) }
	}
	a, err := patient(ctx, o.ShutdownTimeout, j.awaited.or("the start"), func() (*attempt, error) { return r.first(ctx) }, (*attempt).close)
	if err != nil {
		return nil, r.refuse(ctx, err)
	}
	result := make(chan error, 1)
	go func() { result <- a.run() }()
	if err := a.firstCheckpoint(result); err != nil {
		return nil, r.refuse(ctx, err)
	}
	go r.supervise(ctx, a, result)
	return r, nil
}

// refuse gives up what a start that failed has taken.
func (r *Running) refuse(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); broke(cause) && errors.Is(err, context.Canceled) { // a hook
		err = cause
	}
	err = r.withHung(err)
	r.cancel(err)
	return errors.Join(err, r.cleanUp(err, r.dir.Close))
}

// cleanUp runs the last work on storage. When storage has not answered before, or does not now, that goes on in the
// background, and the directory stays locked until it is done.
func (r *Running) cleanUp(ended error, f func() error) error {
	if errors.Is(ended, errStorageStuck) {
		go f()
		return nil
	}
	return within(r.o.ShutdownTimeout, plainly("the directory of checkpoints"), f)
}

// firstCheckpoint waits until a fresh attempt has published its first checkpoint, or has ended without.
func (a *attempt) firstCheckpoint(result chan error) error {
	if a.from != nil {
		return nil
	}
	select {
	case f := <-a.coord.first:
		if f.err == nil && a.running.hung.Load() == nil {
			return nil
		}
		ended := <-result
		if f.err == nil {
			return ended
		}
		return fmt.Errorf("first checkpoint: %w", f.err)
	case err := <-result:
		select {
		case f := <-a.coord.first:
			if f.err == nil && a.running.hung.Load() == nil {
				result <- err // it was a short run
				return nil
			}
		default:
		}
		return err
	}
}

// Run is Start and Wait.
func (j *Job) Run(ctx context.Context, o Options) error {
	r, err := j.Start(ctx, o)
	if err != nil {
		return err
	}
	return r.Wait()
}

// first prepares the first attempt from the checkpoint that the options ask for.
func (r *Running) first(ctx context.Context) (a *attempt, err error) {
	err = call("job "+r.job.name, "start", func() error {
		a, err = r.begin(ctx)
		return err
	})
	return a, err
}

func (r *Running) begin(ctx context.Context) (*attempt, error) {
	if r.o.Restore.Fresh {
		r.o.Restore.earlier = r.dir.Job()
	}
	b, err := choose(r.dir, r.job, &r.o)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	splits, err := survey(ctx, r.job, &r.o, b.restored())
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	if err := r.trial(ctx, b.from, splits); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if err := r.verify(ctx, b.from); err != nil {
		return nil, errors.Join(err, b.close())
	}
	from, err := b.settle(ctx) // nothing has been changed before; from here on the start is meant
	if err != nil {
		return nil, err
	}
	a, err := r.prepare(ctx, from, splits)
	if err != nil {
		return nil, err
	}
	if err := r.sweep(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// sweep deletes what crashes have left. What cannot be deleted now, because an older checkpoint cannot be read, is deleted
// when that has been retired.
func (r *Running) sweep(ctx context.Context) error {
	err := r.dir.SweepOrphans(ctx)
	if err != nil && ctx.Err() == nil {
		r.o.Logger.Warn("what crashes have left stays for now", "job", r.job.name, "error", err)
		return nil
	}
	return err
}

// trial builds the job on a checkpoint without reading its pages, and throws it away: states that differ show before
// anything has been changed.
func (r *Running) trial(ctx context.Context, from *snapshotter.Checkpoint, splits splitLists) error {
	if from == nil {
		return nil
	}
	a := blankAttempt(ctx, r.job, &r.o, r.dir, from, splits)
	a.trial = true
	return a.make(func() error {
		a.assemble()
		return errors.Join(a.extraStates(), a.close())
	})
}

// verify reads all of a checkpoint if that is to be done before it is used.
func (r *Running) verify(ctx context.Context, from *snapshotter.Checkpoint) error {
	if from == nil || r.o.Restore.Verify != VerifyEager {
		return nil
	}
	return from.Verify(ctx, func(done, total int64) {
		if f := r.o.Hooks.Verifying; f != nil {
			r.hook(ctx, "Verifying", func() { f(done, total) })
		}
	})
}

func (r *Running) prepare(ctx context.Context, from *snapshotter.Checkpoint, splits splitLists) (*attempt, error) {
	a, err := newAttempt(ctx, r.job, &r.o, r.dir, from, splits)
	if err != nil {
		return nil, err
	}
	a.coord.requests, a.coord.stop, a.coord.draining.requests = r.requests, r.stop, r.drains
	a.running = r
	r.mu.Lock()
	if r.attempt != nil {
		r.stalled += r.attempt.report().Stalled
	}
	r.attempt = a
	r.mu.Unlock()
	if from != nil {
		cp := r.describe(from)
		r.mu.Lock()
		r.last, r.have, r.restored = cp, true, r.o.Clock.Now()
		r.mu.Unlock()
		if f := r.o.Hooks.Restored; f != nil {
			r.hook(ctx, "Restored", func() { f(cp) })
		}
	}
	return a, nil
}

func (r *Running) describe(from *snapshotter.Checkpoint) Checkpoint {
	cp := Checkpoint{ID: from.Meta.ID, Path: from.Path, Triggered: time.Unix(0, from.Meta.Created)}
	if r.o.Checkpoints.Dir == "" {
		cp.Path = ""
	}
	sizes := from.Sizes()
	cp.Bytes, cp.FullBytes, cp.Files = sizes.Delta, sizes.Stored, sizes.Files
	return cp
}
