package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Option refines a [Run].
type Option func(*plan)

// plan is what a Run does to its job.
type plan struct {
	seed  uint64
	kills int
}

// Seed chooses where the job is killed, what the disk keeps of that, and at which parallelism the job goes on; default 1.
// The places are the same each time. Between the tasks of the job the order is the scheduler's.
func Seed(n uint64) Option { return func(p *plan) { p.seed = n } }

// Kills says how often the job is killed, at most: one that ends before is done. Default 1.
func Kills(n int) Option { return func(p *plan) { p.kills = n } }

// Run runs a job to its end, killing it on the way: at some call to the storage of its checkpoints everything stops, of
// what was not synced a part is lost, and the job is built anew and resumes. It returns how often that happened. The
// graph's input must be bounded and its sources and sinks must outlive a kill, as [Feed] and [Sink] do: they are the
// outside world. The test ends if the job fails by itself.
func Run(t testing.TB, graph func(*engine.Job), o ...Option) (kills int) {
	t.Helper()
	p := plan{seed: 1, kills: 1}
	for _, opt := range o {
		opt(&p)
	}
	w := world{rnd: rand.New(rand.NewPCG(p.seed, 0)), disk: vfs.NewMem(), graph: graph}
	for {
		finished, err := w.live(kills < p.kills)
		switch {
		case err != nil:
			t.Fatalf("enginetest.Seed(%d), after %d kills: %v", p.seed, kills, err)
		case finished:
			return kills
		}
		kills++
	}
}

// world is where a job lives and is killed.
type world struct {
	rnd   *rand.Rand
	disk  *vfs.Mem
	graph func(*engine.Job)
}

// live runs the job until it finishes, or is killed if it is mortal and lives long enough.
func (w *world) live(mortal bool) (finished bool, err error) {
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	crash := vfs.NewCrashFrom(w.disk)
	disk := vfs.NewFault(crash)
	if mortal {
		powerCut(disk, w.place(), cut)
	}
	finished, err = w.run(ctx, disk)
	if finished || ctx.Err() == nil {
		return finished, err
	}
	w.disk = w.left(crash)
	return false, nil
}

// run runs the job once. One that finishes may be cut while it tidies up; its output is complete.
func (w *world) run(ctx context.Context, disk vfs.FS) (finished bool, err error) {
	job := engine.NewJob("enginetest")
	w.graph(job)
	r, err := job.Start(ctx, engine.Options{
		Parallelism: 1 + w.rnd.IntN(3),
		Checkpoints: engine.Checkpoints{Dir: "enginetest", Interval: time.Millisecond}.On(disk),
		Restore:     engine.Resume(),
		Restart:     engine.Restart{None: true},
	})
	if err != nil {
		return false, err
	}
	err = r.Wait()
	if r.Outcome().State == engine.Finished && ctx.Err() != nil {
		err = nil
	}
	return r.Outcome().State == engine.Finished, err
}

// place is the call to storage at which the job is killed. Half of the places are within the first checkpoint or two.
func (w *world) place() int { return 1 + w.rnd.IntN(8<<w.rnd.IntN(5)) }

var errPower = errors.New("no power")

// powerCut fails the n-th call and all after it, and ends the job at once.
func powerCut(disk *vfs.Fault, n int, cut func()) {
	disk.Fail(n, func(vfs.Call) bool {
		if n--; n <= 0 {
			cut()
		}
		return true
	}, vfs.Failure{Err: errPower, Sticky: true})
}

// left is what the disk has kept: one of the states that the power cut may leave behind.
func (w *world) left(crash *vfs.Crash) (left *vfs.Mem) {
	seen, seed := 0, w.rnd.Uint64()
	for _, state := range crash.States(crash.Len(), seed) {
		if seen++; w.rnd.IntN(seen) == 0 {
			left = state
		}
		if seen == 50 {
			break
		}
	}
	if left == nil {
		panic(fmt.Sprintf("enginetest: no state after %d calls", crash.Len()))
	}
	return left
}
