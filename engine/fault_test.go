package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/snapshotter/vfs"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

// TestFaultInAWholeJob fails every storage call of a job with checkpoints and a transactional sink, once or from then on.
// The job ends with the right rows, or with an error that says what storage said; what was acknowledged stays, and with
// storage healed the job is resumed and ends with the right rows.
func TestFaultInAWholeJob(t *testing.T) {
	all := events(3 * stepSize)
	for i := range all { // a window ends in every step
		all[i].At = t0.Add(time.Duration(3*i) * time.Second)
	}
	tally := vfstest.NewTally(t, "faults", "two-phase sink commit")
	for _, fault := range vfstest.Faults() {
		fault.EveryCall(tally, func(arm func(*vfs.Fault)) error { return faultedJob(t.Context(), fault.How.Err, arm, all) })
	}
	noneLeft(t)
}

func faultedJob(ctx context.Context, cause error, arm func(*vfs.Fault), all []event) error {
	want := wantSums(all)
	mem := vfs.NewMem()
	disk := vfs.NewFault(mem)
	arm(disk)
	acked, err := runOnFaults(ctx, disk, all)
	if err != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w does not say %w", err, cause)
	}
	if got, readErr := visible(mem); err == nil && !slices.Equal(got, want) {
		return fmt.Errorf("finished with %d rows, want %d, %v", len(got), len(want), readErr)
	}
	disk.Heal()
	return resume(ctx, mem, all, want, acked, 1)
}

// healer heals a disk once a commit has failed on it: commits are repeated until they succeed, so the job would wait.
type healer struct {
	slog.Handler
	disk *vfs.Fault
}

func (h healer) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "commit is repeated" {
		h.disk.Heal()
	}
	return nil
}

// runOnFaults runs the job with a checkpoint after every step, lets checkpoints fail, and returns the acknowledged ones.
func runOnFaults(ctx context.Context, disk *vfs.Fault, all []event) (acked []string, err error) {
	gate, reached := make(chan bool), make(chan bool, 1)
	job := crashJob(steps{all, gate}, disk, func(n int64) {
		if n%stepSize == stepSize-1 {
			reached <- true
		}
	})
	o := crashOptions(disk, 1)
	o.Logger = slog.New(healer{slog.NewTextHandler(io.Discard, nil), disk})
	o.Checkpoints.Tolerable = 1000
	r, err := job.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	for range len(all) / stepSize {
		select {
		case gate <- true:
		case <-r.Done():
			return acked, r.Wait()
		}
		select {
		case <-reached:
		case <-r.Done():
			return acked, r.Wait()
		}
		if cp, err := r.Checkpoint(ctx); err == nil {
			acked = append(acked, fmt.Sprint(uint64(cp.ID)))
		}
	}
	return acked, r.Wait()
}
