package enginetest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pagetide/pagetide/engine"
)

// Option refines a [Run].
type Option func(*plan)

// plan is what a Run does to its job.
type plan struct {
	seed   uint64
	kills  int
	faults int
	others int // requests of checkpoints, stops, and so on

	savepoints int
	rewinds    int
	drains     int
}

// Seed chooses all that happens: the order of events, where the job is killed and what the disk keeps of that, what else
// fails, and at which parallelism the job goes on. The same seed does the same each time. Default 1.
func Seed(n uint64) Option { return func(p *plan) { p.seed = n } }

// Kills says how often the job is killed, at most: one that ends before is done. Default 1.
func Kills(n int) Option { return func(p *plan) { p.kills = n } }

// Faults says how many other things go wrong, at most: a call to storage fails, or hangs for a while, or until the process is killed
// for it, some places of the disk cannot be read for a moment, or are cut short, or give wrong bits, a subtask fails as its user's
// functions may, a sink fails to commit, before or after it has. The job survives each by itself, or by being started again if it
// was given what is not on the disk, or killed. Default 0.
func Faults(n int) Option { return func(p *plan) { p.faults = n } }

// Requests says how often somebody asks for a checkpoint, stops the job or cancels it, at most; what was stopped or cancelled
// goes on from its checkpoint. Default 0.
func Requests(n int) Option { return func(p *plan) { p.others = n } }

// Savepoints says how often somebody makes a savepoint, at most, mostly to stop the job with it. What was stopped so goes on
// from the savepoint as often as from its checkpoint, and then also where its directory is gone, or discards what is in
// there. Default 0.
func Savepoints(n int) Option { return func(p *plan) { p.savepoints = n } }

// Rewinds says how often somebody puts the job back, at most, to a savepoint or to one of its own checkpoints that it has gone
// on from: behind what it has, where that is discarded, without its directory, or in another one; also when it has finished.
// Its sinks must be [Sink]s, which are put back with it: what they have got after that place counts no longer. Default 0.
func Rewinds(n int) Option { return func(p *plan) { p.rewinds = n } }

// Drains says how often somebody drains the job, at most. A job that is drained has read the first records of each split, how many
// is up to the seed: a [Sink] right behind a source tells them. Default 0.
func Drains(n int) Option { return func(p *plan) { p.drains = n } }

// Report is what has happened in a [Run].
type Report struct {
	Kills       int    // of the process
	Restarts    int    // within a process, after a failure
	Faults      int    // injected
	Hangs       int    // calls to storage that took their time, or did not end
	BadReads    int    // places of the disk that could not be read, or were read wrong
	Checkpoints int    // completed
	Savepoints  int    // that a job was stopped with
	Rewinds     int    // to where the job had gone on from
	Drains      int    // that somebody asked for
	Evictions   int    // of state from memory, by attempts that have ended their process
	Steps       int    // of all tasks
	Hash        uint64 // of the trace: equal for equal seeds, as long as the job and the engine are the same
	Trace       string // a line for each step
}

// Run runs a job to its end in a simulated world. Its tasks, the writing of its checkpoints and the commits of its sinks take
// turns in an order that a seed chooses; time is virtual and moves when all wait for it, or in between; and things go wrong:
// the process is killed, of what was not synced a part is lost, and the job is built anew and resumes. The test fails, with the
// seed and the last steps, if the job fails by itself, does not come to its end, or leaves a checkpoint or a goroutine
// behind.
//
// The graph's input must be bounded. Its sources and sinks must outlive a kill, as [Feed] and [Sink] do: they are the outside
// world. Channels and timers that they use should be made within graph: see package testing/synctest, which this builds on.
func Run(t *testing.T, graph func(*engine.Job), o ...Option) Report {
	t.Helper()
	p := plan{seed: 1, kills: 1}
	for _, opt := range o {
		opt(&p)
	}
	w := newWorld(p, graph)
	if err := bubble(t, w.run); err != nil {
		r := w.report()
		if testing.Verbose() {
			t.Log(r.Trace)
		}
		t.Fatalf("enginetest.Seed(%d), after %d kills and %d steps: %v\nthe last steps (all of them with -v):\n%s", p.seed, r.Kills, r.Steps, err, lastLines(r.Trace, 40))
	}
	return w.report()
}

// bubble runs f where time is virtual. Goroutines that never end are an error.
func bubble(t *testing.T, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if s := fmt.Sprint(v); strings.HasPrefix(s, "deadlock:") {
				err = fmt.Errorf("goroutines are left: %s", s)
				return
			}
			panic(v)
		}
	}()
	synctest.Test(t, func(*testing.T) { err = f() })
	return err
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
