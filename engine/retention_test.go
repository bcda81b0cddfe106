package engine_test

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// TestRetention goes through the whole table of what is left when a run ends.
func TestRetention(t *testing.T) {
	errBad := errors.New("bad record")
	endings := map[string]struct {
		state engine.State
		end   func(t *testing.T, r *engine.Running, in *feed[event], lose context.CancelFunc)
		kept  map[engine.Retention]bool
		err   error
	}{
		"finished": {engine.Finished, func(_ *testing.T, _ *engine.Running, in *feed[event], _ context.CancelFunc) { in.end() },
			map[engine.Retention]bool{}, nil},
		"cancelled": {engine.Cancelled, func(t *testing.T, r *engine.Running, _ *feed[event], _ context.CancelFunc) {
			if err := r.Cancel(); err != nil {
				t.Error(err)
			}
		}, map[engine.Retention]bool{engine.RetainOnCancellation: true}, engine.ErrCancelled},
		"stopped": {engine.Stopped, func(t *testing.T, r *engine.Running, _ *feed[event], _ context.CancelFunc) {
			if _, err := r.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}, map[engine.Retention]bool{engine.NoExternalized: true, engine.DeleteOnCancellation: true, engine.RetainOnCancellation: true}, nil},
		"failed": {engine.Failed, func(_ *testing.T, _ *engine.Running, in *feed[event], _ context.CancelFunc) {
			in.add(0, event{Key: "bad", At: t0})
		}, map[engine.Retention]bool{engine.DeleteOnCancellation: true, engine.RetainOnCancellation: true}, errBad},
		"context ended": {engine.Crashed, func(_ *testing.T, _ *engine.Running, _ *feed[event], lose context.CancelFunc) { lose() },
			map[engine.Retention]bool{engine.NoExternalized: true, engine.DeleteOnCancellation: true, engine.RetainOnCancellation: true}, context.Canceled},
	}
	for name, e := range endings {
		for _, mode := range []engine.Retention{engine.NoExternalized, engine.DeleteOnCancellation, engine.RetainOnCancellation} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				dir := t.TempDir()
				in := newFeed[event](1)
				in.add(0, events(100)...)
				job := engine.NewJob("sums")
				src := engine.From(job, "in", in)
				checked := engine.FlatMap(src, func(e event, out engine.Out[event]) error {
					if e.Key == "bad" {
						return engine.Permanent(errBad)
					}
					out.Emit(e)
					return nil
				})
				engine.To(checked, "out", engine.SinkFunc(func(context.Context, []event) error { return nil }))
				ctx, lose := context.WithCancel(t.Context())
				defer lose()
				r, err := job.Start(ctx, engine.Options{Checkpoints: engine.Checkpoints{Dir: dir, Retention: mode}})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
				e.end(t, r, in, lose)
				if err := r.Wait(); !errors.Is(err, e.err) || e.err == nil && err != nil {
					t.Errorf("Wait = %v, want %v", err, e.err)
				}
				out := r.Outcome()
				left, _ := onDisk(t, dir)
				if out.State != e.state || out.Kept != e.kept[mode] || (left > 0) != e.kept[mode] || (out.Checkpoint.Path != "") != e.kept[mode] {
					t.Errorf("%s, kept %t, checkpoint %q, %d on disk; want %s, kept %t", out.State, out.Kept, out.Checkpoint.Path, left, e.state, e.kept[mode])
				}
				if out.Kept {
					resumed, err := sumResume(t, dir)
					if err != nil || resumed != out.Checkpoint.ID {
						t.Errorf("resumed from checkpoint %d (%v), kept was %d", resumed, err, out.Checkpoint.ID)
					}
				}
				noneLeft(t)
			})
		}
	}
}

// sumResume starts a job like the one above on its checkpoints, and says where that began.
func sumResume(t *testing.T, dir string) (from meta.CheckpointID, err error) {
	t.Helper()
	job := engine.NewJob("sums")
	in := newFeed[event](1)
	in.add(0, events(100)...)
	in.end()
	engine.To(engine.From(job, "in", in), "out", engine.SinkFunc(func(context.Context, []event) error { return nil }))
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Restore{Path: engine.Latest}}
	o.Hooks.Restored = func(c engine.Checkpoint) { from = c.ID }
	err = job.Run(t.Context(), o)
	return from, err
}

// TestRefusedStartLeavesAll is the last row of the table.
func TestRefusedStartLeavesAll(t *testing.T) {
	for _, mode := range []engine.Retention{engine.NoExternalized, engine.DeleteOnCancellation, engine.RetainOnCancellation} {
		t.Run(string(mode), func(t *testing.T) {
			dir := t.TempDir()
			r := start(t, sumJob(newFeed[event](1), newLog()), engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}})
			if _, err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			_, err := sumJob(newFeed[event](1), newLog()).Start(t.Context(), engine.Options{Checkpoints: engine.Checkpoints{Dir: dir, Retention: mode}})
			if !errors.Is(err, meta.ErrExists) {
				t.Fatalf("Start = %v, want %v", err, meta.ErrExists)
			}
			if !maps.Equal(tree(t, dir), before) {
				t.Error("the refused start has changed the directory")
			}
			noneLeft(t)
		})
	}
}

// TestSubsumptionWaitsForSinks holds the commits up: the newest checkpoint whose output is visible stays, however many come
// after it, and they do not pile up. When the commits are done only the newest is left.
func TestSubsumptionWaitsForSinks(t *testing.T) {
	dir := t.TempDir()
	gate, begun := make(chan struct{}), make(chan struct{}, 100)
	log := newLog()
	in := newFeed[event](1)
	seen := make(chan struct{}, 100)
	job := engine.NewJob("waits")
	committed := make(chan struct{}, 100)
	pipe(job, "in", in, afterCommit{log, committed}.gated(begun, gate), func(event) { seen <- struct{}{} })
	r := start(t, job, engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}})
	for i := range 6 {
		in.add(0, event{Key: string(rune('a' + i))})
		until(t, "a record", seen)
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "a commit", begun)
	left := ids(t, dir, "waits")
	for deadline := time.Now().Add(30 * time.Second); len(left) > 3 && time.Now().Before(deadline); left = ids(t, dir, "waits") {
		runtime.Gosched() // removal goes on beside the records
	}
	if !slices.Equal(left, []int{1, 2, 7}) {
		t.Errorf("checkpoints %v while nothing is committed, want the first, the one to take its place, and the newest", left)
	}
	close(gate)
	for range 6 {
		until(t, "a commit", committed)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := ids(t, dir, "waits"); !slices.Equal(left, []int{8}) {
		t.Errorf("checkpoints %v after all commits, want the last only", left)
	}
	equal(t, log.rows(), []string{"a", "b", "c", "d", "e", "f"})
}

// ids lists the checkpoints on disk.
func ids(t *testing.T, dir, job string) (list []int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, job, "chk-*", "_metadata"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		id, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(p)), "chk-"))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// gated holds every commit up until the gate is open.
func (l afterCommit) gated(begun chan<- struct{}, gate <-chan struct{}) engine.Sink[string] {
	return gatedLog{l, begun, gate}
}

type gatedLog struct {
	afterCommit
	begun chan<- struct{}
	gate  <-chan struct{}
}

func (l gatedLog) Commit(ctx context.Context, txn engine.Txn) error {
	l.begun <- struct{}{}
	<-l.gate
	return l.afterCommit.Commit(ctx, txn)
}
