package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// supervise follows one attempt by the next until the job ends.
func (r *Running) supervise(ctx context.Context, a *attempt, result chan error) {
	p := &restarts{o: r.o.Restart}
	for {
		p.started(r.o.Clock.Now())
		err := <-result
		next, end := r.follow(ctx, p, err)
		if end != "" {
			r.end(ctx, end, next.err, errors.Is(err, errStopped))
			return
		}
		a = next.attempt
		go func() { result <- a.run() }()
	}
}

type follower struct {
	attempt *attempt
	err     error
}

// follow decides what comes after an attempt: another one, or the end.
func (r *Running) follow(ctx context.Context, p *restarts, err error) (follower, State) {
	for {
		err = r.withHung(err)
		switch {
		case err == nil:
			return follower{}, Finished
		case errors.Is(err, errStopped):
			return follower{}, Stopped
		case ctx.Err() != nil:
			return r.interrupted(ctx, err)
		}
		delay, fatal := p.after(r.o.Clock.Now(), err)
		if fatal != nil {
			return follower{err: fatal}, Failed
		}
		if end, ok := r.backOff(ctx, delay, err); ok {
			if end == Stopped {
				return follower{}, Stopped
			}
			return r.interrupted(ctx, err)
		}
		p.started(r.o.Clock.Now())
		a, again := r.restart(ctx)
		if again == nil {
			return follower{attempt: a}, ""
		}
		err = again
	}
}

// interrupted tells a cancelled run from one that a hook broke and one whose context ended.
func (r *Running) interrupted(ctx context.Context, err error) (follower, State) {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrCancelled) && errors.Is(err, ErrStuck):
		return follower{err: err}, Cancelled
	case errors.Is(cause, ErrCancelled):
		return follower{err: ErrCancelled}, Cancelled
	case broke(cause):
		return follower{err: cause}, Failed
	}
	return follower{err: err}, Crashed
}

// backOff waits before a restart. A stop is served at once: the newest checkpoint is the last one.
func (r *Running) backOff(ctx context.Context, delay time.Duration, cause error) (end State, ended bool) {
	ring, stop := r.o.Clock.Alarm(r.o.Clock.Now().Add(delay))
	defer stop()
	r.mu.Lock()
	r.restarts++
	n := r.restarts
	r.mu.Unlock()
	r.o.Logger.Info("attempt failed", "job", r.job.name, "error", cause, "restart", delay)
	if f := r.o.Hooks.Restart; f != nil {
		r.hook(ctx, "Restart", func() { f(n, delay, cause) })
	}
	for {
		if r.stopAsked() {
			return Stopped, true
		}
		select {
		case <-ring:
			return "", false
		case <-ctx.Done():
			return Crashed, true
		case <-r.stop:
			return Stopped, true
		case q := <-r.requests:
			q.reply <- reply{err: fmt.Errorf("%w: %w", meta.ErrAborted, errRestarting)}
		case q := <-r.drains:
			q <- fmt.Errorf("%w: %w", meta.ErrAborted, errRestarting)
		}
	}
}

// stopAsked says whether Stop has been called.
func (r *Running) stopAsked() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// restart makes the next attempt.
func (r *Running) restart(ctx context.Context) (*attempt, error) {
	return patient(ctx, r.o.ShutdownTimeout, r.job.awaited.or("the restart"), func() (*attempt, error) { return r.renew(ctx) }, (*attempt).close)
}

// renew revokes the old attempt's right to publish, then picks the checkpoint to go on from.
func (r *Running) renew(ctx context.Context) (a *attempt, err error) {
	err = call("job "+r.job.name, "restart", func() error {
		r.dir.Revoke()
		from, err := r.dir.Latest()
		if err != nil {
			return err // permanent if it is gone or damaged
		}
		splits, err := survey(ctx, r.job, &r.o, restored{from.Meta})
		if err == nil {
			err = r.verify(ctx, from)
		}
		if err != nil {
			return errors.Join(err, from.Close())
		}
		a, err = r.prepare(ctx, from, splits)
		return err
	})
	return a, err
}

// end settles what becomes of the checkpoints, and closes the run. settled: the sinks have committed all of the last one.
func (r *Running) end(ctx context.Context, s State, err error, settled bool) {
	stuck := errors.Is(err, errStorageStuck)   // what storage will still do is not known: nothing may be deleted
	damaged := errors.Is(err, meta.ErrDamaged) // somebody has to look at it first
	out := Outcome{State: s, Err: err, Kept: stuck || damaged || keeps(s, r.o.Checkpoints.Retention)}
	if s == Stopped {
		out.Savepoint, out.Err = r.lastSavepoint(ctx, settled)
		err = out.Err
	}
	clean := r.cleanUp(err, func() error {
		if out.Kept {
			return r.dir.Close()
		}
		return errors.Join(r.dir.DiscardAll(context.Background()), r.dir.Close())
	})
	if clean != nil {
		out.Err = errors.Join(err, clean)
	}
	out.Err = r.withHung(out.Err)
	r.mu.Lock()
	r.final = r.stats()
	out.Checkpoint = r.last
	if !out.Kept || !r.have || r.last.Path == "" {
		out.Kept, out.Checkpoint = false, Checkpoint{}
	}
	r.attempt = nil
	r.mu.Unlock()
	r.outcome = out
	r.cancel(nil)
	close(r.done)
}

// keeps is the table of what happens to the checkpoints when a run ends.
func keeps(s State, mode Retention) bool {
	switch s {
	case Finished:
		return false
	case Cancelled:
		return mode == RetainOnCancellation
	case Failed:
		return mode != NoExternalized
	}
	return true
}
