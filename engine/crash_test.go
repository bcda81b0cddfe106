package engine_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

// crashRuns are whole jobs that lose power everywhere: each runs as the phases say, one after the other, and is resumed at
// another parallelism after the cut.
var crashRuns = []struct {
	name   string
	phases []int // the parallelism of each run; all but the last are stopped
	resume int
	stop   func(*engine.Running, context.Context) (engine.Checkpoint, error)
}{
	{"two-phase sink commit", []int{1}, 1, (*engine.Running).Stop},
	{"rescale", []int{1, 2}, 3, (*engine.Running).Stop},
	{"savepoint of a job", []int{1, 1}, 1, func(r *engine.Running, ctx context.Context) (engine.Checkpoint, error) {
		return r.StopWithSavepoint(ctx, savepointFolder)
	}},
}

const savepointFolder = "saved/once"

// TestCrashOfAWholeJob records every file-system call of a job with several checkpoints and a transactional sink,
// rebuilds what a power cut after each of them may leave, resumes the job there, and compares its whole output.
func TestCrashOfAWholeJob(t *testing.T) {
	for _, tt := range crashRuns {
		t.Run(tt.name, func(t *testing.T) {
			tally := vfstest.NewTally(t, "crash", tt.name)
			all := events(400)
			for i := range all { // a window ends in every step
				all[i].At = t0.Add(time.Duration(3*i) * time.Second)
			}
			want := wantSums(all)
			disk := vfs.NewCrash()
			recordRun(t, disk, all, tt.phases, tt.stop)
			if got, err := visible(disk.Mem); err != nil || !slices.Equal(got, want) {
				t.Fatalf("the recorded run itself is wrong: %d rows, want %d, %v", len(got), len(want), err)
			}
			power := vfstest.Crashes{Disk: disk, Seed: 11, Sample: 20}
			power.Check(tally, func(left *vfs.Mem, acked []string) error {
				err := wholeSavepoint(t.Context(), left, slices.Contains(acked, savepointFolder))
				acked = slices.DeleteFunc(slices.Clone(acked), func(mark string) bool { return mark == savepointFolder })
				return errors.Join(err, resume(t.Context(), left, all, want, acked, tt.resume))
			})
		})
	}
}

// steps is a source that gives stepSize records at a time, each time it is let if there is a gate.
type steps struct {
	all  []event
	gate <-chan bool
}

const stepSize = 100

func (s steps) Splits(context.Context) ([]engine.Split, bool, error) {
	return []engine.Split{{ID: "steps"}}, true, nil
}

func (s steps) Open(_ context.Context, _ engine.Split, from engine.Position) (engine.Reader[event], error) {
	at, err := strconv.Atoi(cmp.Or(string(from), "0"))
	return &stepReader{steps: s, at: at}, err
}

type stepReader struct {
	steps
	at int
}

func (r *stepReader) Read(ctx context.Context, b *engine.Batch[event]) error {
	if r.at == len(r.all) {
		return io.EOF
	}
	if r.gate != nil {
		select {
		case <-r.gate:
		case <-ctx.Done():
			return nil
		}
	}
	for range stepSize {
		*b.Next() = r.all[r.at]
		r.at++
	}
	return nil
}

func (r *stepReader) Position() engine.Position { return engine.Position(strconv.Itoa(r.at)) }
func (r *stepReader) Close() error              { return nil }

// crashJob passes the number of every record to at, before the record is counted.
func crashJob(in steps, disk vfs.FS, at func(int64)) *engine.Job {
	job := engine.NewJob("sums")
	src := engine.From(job, "in", in,
		engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
	seen := engine.Map(src, func(e event) event { at(e.N); return e })
	byKey := engine.KeyBy(seen, func(e event) string { return e.Key })
	sums := engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{})
	engine.To(sums, "out", file.JSONLinesSink[string]("out", file.OnFS(disk), file.RequireEmpty()))
	return job
}

// recordRun runs the job phase after phase, with a checkpoint after every step, and marks what was acknowledged.
func recordRun(t *testing.T, disk *vfs.Crash, all []event, phases []int, stop func(*engine.Running, context.Context) (engine.Checkpoint, error)) {
	t.Helper()
	perPhase := len(all) / stepSize / len(phases)
	for i, parallelism := range phases {
		gate, reached := make(chan bool), make(chan bool, 1)
		job := crashJob(steps{all, gate}, disk, func(n int64) {
			if n%stepSize == stepSize-1 {
				reached <- true
			}
		})
		o := crashOptions(disk, parallelism)
		r, err := job.Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for range perPhase {
			step(t, r, gate, reached)
			cp, err := r.Checkpoint(t.Context())
			if errors.Is(err, meta.ErrAborted) {
				break // the input has ended, and with it the job
			}
			if err != nil {
				t.Fatal(err)
			}
			disk.Mark(fmt.Sprint(uint64(cp.ID)))
		}
		if i < len(phases)-1 {
			cp, err := stop(r, t.Context())
			if err != nil {
				t.Fatal(err)
			}
			disk.Mark(fmt.Sprint(uint64(cp.ID)))
			_, saved := disk.List(savepointFolder)
			if saved == nil {
				disk.Mark(savepointFolder)
			}
			continue
		}
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// step lets the source give one step and waits until its last record has come through; a job that ends before it fails the test.
func step(t *testing.T, r *engine.Running, gate chan<- bool, reached <-chan bool) {
	t.Helper()
	select {
	case gate <- true:
	case <-r.Done():
		t.Fatalf("the job ended before its next step: %v", r.Wait())
	}
	select {
	case <-reached:
	case <-r.Done(): // maybe behind the last step
		if len(reached) == 0 {
			t.Fatalf("the job ended within a step: %v", r.Wait())
		}
		<-reached
	}
}

// wholeSavepoint wants the savepoint to be whole, if it can be seen or was promised.
func wholeSavepoint(ctx context.Context, left vfs.FS, promised bool) error {
	c, err := snapshotter.Load(savepointFolder, snapshotter.LoadOptions{FS: left})
	if errors.Is(err, meta.ErrNotFound) && !promised {
		return nil
	}
	if err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	defer c.Close()
	return c.Verify(ctx, nil)
}

func crashOptions(disk vfs.FS, parallelism int) engine.Options {
	return engine.Options{
		Checkpoints: engine.Checkpoints{Dir: "state"}.On(disk), Restore: engine.Resume(),
		Parallelism: parallelism, MaxParallelism: 8, Restart: engine.Restart{None: true},
	}
}

// resume runs the job on what a crash left; it returns what is wrong, if anything is.
func resume(ctx context.Context, left *vfs.Mem, all []event, want, acked []string, parallelism int) error {
	before, err := visible(left)
	if err != nil {
		return err
	}
	var from engine.Checkpoint
	o := crashOptions(left, parallelism)
	o.Hooks.Restored = func(c engine.Checkpoint) { from = c }
	err = crashJob(steps{all: all}, left, func(int64) {}).Run(ctx, o)
	got, readErr := visible(left)
	switch {
	case errors.Is(err, meta.ErrExists) && slices.Equal(before, want):
		return nil // the run had finished
	case err != nil || readErr != nil:
		return errors.Join(err, readErr)
	case !slices.Equal(got, want):
		return fmt.Errorf("%d rows before, %d after, want %d", len(before), len(got), len(want))
	case len(acked) > 0 && fmt.Sprintf("%6d", from.ID) < fmt.Sprintf("%6s", acked[len(acked)-1]):
		return fmt.Errorf("resumed from checkpoint %d, %s was acknowledged", from.ID, acked[len(acked)-1])
	}
	return nil
}

// visible returns the committed rows, sorted.
func visible(disk vfs.FS) (rows []string, err error) {
	names, err := disk.List("out")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "part-") {
			continue
		}
		more, readErr := rowsOf(disk, "out/"+name)
		rows, err = append(rows, more...), errors.Join(err, readErr)
	}
	slices.Sort(rows)
	return rows, err
}

func rowsOf(disk vfs.FS, name string) (rows []string, err error) {
	f, err := disk.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(io.NewSectionReader(f, 0, size)); ; {
		var s string
		if err := d.Decode(&s); err != nil {
			if err == io.EOF {
				err = nil
			}
			return rows, err
		}
		rows = append(rows, s)
	}
}
