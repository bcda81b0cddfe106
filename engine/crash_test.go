package engine_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// TestEveryCrashOfAWholeJob records every file-system call of a job with several checkpoints and a transactional sink,
// rebuilds what a power cut after each of them may leave, resumes the job there, and compares its whole output.
func TestEveryCrashOfAWholeJob(t *testing.T) {
	const seed = 11
	all := events(400)
	want := wantSums(all)
	disk := vfs.NewCrash()
	recordRun(t, disk, all)
	if got := visible(t, disk.Mem); !slices.Equal(got, want) {
		t.Fatalf("the recorded run itself is wrong: %d rows, want %d", len(got), len(want))
	}
	var states atomic.Int64
	points := make(chan int)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for n := range points {
				for what, left := range disk.States(n, seed) {
					states.Add(1)
					if fault := resume(t, left, all, want, disk.Marked(n)); fault != "" {
						calls := disk.Calls()
						t.Errorf("seed %d, crash after call %d of %d (%s), %s: %s", seed, n, len(calls), calls[max(n, 1)-1], what, fault)
					}
				}
			}
		})
	}
	step := 1
	if testing.Short() {
		step = 8
	}
	for n := 0; n <= disk.Len() && !t.Failed(); n += step {
		points <- n
	}
	close(points)
	workers.Wait()
	t.Logf("%d points, %d states", disk.Len()+1, states.Load())
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

// recordRun runs the job with a checkpoint after every step, and marks what was acknowledged.
func recordRun(t *testing.T, disk *vfs.Crash, all []event) {
	t.Helper()
	gate, reached := make(chan bool), make(chan bool, 1)
	job := crashJob(steps{all, gate}, disk, func(n int64) {
		if n%stepSize == stepSize-1 {
			reached <- true
		}
	})
	r, err := job.Start(t.Context(), engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(disk)})
	if err != nil {
		t.Fatal(err)
	}
	for range len(all) / stepSize {
		gate <- true
		<-reached
		cp, err := r.Checkpoint(t.Context())
		if errors.Is(err, meta.ErrAborted) {
			break // the input has ended, and with it the job
		}
		if err != nil {
			t.Fatal(err)
		}
		disk.Mark(fmt.Sprint(uint64(cp.ID)))
	}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
}

// resume runs the job on what a crash left; it returns what is wrong, if anything is.
func resume(t *testing.T, left *vfs.Mem, all []event, want, acked []string) string {
	t.Helper()
	before := visible(t, left)
	var from engine.Checkpoint
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(left), Restore: engine.Resume()}
	o.Hooks.Restored = func(c engine.Checkpoint) { from = c }
	err := crashJob(steps{all: all}, left, func(int64) {}).Run(t.Context(), o)
	got := visible(t, left)
	switch {
	case errors.Is(err, meta.ErrExists) && slices.Equal(before, want):
		return "" // the run had finished
	case err != nil:
		return err.Error()
	case !slices.Equal(got, want):
		return fmt.Sprintf("%d rows before, %d after, want %d", len(before), len(got), len(want))
	case len(acked) > 0 && from.ID != 0 && fmt.Sprintf("%6d", from.ID) < fmt.Sprintf("%6s", acked[len(acked)-1]):
		return fmt.Sprintf("resumed from checkpoint %d, %s was acknowledged", from.ID, acked[len(acked)-1])
	}
	return ""
}

// visible returns the committed rows, sorted.
func visible(t *testing.T, disk vfs.FS) (rows []string) {
	t.Helper()
	names, err := disk.List("out")
	if err != nil {
		return nil
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "part-") {
			continue
		}
		f, err := disk.Open("out/" + name)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		data, err := io.ReadAll(io.NewSectionReader(f, 0, size))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var s string
			if err := json.Unmarshal(line, &s); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			rows = append(rows, s)
		}
	}
	slices.Sort(rows)
	return rows
}
