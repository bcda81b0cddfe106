package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Options say how a job runs. The zero value runs it with parallelism one, without periodic checkpoints, and with the
// checkpoints that it does take in memory.
type Options struct {
	Parallelism int // subtasks per operator; default 1

	// MaxParallelism is the number of key groups, at most 4096; default that of the checkpoint, 128 for a fresh start. Another
	// number than the checkpoint's rewrites all state at the restore, in time and memory in proportion to it, and makes the
	// next checkpoint hold all of it; the log tells what it cost. Another Parallelism costs nothing.
	MaxParallelism int

	Checkpoints Checkpoints
	Restore     Restore
	Restart     Restart

	// Args are the effective arguments of the job. They are recorded in every checkpoint.
	Args []string

	// ShutdownTimeout bounds how long an ending attempt waits for its tasks, sinks and storage, and then for its clean-up;
	// default 30 s. What does not return by then is left behind, and the run ends with ErrStuck. It goes by the machine's
	// clock, whatever Clock is.
	ShutdownTimeout time.Duration

	Clock  Clock        // the machine's if nil
	Logger *slog.Logger // silent if nil
	Hooks  Hooks
}

// defaultKeyGroups is the default of Options.MaxParallelism.
const defaultKeyGroups = 128

// Checkpoints say when checkpoints are taken and what becomes of them.
type Checkpoints struct {
	Dir          string  // holds <job>/chk-<id>/_metadata; empty: checkpoints live in memory and serve restarts only
	DataDir      string  // holds <job>/<data files>; default Backend.Dir, then Dir
	SavepointDir string  // where savepoints go that are given no folder
	Backend      Backend // default Mmap("")

	Interval time.Duration // from start to start; 0: none but the first, the last, and those asked for
	MinPause time.Duration // from the end of one to the start of the next, at least
	Timeout  time.Duration // after which a checkpoint is given up; default 10 min

	Retained  int       // completed checkpoints kept; default 1
	Retention Retention // what happens to them when the job ends; default depends on Dir
	Tolerable int       // failures in a row that do not fail the job; default 3; negative: none

	fs vfs.FS // set by On; the operating system's if nil
}

// On puts the directories on another file system than the operating system's: in tests, one in memory or one that fails.
func (c Checkpoints) On(fsys vfs.FS) Checkpoints {
	c.fs = fsys
	return c
}

// Retention says what becomes of checkpoints when a job is cancelled, fails or is stopped. A job that finishes has none.
type Retention string

// The retention modes, named as in the settings.
const (
	RetainDefault        Retention = ""                            // DeleteOnCancellation with a directory, else NoExternalized
	NoExternalized       Retention = "NO_EXTERNALIZED_CHECKPOINTS" // kept only when stopped or crashed
	DeleteOnCancellation Retention = "DELETE_ON_CANCELLATION"      // kept on failure too
	RetainOnCancellation Retention = "RETAIN_ON_CANCELLATION"      // kept on cancellation too
)

// Restore says what a job starts from. The zero value is a fresh start, which is refused with meta.ErrExists if the
// job's directory holds checkpoints of an earlier run.
type Restore struct {
	Path    string // a _metadata file, a chk-N folder, a job's directory; "latest" is the newest of this job's own
	OrFresh bool   // start fresh if there is no checkpoint at Path
	Fresh   bool   // discard what an earlier run of this job left, and start fresh

	Rewind      bool // allow a checkpoint that is not its directory's newest; newer ones are retired
	IgnoreExtra bool // allow state, positions and transactions that no operator of the job claims

	Verify Verify // when pages are verified; default VerifyLazy

	earlier meta.JobID // with Fresh: the id that the directory had before
}

// Verify says when the pages of a restored checkpoint are verified. Metadata and the roots of data files always are before
// anything else happens.
type Verify string

// The times to verify.
const (
	VerifyLazy  Verify = "lazy"  // each page before it is used, the others beside the records
	VerifyEager Verify = "eager" // all before the first record
)

// Latest is the Restore.Path of the job's newest checkpoint.
const Latest = "latest"

// Resume continues the newest checkpoint of the job, or starts fresh if there is none.
func Resume() Restore { return Restore{Path: Latest, OrFresh: true} }

// Restart says how often and when a failed attempt is followed by another. The zero value restarts for ever, after 1 s
// at first and 1 min at most; but in a job with neither a checkpoint directory nor an interval, which would begin anew each
// time, it does not restart.
type Restart struct {
	None         bool          // do not restart
	Attempts     int           // restarts in a row before the job fails, or within Within; 0: no limit
	Within       time.Duration // the time in which Attempts counts, whether in a row or not; 0: those in a row
	InitialDelay time.Duration // default 1 s
	MaxDelay     time.Duration // default 1 min
	Multiplier   float64       // default 1.5
	ResetAfter   time.Duration // an attempt that ran this long starts the delays over; default 1 h
	Jitter       float64       // share of the delay by which it varies; default 0.1; negative: none
}

// Hooks observe a run. Each may be nil. They are called one at a time by goroutines of the engine, which wait for them:
// they must return soon, may ask Running for Latest and Stats, and must not wait for anything that the job does. A hook
// that panics fails the job. One that does not return holds the job up until it is cancelled or an attempt fails, and then for the
// shutdown timeout: the job ends with [ErrStuck], which names it.
type Hooks struct {
	Checkpoint       func(Checkpoint)                                    // completed: durable
	CheckpointFailed func(id meta.CheckpointID, err error)               // given up; the job goes on
	Restart          func(attempt int, after time.Duration, cause error) // about to be restarted
	Importing        func(done, total int64)                             // bytes of a checkpoint from elsewhere, while Start brings it in
	Restored         func(Checkpoint)                                    // an attempt starts from this checkpoint
	Verifying        func(done, total int64)                             // bytes, with VerifyEager: before Restored
	Loaded           func(c Checkpoint, took time.Duration)              // all that was restored is verified
}

// Checkpoint describes a completed checkpoint.
type Checkpoint struct {
	ID        meta.CheckpointID
	Path      string        // of its _metadata; empty if it lives in memory
	Triggered time.Time     // wall clock
	Duration  time.Duration // from the trigger to the commit point
	Bytes     int64         // written by this checkpoint
	FullBytes int64         // size of all data files that it needs
	Files     int           // number of those
}

// validate returns all faults, joined. Values that have a default may be zero.
func (o Options) validate() error {
	var found []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			found = append(found, fmt.Errorf(format, args...))
		}
	}
	c, r := o.Checkpoints, o.Restart
	fault(o.Parallelism < 0, "parallelism %d: want at least 1", o.Parallelism)
	fault(o.MaxParallelism < 0 || o.MaxParallelism > meta.MaxKeyGroups, "max parallelism %d: want 1 to %d", o.MaxParallelism, meta.MaxKeyGroups)
	fault(o.ShutdownTimeout < 0, "shutdown timeout %s is negative", o.ShutdownTimeout)
	if err := c.Backend.validate(); err != nil {
		found = append(found, err)
	}
	fault(c.DataDir != "" && c.Dir == "" && c.Backend.Dir == "", "data directory %q without a checkpoint directory", c.DataDir)
	fault(c.DataDir != "" && c.Backend.Dir != "" && c.DataDir != c.Backend.Dir, "data directories %q and, of the state backend, %q: want one", c.DataDir, c.Backend.Dir)
	fault(c.Interval < 0 || c.MinPause < 0 || c.Timeout < 0, "checkpoint interval %s, pause %s, timeout %s: none may be negative", c.Interval, c.MinPause, c.Timeout)
	fault(c.Retained < 0, "retained checkpoints %d: want at least 1", c.Retained)
	switch c.Retention {
	case RetainDefault, NoExternalized, DeleteOnCancellation, RetainOnCancellation:
	default:
		fault(true, "retention %q: want %s, %s or %s", c.Retention, NoExternalized, DeleteOnCancellation, RetainOnCancellation)
	}
	switch o.Restore.Verify {
	case "", VerifyLazy, VerifyEager:
	default:
		fault(true, "verify %q: want %s or %s", o.Restore.Verify, VerifyLazy, VerifyEager)
	}
	fault(o.Restore.Fresh && (o.Restore.Path == Latest || o.Restore.OrFresh), "a fresh start and the newest checkpoint exclude each other")
	fault(r.Attempts < 0 || r.InitialDelay < 0 || r.MaxDelay < 0 || r.ResetAfter < 0, "restart: attempts and delays may not be negative")
	fault(r.Within < 0 || r.Within > 0 && r.Attempts == 0, "restart within %s: want a time, with the number of attempts in it", r.Within)
	fault(r.Multiplier != 0 && !(r.Multiplier >= 1), "restart multiplier %g: want at least 1", r.Multiplier)
	fault(!(r.Jitter <= 1), "restart jitter %g: want at most 1", r.Jitter)
	return errors.Join(found...)
}

func (o Options) withDefaults() Options {
	o.Parallelism = orDefault(o.Parallelism, 1)
	o.ShutdownTimeout = orDefault(o.ShutdownTimeout, 30*time.Second)
	if o.Clock == nil {
		o.Clock = machineClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &o.Checkpoints
	c.Backend.Name = orDefault(c.Backend.Name, backendMmap)
	c.Backend.MaxSize = orDefault(c.Backend.MaxSize, defaultMaxSize)
	c.Dir, c.DataDir = c.dirs()
	c.Timeout = orDefault(c.Timeout, 10*time.Minute)
	c.Retained = orDefault(c.Retained, 1)
	c.Tolerable = orDefault(c.Tolerable, 3)
	c.Retention = orDefault(c.Retention, c.defaultRetention())
	r := &o.Restart
	if c.Dir == "" && c.Interval == 0 && *r == (Restart{}) {
		r.None = true
	}
	r.InitialDelay = orDefault(r.InitialDelay, time.Second)
	r.MaxDelay = orDefault(r.MaxDelay, time.Minute)
	r.Multiplier = orDefault(r.Multiplier, 1.5)
	r.ResetAfter = orDefault(r.ResetAfter, time.Hour)
	r.Jitter = orDefault(r.Jitter, 0.1)
	return o
}

func (c *Checkpoints) defaultRetention() Retention {
	if c.Dir == "" {
		return NoExternalized
	}
	return DeleteOnCancellation
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
