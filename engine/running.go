package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
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
	Savepoint  string     // path of the _metadata of the savepoint that the job was stopped with; empty: none
}

// Running is a job that was started. Its methods may be called concurrently.
type Running struct {
	job *Job
	o   Options
	dir *snapshotter.Dir

	requests chan request
	drains   chan chan<- error
	stop     chan struct{} // closed by Stop
	stopOnce sync.Once
	cancel   context.CancelCauseFunc
	done     chan struct{}
	outcome  Outcome               // set before done is closed
	hung     atomic.Pointer[error] // names a hook that has not returned; nil: none

	mu       sync.Mutex // guards the fields below
	leaving  *string    // the folder of a savepoint to stop with
	attempt  *attempt
	last     Checkpoint
	have     bool
	restored time.Time // when an attempt last started from a checkpoint
	restarts int
	complete int64
	failed   int64
	expired  int64         // of failed
	stalled  time.Duration // in attempts before the present one
	final    Stats
}

// Checkpoint takes a checkpoint now and returns when it is durable. It fails with meta.ErrAborted if the job ends or is
// restarted first, with the checkpoint's own error if it is given up, and with ctx's when that ends first.
func (r *Running) Checkpoint(ctx context.Context) (Checkpoint, error) {
	a, err := r.ask(ctx, false)
	return a.checkpoint, err
}

// ask has the coordinator take a checkpoint. One that is to be settled comes back open, if there is no error.
func (r *Running) ask(ctx context.Context, settled bool) (reply, error) {
	answer := make(chan reply, 1)
	select {
	case r.requests <- request{reply: answer, settled: settled}:
	case <-r.done:
		return reply{checkpoint: r.outcome.Checkpoint}, r.ended()
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	}
	select {
	case a := <-answer:
		return a, a.err
	case <-r.done:
		return r.lastAnswer(answer)
	case <-ctx.Done():
		go r.drop(answer)
		return reply{}, context.Cause(ctx)
	}
}

func (r *Running) ended() error {
	return fmt.Errorf("job %q has %s already", r.job.name, r.outcome.State)
}

// lastAnswer is for a job that has ended: its coordinator has answered before, or never will.
func (r *Running) lastAnswer(answer <-chan reply) (reply, error) {
	select {
	case a := <-answer:
		return a, a.err
	default:
		return reply{checkpoint: r.outcome.Checkpoint}, orDefault(r.outcome.Err, r.ended())
	}
}

// drop closes what nobody waits for any more.
func (r *Running) drop(answer <-chan reply) {
	select {
	case a := <-answer:
		a.close()
	case <-r.done:
		if a, err := r.lastAnswer(answer); err == nil {
			a.close()
		}
	}
}

func (a reply) close() {
	if a.open != nil {
		a.open.Close() // read only
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
	s.Restarts, s.Completed, s.Failed, s.Expired, s.Last = r.restarts, r.complete, r.failed, r.expired, r.last
	s.Restored = r.restored
	s.Stalled += r.stalled
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
		r.hook(a.ctx, "Checkpoint", func() { f(c) })
	}
}

// observeLoaded tells that everything restored is verified.
func (a *attempt) observeLoaded() {
	cp, took := a.running.describe(a.from), a.o.Clock.Now().Sub(a.loading.began)
	a.o.Logger.Info("restored state is verified", "job", a.job.name, "checkpoint", cp.ID, "took", took)
	if f := a.o.Hooks.Loaded; f != nil {
		a.running.hook(a.ctx, "Loaded", func() { f(cp, took) })
	}
}

// observeFailure notes a checkpoint that was given up.
func (a *attempt) observeFailure(id meta.CheckpointID, expired bool, err error) {
	r := a.running
	r.mu.Lock()
	r.failed++
	if expired {
		r.expired++
	}
	r.mu.Unlock()
	r.o.Logger.Info("checkpoint failed", "job", r.job.name, "checkpoint", id, "error", err)
	if f := r.o.Hooks.CheckpointFailed; f != nil {
		r.hook(a.ctx, "CheckpointFailed", func() { f(id, err) })
	}
}
