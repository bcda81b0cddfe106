package app

import (
	"context"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// session is one run of a job.
type session struct {
	p      *program
	job    Job
	flags  runFlags
	config config
	args   *jobFlags
	screen *screen

	dir   string // the job's directory
	fresh bool   // --resume found nothing to resume
	began time.Time
}

// play starts the job, shows it until it ends and tells how it ended.
func (s *session) play(ctx context.Context, job *engine.Job) error {
	defer s.screen.clear()
	if s.p.outlive != nil {
		s.p.outlive()
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp() // of no effect on a job that has ended; any other crashes
	s.began = time.Now()
	running, err := s.start(ctx, job)
	if err != nil {
		return err
	}
	if s.watch(ctx, running) {
		return s.leave(running)
	}
	return s.close(running)
}

// start waits for the job to be under way. A signal meanwhile ends it as a crash does.
func (s *session) start(ctx context.Context, job *engine.Job) (*engine.Running, error) {
	o := s.config.options
	o.Args = s.args.effective()
	o.Logger = s.screen.logger(s.flags.verbose)
	o.Hooks = s.hooks()
	s.screen.show(event{Event: "starting", Job: job.Name(), Args: o.Args})
	if s.fresh {
		s.screen.show(event{Event: "fresh", Job: job.Name()})
	}
	type result struct {
		running *engine.Running
		err     error
	}
	started := make(chan result, 1)
	go func() {
		r, err := job.Start(ctx, o)
		started <- result{r, err}
	}()
	select {
	case r := <-started:
		if r.err != nil {
			return nil, s.refused(r.err)
		}
		s.screen.show(event{Event: "started", Job: job.Name(), Args: o.Args})
		return r.running, nil
	case <-s.p.signals:
		s.screen.say("interrupted while starting; what earlier runs left is kept")
		return nil, ended(exitCancelled)
	}
}

func (s *session) hooks() engine.Hooks {
	return engine.Hooks{
		Checkpoint: func(c engine.Checkpoint) {
			s.screen.show(event{Event: "checkpoint", Checkpoint: aboutCheckpoint(c)})
		},
		CheckpointFailed: func(id meta.CheckpointID, err error) {
			s.screen.show(event{Event: "checkpoint_failed", Checkpoint: &checkpointInfo{ID: uint64(id)}, Error: text(err)})
		},
		Restart: func(attempt int, after time.Duration, cause error) {
			s.screen.show(event{Event: "restart", Attempt: attempt, AfterMS: millis(after), Error: text(cause), Stack: stackOf(cause)})
		},
		Importing: s.importing(),
		Restored: func(c engine.Checkpoint) {
			s.screen.show(event{Event: "restored", Checkpoint: aboutCheckpoint(c)})
		},
		Verifying: s.screen.verifying,
		Loaded: func(c engine.Checkpoint, took time.Duration) {
			s.screen.show(event{Event: "loaded", Checkpoint: aboutCheckpoint(c), TookMS: millis(took)})
		},
	}
}

// importing shows how far a checkpoint from elsewhere has been brought in.
func (s *session) importing() func(done, total int64) {
	bar, begun := newBar(s.p), false
	return func(done, total int64) {
		if !begun {
			begun = true
			s.screen.show(event{Event: "importing", Checkpoint: &checkpointInfo{Path: s.source(), FullBytes: total}})
		}
		if bar.show(done, total); done == total {
			bar.clear()
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// echo is how soon after the first a signal is taken for the same one: timeout(1) and shells send theirs to the process
// and to its group.
const echo = 50 * time.Millisecond

// watch returns when the job has ended, or at the second signal, with true.
func (s *session) watch(ctx context.Context, r *engine.Running) (leave bool) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	var asked time.Time              // to end
	undrained := make(chan error, 1) // the job goes on as if nobody had asked
	for {
		select {
		case <-r.Done():
			return false
		case now := <-ticker.C:
			s.screen.tick(now, r.Stats())
		case err := <-undrained:
			s.screen.say("drain: %v; the job goes on", err)
			asked = time.Time{}
		case sig := <-s.p.signals:
			switch {
			case asked.IsZero() && slices.Contains(drainSignals, sig):
				asked = time.Now()
				s.drain(ctx, r, undrained)
			case asked.IsZero():
				asked = time.Now()
				s.end(ctx, r, sig)
			case time.Since(asked) > echo:
				return !over(r)
			}
		}
	}
}

func over(r *engine.Running) bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

// end asks the job to end: Done follows, so the answer is not awaited here.
func (s *session) end(ctx context.Context, r *engine.Running, sig os.Signal) {
	if sig == syscall.SIGTERM {
		s.screen.say("stopping after a last checkpoint%s; a second signal leaves at once", s.andSavepoint())
		go func() {
			if err := s.stop(ctx, r); err != nil && !over(r) { // else the end tells
				s.screen.say("stop: %v", err)
			}
		}()
		return
	}
	s.screen.say("cancelling; a second signal leaves at once and keeps the checkpoints")
	go r.Cancel() // its error is the outcome's
}

// drain asks the job to end its input and finish.
func (s *session) drain(ctx context.Context, r *engine.Running, failed chan<- error) {
	s.screen.say("draining: the input ends here, and the job finishes; a second signal leaves at once")
	go func() {
		if err := r.Drain(ctx); err != nil && !over(r) { // else the end tells
			failed <- err
		}
	}()
}

// stop takes a savepoint too, if there is a place for savepoints.
func (s *session) stop(ctx context.Context, r *engine.Running) (err error) {
	if s.config.options.Checkpoints.SavepointDir == "" {
		_, err = r.Stop(ctx)
		return err
	}
	_, err = r.StopWithSavepoint(ctx, "")
	return err
}

func (s *session) andSavepoint() string {
	if dir := s.config.options.Checkpoints.SavepointDir; dir != "" {
		return ", and a savepoint of it in " + dir
	}
	return ""
}

// leave ends like a crash: nothing more is tidied. A cancelled job may have begun to delete its checkpoints, though.
func (s *session) leave(r *engine.Running) error {
	s.screen.clear()
	c, ok := r.Latest()
	if ok {
		_, err := os.Stat(c.Path)
		ok = err == nil
	}
	if !ok {
		s.screen.say("left at once, while the checkpoints of the cancelled job were being deleted")
		return ended(exitCancelled)
	}
	s.screen.say("left at once; checkpoint %d is kept; resume with: %s", c.ID, s.command("-s", c.Path))
	return ended(exitCancelled)
}

// command is how to run this job again, with the flags that matter and some more.
func (s *session) command(more ...string) string {
	words := append([]string{}, more...)
	if s.flags.file != "" {
		words = append(words, "-c", s.flags.file)
	}
	for _, d := range s.flags.defines {
		words = append(words, "-D", d)
	}
	if s.flags.named {
		words = append(words, "--name", s.flags.name)
	}
	if s.flags.retain {
		words = append(words, "--retain")
	}
	words = append(words, s.job.Name)
	return s.p.name + " run " + quoteAll(words)
}
