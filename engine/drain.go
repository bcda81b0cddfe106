package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/pagetide/pagetide/meta"
)

// Drain ends the input where the sources stand now, as if it were bounded and ended there: time runs to its end, windows
// close and timers fire, a last checkpoint is taken, the sinks commit, and the job is Finished. It returns when that is
// done. Nothing is left to resume; to go on later, use Stop. A job that has finished already is not an error.
//
// If the attempt fails before, Drain returns an error with meta.ErrAborted. The job is restarted, as always, and reads on
// where its newest checkpoint stands, unless that has the end of the input already: then it finishes. When ctx ends first,
// Drain returns its error and the job goes on draining.
func (r *Running) Drain(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case r.drains <- answer:
	case <-r.done:
		return r.drained(answer)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-answer:
		return err
	case <-r.done:
		return r.drained(answer)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drained is how a drain has come out in a job that has ended.
func (r *Running) drained(answer <-chan error) error {
	select {
	case err := <-answer:
		return err
	default:
	}
	if r.outcome.Err == nil && r.outcome.State != Finished {
		return r.ended()
	}
	return r.outcome.Err
}

// draining is what a coordinator knows of it. The sources are told between two checkpoints, and until all have stopped
// reading none is taken: it would have the end of some and not of others, and a restart from it would lose records.
type draining struct {
	requests <-chan chan<- error
	asked    []chan<- error // nil: nobody has
	stopped  chan struct{}  // a source subtask has
	begun    bool
	missing  int // source subtasks that have not stopped
}

// drain tells the sources to stop, once that was asked for. No checkpoint is in flight. A job that is to be resumed keeps the
// rest of its input.
func (c *coordinator) drain() {
	d := &c.draining
	if d.asked == nil || d.begun || c.stopping {
		return
	}
	d.begun, d.missing = true, len(c.a.commands)
	close(c.a.drained)
}

// abort answers those who still wait when the attempt ends; one that has finished leaves them to the end of the job.
func (d *draining) abort(cause error) {
	if cause == nil {
		return
	}
	for _, q := range d.asked {
		q <- fmt.Errorf("%w: the input was not drained: %w", meta.ErrAborted, cause)
	}
	d.asked = nil
}

var errRestarting = errors.New("the job is about to be restarted")

// finish reads no more: all splits end here.
func (s *sourceTask[T]) finish() error {
	if err := s.st.begin(); err != nil {
		return err
	}
	s.drained, s.filled = nil, nil
	for _, p := range s.splits {
		p.done = true
	}
	select {
	case s.st.a.coord.draining.stopped <- struct{}{}:
	case <-s.st.ctx.Done():
		return context.Cause(s.st.ctx)
	}
	s.over = true
	return s.tick()
}
