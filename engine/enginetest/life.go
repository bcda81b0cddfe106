package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/internal/sim"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// life is one process of a world: it begins with the start of the job and ends with the job, or when it is killed. One
// goroutine drives it: it waits until all others wait, lets one go on, and so on.
type life struct {
	w       *world
	ctx     context.Context
	cut     context.CancelFunc
	crash   *vfs.Crash
	disk    *vfs.Fault
	events  []event // to come, by step
	steps   int
	weights uint64 // of tasks, until they change
	asked   int    // names the next request
	broken  bool   // a call to storage was made to fail

	mu      sync.Mutex // guards the fields below
	luck    *rand.Rand // of the task that goes on
	waiting []*waiter
	arrived chan struct{} // capacity 1: one more waits, or the job has ended
	killed  bool
	stuck   int         // the step from when on a call to storage hangs for ever; 0: none does
	length  int         // of the disk's record, when it was killed
	bad     []*badReads // that this step has come upon
	damaged bool        // some reads gave what is not on the disk
	fault   error
	running *engine.Running // once started
	ended   bool
	outcome engine.Outcome
}

// waiter is a task that waits to go on.
type waiter struct {
	task, what string
	risky      bool
	goOn       chan error
}

// event is something that happens to a job besides its own doing.
type event struct {
	step int
	do   func(*life)
	what string
}

func (w *world) begin() *life {
	o := w.options() // first: it may change the disk
	l := &life{w: w, arrived: make(chan struct{}, 1), crash: vfs.NewCrashFrom(w.disk)}
	l.luck = rand.New(rand.NewPCG(w.rnd.Uint64(), 1))
	l.weights = w.rnd.Uint64()
	l.disk = vfs.NewFault(l.crash)
	l.ctx, l.cut = context.WithCancel(sim.With(context.Background(), l))
	if c := w.comeback; c != nil {
		o.Hooks.Restored = func(engine.Checkpoint) { c.worked = true }
	}
	o.Hooks.Checkpoint = l.completed
	o.Checkpoints = o.Checkpoints.On(l.disk)
	w.tell("a life at parallelism %d of %d", o.Parallelism, o.MaxParallelism)
	l.draw()
	l.watchDisk()
	go l.main(o)
	return l
}

// main runs the job.
func (l *life) main(o engine.Options) {
	const task = "the job"
	l.Step(task, "starts")
	job := engine.NewJob(jobName)
	l.w.graph(job)
	r, err := job.Start(l.ctx, o)
	if err != nil {
		l.Step(task, "is refused")
		l.end(engine.Outcome{State: engine.Failed, Err: err})
		return
	}
	l.Step(task, "has started")
	l.mu.Lock()
	l.running = r
	l.mu.Unlock()
	<-r.Done()
	s := r.Stats()
	l.Step(task, fmt.Sprintf("has %s with %d restarts and %d checkpoints, %d evictions", r.Outcome().State, s.Restarts, s.Completed, s.Evictions))
	l.w.sum.Restarts += s.Restarts
	l.w.sum.Evictions += int(s.Evictions)
	l.w.sum.Checkpoints += int(s.Completed)
	l.end(r.Outcome())
}

// completed notes a checkpoint that somebody may go back to.
func (l *life) completed(cp engine.Checkpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.killed {
		l.w.own[cp.ID] = true
	}
}

func (l *life) end(o engine.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.outcome = true, o
	l.ring()
}

func (l *life) ring() {
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// drive lets the life happen. The error is what is wrong with the job.
func (l *life) drive() error {
	err := l.course()
	if err != nil {
		l.kill("it has failed")
	}
	l.finish()
	l.w.sum.Steps += l.steps
	switch {
	case err != nil:
		return err
	case l.fault != nil:
		return l.fault
	case l.killed:
		l.w.sum.Kills++
		return nil
	case l.outcome.Err != nil && !l.meant(l.outcome.Err):
		return l.outcome.Err
	}
	return nil
}

// meant says whether an error is what the world has done to the job.
func (l *life) meant(err error) bool {
	late := l.running == nil && errors.Is(err, meta.ErrAborted) // the first checkpoint took too long
	damaged := l.damaged && errors.Is(err, meta.ErrDamaged)
	own := l.w.comeback != nil && l.running == nil && l.w.comeback.own(err)
	return own || late || damaged || errors.Is(err, errInjected) || errors.Is(err, engine.ErrCancelled)
}

// finish waits until everything of the life has ended.
func (l *life) finish() {
	for l.mu.Lock(); !l.ended; l.mu.Lock() {
		l.mu.Unlock()
		<-l.arrived
	}
	l.mu.Unlock()
	l.cut()
	l.free()
	synctest.Wait()
}

// manySteps is more than any life takes.
const manySteps = 500_000

// course is the life until the job has ended or is killed.
func (l *life) course() error {
	for {
		synctest.Wait()
		l.tellReads()
		l.mu.Lock()
		ended, fault := l.ended || l.killed, l.fault
		slices.SortFunc(l.waiting, func(a, b *waiter) int { return strings.Compare(a.task, b.task) })
		nobody := len(l.waiting) == 0
		l.mu.Unlock()
		switch {
		case ended || fault != nil:
			return fault
		case l.steps == manySteps:
			return fmt.Errorf("the job has not come to its end in %d steps", manySteps)
		case l.happens():
		case l.givenUp(patience):
		case nobody:
			if !l.sleep() && !l.givenUp(0) {
				return fmt.Errorf("nothing happens any more:\n%s", stacks())
			}
		case l.w.rnd.IntN(24) == 0:
			l.pass(time.Microsecond << l.w.rnd.IntN(16))
		default:
			l.goOn(l.choose())
		}
	}
}

// patience is how many steps somebody looks at storage that hangs before the process is killed.
const patience = 1000

// givenUp kills the process if storage has hung for some steps, and will for ever.
func (l *life) givenUp(steps int) bool {
	l.mu.Lock()
	over := l.stuck > 0 && l.steps >= l.stuck+steps
	l.mu.Unlock()
	if over {
		l.kill("storage hangs")
	}
	return over
}

// sleep lets time pass until something happens.
func (l *life) sleep() bool {
	t := time.NewTimer(longTime / 2)
	defer t.Stop()
	select {
	case <-l.arrived:
		return true
	case <-t.C:
		return false
	}
}

// pass lets time pass while tasks wait.
func (l *life) pass(d time.Duration) {
	l.steps++
	l.mu.Lock() // whoever time wakes comes after this
	l.w.tell("%s pass", d)
	l.mu.Unlock()
	time.Sleep(d)
}

// choose takes one of those that wait. Some tasks are slow for a while.
func (l *life) choose() *waiter {
	if l.w.rnd.IntN(100) == 0 {
		l.weights = l.w.rnd.Uint64()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	total := 0
	for _, x := range l.waiting {
		total += l.weight(x)
	}
	at := l.w.rnd.IntN(total)
	for i, x := range l.waiting {
		if at -= l.weight(x); at < 0 {
			l.waiting = slices.Delete(l.waiting, i, i+1)
			return x
		}
	}
	panic("unreachable")
}

func (l *life) weight(x *waiter) int {
	h := l.weights
	for i := range len(x.task) {
		h = (h ^ uint64(x.task[i])) * 0x100000001b3
	}
	return 1 << (h >> 32 % 6)
}

func (l *life) goOn(x *waiter) {
	var err error
	if x.risky && l.w.faults > l.w.sum.Faults && l.w.rnd.IntN(40) == 0 {
		l.w.sum.Faults++
		err = fmt.Errorf("%w: %s, before it %s", errInjected, x.task, x.what)
		l.w.tell("%s fails before it %s", x.task, x.what)
	} else {
		l.w.tell("%s %s", x.task, x.what)
	}
	l.steps++
	x.goOn <- err
}

func (l *life) wait(task, what string, risky bool) error {
	l.mu.Lock()
	if l.killed || l.ended {
		l.mu.Unlock()
		return errPower
	}
	x := &waiter{task, what, risky, make(chan error, 1)}
	if l.fault == nil && slices.ContainsFunc(l.waiting, func(o *waiter) bool { return o.task == task }) {
		l.fault = fmt.Errorf("two tasks are called %q", task)
	}
	l.waiting = append(l.waiting, x)
	l.ring()
	l.mu.Unlock()
	return <-x.goOn
}

// Step implements sim.World.
func (l *life) Step(task, what string) { l.wait(task, what, false) }

// Risk implements sim.World.
func (l *life) Risk(task, what string) error { return l.wait(task, what, true) }

// Note implements sim.World.
func (l *life) Note(task, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.killed {
		l.w.tell("    %s", what)
	}
}

// Number implements sim.World.
func (l *life) Number() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.luck.Uint64()
}

// kill ends the life between two steps. What goes on of it can do nothing any more.
func (l *life) kill(why string) {
	l.disk.Fail(1, nil, vfs.Failure{Err: errPower, Sticky: true})
	l.die(why)
}

// die ends the life at this moment. It is for what fails all calls to storage from now on.
func (l *life) die(why string) {
	l.mu.Lock()
	dead := l.killed
	if !dead {
		l.w.tell("the process is killed: %s", why)
		l.killed, l.length = true, l.crash.Len()
	}
	l.mu.Unlock()
	if dead {
		return
	}
	l.cut()
	l.free()
}

// free lets all go on.
func (l *life) free() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.waiting {
		x.goOn <- errPower
	}
	l.waiting = nil
	l.ring()
}

// left is the disk after the life: as it is, or if it was killed one of the states that the power cut may leave behind.
func (l *life) left() (left *vfs.Mem) {
	if !l.killed {
		return l.crash.Mem
	}
	seen, seed, kept := 0, l.w.rnd.Uint64(), ""
	for what, state := range l.crash.States(l.length, seed) {
		if seen++; l.w.rnd.IntN(seen) == 0 {
			left, kept = state, what
		}
		if seen == 50 {
			break
		}
	}
	if left == nil {
		panic(fmt.Sprintf("enginetest: no state after %d calls", l.length))
	}
	l.w.tell("the disk keeps: %s", kept)
	return left
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
