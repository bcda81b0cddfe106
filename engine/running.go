package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// State says how a run ended.
type State string

// The ways a run ends.
const (
	Finished  State = "finished"  // bounded input read to its end, all output committed
	Cancelled State = "cancelled" // by Running.Cancel
	Stopped   State = "stopped"   // by Running.Stop, after a last checkpoint
	Failed    State = "failed"    // and no restart could mend it
	Crashed   State = "crashed"   // its context ended
)

// Outcome is how a run ended and what it left behind.
type Outcome struct {
	State      State
	Err        error
	Kept       bool       // checkpoints are kept
	Checkpoint Checkpoint // the newest, if they are
}

// Running is a job that was started. Its methods may be called concurrently.
type Running struct {
	job *Job
	o   Options
	dir *snapshotter.Dir

	requests chan request
	stop     chan struct{} // closed by Stop
	stopOnce sync.Once
	cancel   context.CancelCauseFunc
	done     chan struct{}
	outcome  Outcome // set before done is closed

	mu       sync.Mutex // guards the fields below
	attempt  *attempt
	last     Checkpoint
	have     bool
	restarts int
	complete int64
	failed   int64
	final    Stats
}

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
	dir, err := patient(ctx, o.ShutdownTimeout, "opening the directory of checkpoints",
		func() (*snapshotter.Dir, error) { return openDir(j.name, o.Checkpoints) }, (*snapshotter.Dir).Close)
	if err != nil {
		return nil, err
	}
	r := &Running{job: j, o: o, dir: dir, requests: make(chan request), stop: make(chan struct{}), done: make(chan struct{})}
	ctx, r.cancel = context.WithCancelCause(ctx)
	a, err := patient(ctx, o.ShutdownTimeout, "the start", func() (*attempt, error) { return r.first(ctx) }, (*attempt).close)
	if err != nil {
		return nil, r.refuse(err)
	}
	result := make(chan error, 1)
	go func() { result <- a.run() }()
	if err := a.firstCheckpoint(result); err != nil {
		return nil, r.refuse(err)
	}
	go r.supervise(ctx, a, result)
	return r, nil
}

// refuse gives up what a start that failed has taken.
func (r *Running) refuse(err error) error {
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
	return within(r.o.ShutdownTimeout, "the directory of checkpoints", f)
}

// firstCheckpoint waits until a fresh attempt has published its first checkpoint, or has ended without.
func (a *attempt) firstCheckpoint(result chan error) error {
	if a.from != nil {
		return nil
	}
	select {
	case f := <-a.coord.first:
		if f.err == nil {
			return nil
		}
		<-result
		return fmt.Errorf("first checkpoint: %w", f.err)
	case err := <-result:
		select {
		case f := <-a.coord.first:
			if f.err == nil {
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
	from, err := b.settle(ctx) // nothing has been changed before; from here on the start is meant
	if err != nil {
		return nil, err
	}
	a, err := r.prepare(ctx, from, splits)
	if err != nil {
		return nil, err
	}
	if err := r.dir.SweepOrphans(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
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

func (r *Running) prepare(ctx context.Context, from *snapshotter.Checkpoint, splits splitLists) (*attempt, error) {
	a, err := newAttempt(ctx, r.job, &r.o, r.dir, from, splits)
	if err != nil {
		return nil, err
	}
	a.coord.requests, a.coord.stop = r.requests, r.stop
	a.running = r
	r.mu.Lock()
	r.attempt = a
	r.mu.Unlock()
	if from != nil {
		cp := r.describe(from)
		r.mu.Lock()
		r.last, r.have = cp, true
		r.mu.Unlock()
		if f := r.o.Hooks.Restored; f != nil {
			r.hook("Restored", func() { f(cp) })
		}
	}
	return a, nil
}

// hook calls a hook. One that breaks fails the job.
func (r *Running) hook(name string, f func()) {
	err := call("hook "+name, "called", func() error { f(); return nil })
	if err != nil {
		r.cancel(Permanent(err))
	}
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

// supervise follows one attempt by the next until the job ends.
func (r *Running) supervise(ctx context.Context, a *attempt, result chan error) {
	p := &restarts{o: r.o.Restart}
	for {
		p.started(time.Now())
		err := <-result
		next, end := r.follow(ctx, p, err)
		if end != "" {
			r.end(end, next.err)
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
		switch {
		case err == nil:
			return follower{}, Finished
		case errors.Is(err, errStopped):
			return follower{}, Stopped
		case ctx.Err() != nil:
			return r.interrupted(ctx, err)
		}
		delay, fatal := p.after(time.Now(), err)
		if fatal != nil {
			return follower{err: fatal}, Failed
		}
		if end, ok := r.backOff(ctx, delay, err); ok {
			if end == Stopped {
				return follower{}, Stopped
			}
			return r.interrupted(ctx, err)
		}
		p.started(time.Now())
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
	r.mu.Lock()
	r.restarts++
	n := r.restarts
	r.mu.Unlock()
	r.o.Logger.Info("attempt failed", "job", r.job.name, "error", cause, "restart", delay)
	if f := r.o.Hooks.Restart; f != nil {
		r.hook("Restart", func() { f(n, delay, cause) })
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		if r.stopAsked() {
			return Stopped, true
		}
		select {
		case <-timer.C:
			return "", false
		case <-ctx.Done():
			return Crashed, true
		case <-r.stop:
			return Stopped, true
		case q := <-r.requests:
			q.reply <- reply{err: fmt.Errorf("%w: the job is about to be restarted", meta.ErrAborted)}
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
	return patient(ctx, r.o.ShutdownTimeout, "the restart", func() (*attempt, error) { return r.renew(ctx) }, (*attempt).close)
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
		if err != nil {
			return errors.Join(err, from.Close())
		}
		a, err = r.prepare(ctx, from, splits)
		return err
	})
	return a, err
}

// end settles what becomes of the checkpoints, and closes the run.
func (r *Running) end(s State, err error) {
	stuck := errors.Is(err, errStorageStuck) // what storage will still do is not known: nothing may be deleted
	out := Outcome{State: s, Err: err, Kept: stuck || keeps(s, r.o.Checkpoints.Retention)}
	clean := r.cleanUp(err, func() error {
		if out.Kept {
			return r.dir.Close()
		}
		return errors.Join(r.dir.DiscardAll(context.Background()), r.dir.Close())
	})
	if clean != nil {
		out.Err = errors.Join(err, clean)
	}
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

// Checkpoint takes a checkpoint now and returns when it is durable. It fails with meta.ErrAborted if the job ends or is
// restarted first, with the checkpoint's own error if it is given up, and with ctx's when that ends first.
func (r *Running) Checkpoint(ctx context.Context) (Checkpoint, error) {
	answer := make(chan reply, 1)
	select {
	case r.requests <- request{reply: answer}:
	case <-r.done:
		return r.outcome.Checkpoint, fmt.Errorf("job %q has %s already", r.job.name, r.outcome.State)
	case <-ctx.Done():
		return Checkpoint{}, context.Cause(ctx)
	}
	select {
	case a := <-answer:
		return a.checkpoint, a.err
	case <-r.done:
		return r.outcome.Checkpoint, r.outcome.Err
	case <-ctx.Done():
		return Checkpoint{}, context.Cause(ctx)
	}
}

// Stop takes a last checkpoint, has the sinks commit, ends the job and keeps its checkpoints; it returns the last one. If
// an attempt fails before that, the job ends with the newest checkpoint that it has. A job that has ended already is not
// an error. When ctx ends first, Stop returns its error and the job goes on stopping.
func (r *Running) Stop(ctx context.Context) (Checkpoint, error) {
	r.stopOnce.Do(func() { close(r.stop) })
	select {
	case <-r.done:
	case <-ctx.Done():
		return Checkpoint{}, context.Cause(ctx)
	}
	return r.outcome.Checkpoint, r.outcome.Err
}

// Cancel ends the job without a last checkpoint; the retention mode says what becomes of its checkpoints. It returns
// when the job has ended: nil if that was all, else what went wrong on the way, or how the job had ended before.
func (r *Running) Cancel() error {
	r.cancel(ErrCancelled)
	<-r.done
	if r.outcome.Err == ErrCancelled { // and nothing with it
		return nil
	}
	return r.outcome.Err
}

// Done is closed when the job has ended: its tasks have returned, and what becomes of its checkpoints is settled.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait returns when the job has ended: nil if it finished or was stopped.
func (r *Running) Wait() error {
	<-r.done
	return r.outcome.Err
}

// Outcome says how the job ended. It is valid once Done is closed.
func (r *Running) Outcome() Outcome { return r.outcome }

// Latest is the newest completed checkpoint, if there is one.
func (r *Running) Latest() (Checkpoint, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.have
}

// Stats are the counters as of now, or of the end.
func (r *Running) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attempt == nil {
		return r.final
	}
	return r.stats()
}

func (r *Running) stats() (s Stats) {
	s = r.attempt.report()
	s.Restarts, s.Completed, s.Failed, s.Last = r.restarts, r.complete, r.failed, r.last
	return s
}

// observe notes a completed checkpoint.
func (a *attempt) observe(c Checkpoint) {
	r := a.running
	r.mu.Lock()
	r.last, r.have = c, true
	r.complete++
	r.mu.Unlock()
	if f := r.o.Hooks.Checkpoint; f != nil {
		r.hook("Checkpoint", func() { f(c) })
	}
}

// observeFailure notes a checkpoint that was given up.
func (a *attempt) observeFailure(id meta.CheckpointID, err error) {
	r := a.running
	r.mu.Lock()
	r.failed++
	r.mu.Unlock()
	r.o.Logger.Info("checkpoint failed", "job", r.job.name, "checkpoint", id, "error", err)
	if f := r.o.Hooks.CheckpointFailed; f != nil {
		r.hook("CheckpointFailed", func() { f(id, err) })
	}
}

// poisonLimit is how often in a row a record may fail an operator.
const poisonLimit = 3

// restarts decides whether and when a failed attempt is followed by another.
type restarts struct {
	o     Restart
	begun time.Time
	inRow int
	delay time.Duration

	signature string // of the last failure that had a record
	same      int
}

func (p *restarts) started(now time.Time) { p.begun = now }

// after takes a failure in and says how long to wait, or why to wait no more.
func (p *restarts) after(now time.Time, err error) (time.Duration, error) {
	if p.o.None || permanent(err) {
		return 0, err
	}
	if poison := p.poison(err); poison != nil {
		return 0, poison
	}
	if now.Sub(p.begun) >= p.o.ResetAfter {
		p.inRow, p.delay = 0, 0
	}
	if p.inRow++; p.o.Attempts > 0 && p.inRow > p.o.Attempts {
		return 0, fmt.Errorf("%w (after %d restarts)", err, p.o.Attempts)
	}
	if p.delay == 0 {
		p.delay = min(p.o.InitialDelay, p.o.MaxDelay)
	} else {
		p.delay = p.scaled(p.o.Multiplier)
	}
	if p.o.Jitter <= 0 {
		return p.delay, nil
	}
	return p.scaled(1 + p.o.Jitter*(2*rand.Float64()-1)), nil
}

// scaled is the delay times a factor, at most MaxDelay.
func (p *restarts) scaled(factor float64) time.Duration {
	d := float64(p.delay) * factor
	if d >= float64(p.o.MaxDelay) {
		return p.o.MaxDelay
	}
	return time.Duration(d)
}

// poison finds the record that fails the same operator again and again.
func (p *restarts) poison(err error) error {
	op, ok := errors.AsType[*OperatorError](err)
	if !ok || op.Record == "" {
		p.signature, p.same = "", 0
		return nil
	}
	if s := op.signature(); s != p.signature {
		p.signature, p.same = s, 0
	}
	if p.same++; p.same < poisonLimit {
		return nil
	}
	return fmt.Errorf("%w, failed %d times running: %w", ErrPoison, p.same, err)
}

// permanent says that a restart would meet the same error: it was marked so, or the checkpoint to restart from is gone
// or no longer fits.
func permanent(err error) bool {
	for _, e := range []error{meta.ErrDamaged, meta.ErrVersion, meta.ErrIncompatible, meta.ErrLocked, meta.ErrNotFound, ErrStuck} {
		if errors.Is(err, e) {
			return true
		}
	}
	return IsPermanent(err)
}
