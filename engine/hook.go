package engine

import (
	"context"
	"errors"
	"strings"
)

// hook calls a hook and waits for it; once ctx has ended, no longer than the shutdown timeout. One that breaks fails the job. After
// one that was left behind no other is called: they come one at a time.
func (r *Running) hook(ctx context.Context, name string, f func()) {
	if r.hung.Load() != nil {
		return
	}
	what := "hook " + name
	r.job.awaited.begin(what)
	called := calling(what, "called", func() error { f(); return nil })
	var err error
	select {
	case err = <-called:
	case <-ctx.Done():
		err = within(r.o.ShutdownTimeout, plainly(what), func() error { return <-called })
	}
	if err != nil && !broke(err) { // it is still awaited
		r.hung.Store(&err)
		return
	}
	r.job.awaited.end()
	if err != nil {
		r.cancel(Permanent(err))
	}
}

// withHung adds to how the run has ended that a hook has not returned.
func (r *Running) withHung(err error) error {
	hung := r.hung.Load()
	if hung == nil || err != nil && strings.Contains(err.Error(), (*hung).Error()) {
		return err
	}
	return errors.Join(*hung, err)
}
