package enginetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// driver runs a job for a harness: what those of one input and of two have in common. It belongs to the test's goroutine.
type driver[Out any] struct {
	t      testing.TB
	inputs []door
	graph  func(*engine.Job) engine.Stream[Out]
	main   rows[Out]
	sides  []*side[Out]

	steps       []step // all that was done so far
	parallelism int
	over        bool // the input has ended

	clock *Clock
	disk  vfs.FS
	run   *engine.Running // nil after a failure
}

// step is one call of a harness, to be done again if it must start over. It returns when the operator has worked it off.
type step func() error

// begin starts the operator from nothing.
func (d *driver[Out]) begin() error {
	d.close()
	d.clock, d.disk, d.parallelism = NewClock(clockStart), vfs.NewMem(), 1
	for _, in := range d.inputs {
		in.reset()
	}
	d.main.clear()
	for _, s := range d.sides {
		s.clear()
	}
	return d.start()
}

// clockStart is where a harness's clock stands at first.
var clockStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// start starts a job from its newest checkpoint, if there is one.
func (d *driver[Out]) start() (err error) {
	job := engine.NewJob("enginetest")
	d.build(job)
	d.run, err = job.Start(context.Background(), engine.Options{
		Parallelism: d.parallelism,
		Checkpoints: engine.Checkpoints{Dir: "enginetest", Tolerable: -1}.On(d.disk),
		Restore:     engine.Resume(),
		Restart:     engine.Restart{None: true},
		Clock:       d.clock,
	})
	return err
}

// build makes the graph: the inputs, the operator, and what collects its outputs.
func (d *driver[Out]) build(job *engine.Job) {
	out := d.graph(job)
	engine.To(out, "enginetest.out", d.main.sink())
	for _, s := range d.sides {
		s.attach(out)
	}
}

// do takes a step; an error ends the test.
func (d *driver[Out]) do(s step) {
	d.t.Helper()
	d.alive()
	d.must(s())
	d.steps = append(d.steps, s)
}

func (d *driver[Out]) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver[Out]) alive() {
	d.t.Helper()
	switch {
	case d.over:
		d.t.Fatal("the input has ended: make another harness")
	case d.run == nil:
		d.t.Fatal("the operator has failed before: make another harness")
	}
}

// again does everything once more, from the beginning.
func (d *driver[Out]) again() error {
	err := d.begin()
	for _, s := range d.steps {
		if err == nil {
			err = s()
		}
	}
	return err
}

// settle waits until the operator has worked off its inputs, and takes a checkpoint: its barrier follows all records, and
// the timers in processing time that are due.
func (d *driver[Out]) settle() error {
	for _, in := range d.inputs {
		in.drained(d.run.Done())
	}
	_, err := d.run.Checkpoint(context.Background())
	if err == nil {
		return nil
	}
	if failed := d.run.Wait(); failed != nil { // no failure is followed by a restart
		err = failed
	}
	d.run = nil
	return err
}

// push is the step that hands over a record.
func push[Out, T any](d *driver[Out], to *input[T], at time.Time, rec T) step {
	return func() error {
		to.add(at, rec)
		return d.settle()
	}
}

func pushOne[Out, T any](d *driver[Out], to *input[T], at time.Time, rec T) {
	d.t.Helper()
	d.inRange(at)
	d.do(push(d, to, at, rec))
}

// pushBad hands over a record that the operator must fail on, and takes it back: the operator goes on from the checkpoint
// before.
func pushBad[Out, T any](d *driver[Out], to *input[T], at time.Time, rec T) error {
	d.t.Helper()
	d.inRange(at)
	d.alive()
	failed := push(d, to, at, rec)()
	if failed == nil {
		d.t.Fatalf("the operator took the record %+v, which it was to fail on", rec)
	}
	to.takeBack()
	d.must(d.start())
	return failed
}

func (d *driver[Out]) watermark(at time.Time, of ...door) {
	d.t.Helper()
	d.inRange(at)
	for _, in := range of {
		if last := in.watermark(); at.Before(last) {
			d.t.Fatalf("watermark %s is before the last one, %s", at, last)
		}
	}
	d.do(func() error {
		for _, in := range of {
			in.mark(at)
		}
		return d.settle()
	})
}

// inRange refuses times that no record may carry.
func (d *driver[Out]) inRange(at time.Time) {
	d.t.Helper()
	if t := engine.TimeOf(at); t == engine.MinTime || t == engine.MaxTime {
		d.t.Fatalf("time %s is outside the years 1678 to 2261", at)
	}
}

func (d *driver[Out]) advance(by time.Duration) {
	d.t.Helper()
	if by < 0 {
		d.t.Fatalf("the clock was to go back by %s", -by)
	}
	d.do(func() error {
		d.clock.Advance(by)
		return d.settle()
	})
}

func (d *driver[Out]) end() {
	d.t.Helper()
	d.do(func() error {
		for i, in := range d.latestFirst() {
			if i > 0 {
				if err := d.settle(); err != nil {
					return err
				}
			}
			in.end()
		}
		return d.run.Wait()
	})
	d.over = true
}

// latestFirst are the inputs in the order in which they can end so that the operator's time does not move before the last
// one has: until then it is the least of theirs.
func (d *driver[Out]) latestFirst() []door {
	return slices.SortedFunc(slices.Values(d.inputs), func(a, b door) int { return b.watermark().Compare(a.watermark()) })
}

func (d *driver[Out]) rescale(parallelism int) {
	d.t.Helper()
	if parallelism < 1 || parallelism > 128 {
		d.t.Fatalf("parallelism %d: want 1 to 128", parallelism)
	}
	d.do(func() error { return d.restart(parallelism) })
}

func (d *driver[Out]) restart(parallelism int) error {
	_, err := d.run.Stop(context.Background())
	d.run = nil
	if err != nil {
		return err
	}
	d.parallelism = parallelism
	return d.start()
}

// close sees to it that nothing lives on after the test.
func (d *driver[Out]) close() {
	if d.run != nil {
		d.run.Cancel() // how it ends does not matter any more
		d.run = nil
	}
}
