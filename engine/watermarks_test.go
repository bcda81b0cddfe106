package engine_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// lateJob tells which keys came late.
func lateJob(in engine.Source[event], late engine.Sink[string]) *engine.Job {
	job := engine.NewJob("late")
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	w := engine.Window(engine.KeyBy(src, func(e event) string { return e.Key }), engine.Tumbling(time.Minute))
	engine.To(engine.Aggregate(w, "sum", sum{}), "sums", newLog())
	engine.To(engine.Map(w.Late(), func(e event) string { return e.Key }), "late", late)
	return job
}

// TestWatermarksOfSubtasks restores a checkpoint in which one of two subtasks was ahead. Each gets its own watermark back;
// at another parallelism a subtask takes the greatest of those whose keys it has.
func TestWatermarksOfSubtasks(t *testing.T) {
	for _, tt := range []struct{ parallelism, maxParallelism, lateBelow, of int }{
		{2, 0, 64, 128}, {1, 0, 128, 128}, {4, 0, 64, 128}, {3, 0, 86, 128}, {2, 10, 5, 10}, {5, 10, 6, 10},
	} {
		t.Run(fmt.Sprint(tt.parallelism, " of ", tt.of), func(t *testing.T) {
			dir := t.TempDir()
			o := engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: dir}}
			in := newFeed[event](1)
			cp, err := start(t, lateJob(in, newLog()), o).Stop(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			seed := oneAhead(t, cp.Path)
			keyer, err := mmapstate.NewKeyer[string](seed, tt.of)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for i := range 200 {
				k := fmt.Sprint("k", i)
				in.add(0, event{Key: k, At: t0.Add(5 * time.Minute)})
				if int(keyer.Key(&k).Group) < tt.lateBelow {
					want = append(want, k)
				}
			}
			in.end()
			slices.Sort(want)
			o.Parallelism, o.MaxParallelism, o.Restore.Path = tt.parallelism, tt.maxParallelism, cp.Path
			late := newLog()
			if err := lateJob(in, late).Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			equal(t, late.rows(), want)
		})
	}
}

// oneAhead changes a checkpoint of two subtasks: the first has come ten minutes farther. It returns the seed of the hash.
func oneAhead(t *testing.T, path string) uint64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := meta.Decode(path, b)
	if err != nil {
		t.Fatal(err)
	}
	op := &m.Operators[0]
	if len(op.Watermarks) != 0 {
		t.Fatalf("the watermarks of a job that has read nothing are %v", op.Watermarks)
	}
	op.Watermark = t0.UnixNano()
	op.Watermarks = []meta.GroupWatermark{{First: 0, Time: t0.Add(10 * time.Minute).UnixNano()}, {First: 64, Time: op.Watermark}}
	if err := os.WriteFile(path, m.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return m.HashSeed
}
