package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// close tells how the run ended: counts, the job's summary, and last what became of the checkpoints.
func (s *session) close(r *engine.Running) error {
	out, stats := r.Outcome(), r.Stats()
	s.screen.clear()
	var found *problem
	code := exitCode(out.State)
	if out.State == engine.Failed || out.State == engine.Crashed {
		found = s.failed(out.Err)
		if out.State == engine.Crashed {
			found.err = fmt.Errorf("left in the middle, as by a crash: %w", out.Err)
		}
		code = found.code
		found.print(s.screen)
	} else if out.Err != nil && out.State != engine.Cancelled {
		found = s.failed(out.Err)
		found.print(s.screen)
		if out.State == engine.Stopped && s.andSavepoint() != "" && out.Savepoint == "" {
			code = exitFailed // it was asked for, and could not be made
		}
	}
	s.screen.say("%s after %s: %s records in, %s out, %s late, %s skipped", out.State, short(time.Since(s.began)),
		grouped(stats.RecordsIn), grouped(stats.RecordsOut), grouped(stats.Late), grouped(stats.Skipped))
	s.showEnd(out, stats, code, found)
	if out.State == engine.Finished {
		s.summary()
	}
	if out.Savepoint != "" {
		s.screen.say("savepoint of checkpoint %d: %s", out.Checkpoint.ID, filepath.Dir(out.Savepoint))
	}
	s.screen.say("%s", s.fate(out))
	if code == exitDone {
		return nil
	}
	return ended(code)
}

func exitCode(state engine.State) int {
	switch state {
	case engine.Finished, engine.Stopped:
		return exitDone
	case engine.Cancelled:
		return exitCancelled
	}
	return exitFailed
}

func (s *session) showEnd(out engine.Outcome, stats engine.Stats, code int, found *problem) {
	if !s.flags.json {
		return
	}
	e := event{Event: string(out.State), Job: s.config.name, Stats: aboutStats(stats), Kept: &out.Kept, Savepoint: out.Savepoint, Error: text(out.Err), Stack: stackOf(out.Err), Exit: code}
	if found != nil {
		e.Hint = found.hint
	}
	if out.Kept && out.Checkpoint.Path != "" {
		e.Checkpoint, e.Resume = aboutCheckpoint(out.Checkpoint), s.resume(out)
	}
	s.screen.show(e)
}

// summary shows the job's own table to somebody who is looking.
func (s *session) summary() {
	if _, live := s.p.terminal(); !live || s.flags.json || s.job.Summary == nil {
		return
	}
	if err := s.job.Summary(s.args.set, s.p.stdout); err != nil {
		s.screen.say("pagetide: summary: %v", err)
	}
}

func (s *session) resume(out engine.Outcome) string { return s.command("-s", out.Checkpoint.Path) }

// fate is the last line of a run.
func (s *session) fate(out engine.Outcome) string {
	switch {
	case !out.Kept:
		return fmt.Sprintf("checkpoints deleted: the job %s", ending(out.State))
	case out.Checkpoint.Path == "":
		return "no checkpoint is left on disk"
	case errors.Is(out.Err, meta.ErrDamaged): // perhaps of this very checkpoint, which then fails again
		return fmt.Sprintf("checkpoint %d is kept; verify it before you resume with: %s", out.Checkpoint.ID, s.resume(out))
	}
	return fmt.Sprintf("checkpoint %d is kept; resume with: %s", out.Checkpoint.ID, s.resume(out))
}

func ending(state engine.State) string {
	switch state {
	case engine.Finished:
		return "has finished and its results are committed"
	case engine.Cancelled:
		return "was cancelled; --retain would keep them"
	}
	return "has " + string(state)
}
