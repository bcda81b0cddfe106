package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// frozenJob has a window, state, timers and two sinks. It must not change.
func frozenJob(name string, in engine.Source[event], seen func(event), windows, rows engine.Sink[string]) *engine.Job {
	job := engine.NewJob(name)
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
	told := engine.Map(src, func(e event) event { seen(e); return e })
	byKey := engine.KeyBy(told, func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "windows", windows)
	engine.To(engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, string] {
		n := engine.NewCell[int64](s, "n", engine.TTL(time.Hour))
		last := engine.NewValueState[event](s, "last")
		list := engine.NewListState[int64](s, "list")
		byTen := engine.NewMapState[int64, string](s, "by ten")
		done := engine.NewTimer(s, "done", func(ctx *engine.Context, key string, at engine.Time, out engine.Out[string]) error {
			out.Emit(fmt.Sprintf("%s at %s, has list: %v", key, at, list.Len(ctx) > 0))
			return nil
		})
		return func(ctx *engine.Context, _ string, e event, _ engine.Out[string]) error {
			*n.Ref(ctx)++
			last.Set(ctx, e)
			list.Append(ctx, e.N)
			byTen.Put(ctx, e.N%10, e.Key)
			done.Set(ctx, engine.TimeOf(e.At.Truncate(10*time.Minute).Add(10*time.Minute)))
			return nil
		}
	}), "rows", rows)
	return job
}

const frozenPrefix, frozenAll = 500, 1200 // events

// runFrozen runs the job over the first n events: to its end, or until it has seen them, and then stops it. It returns
// the rows of both sinks.
func runFrozen(t *testing.T, name string, o engine.Options, n int, end bool) []string {
	t.Helper()
	in, windows, rows := newFeed[event](1), newLog(), newLog()
	in.add(0, events(n)...)
	if end {
		in.end()
	}
	seen := make(chan struct{}, frozenAll)
	job := frozenJob(name, in, func(e event) {
		if e.N == int64(n-1) {
			seen <- struct{}{}
		}
	}, windows, rows)
	running, err := job.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !end {
		until(t, "the last event", seen)
		if _, err := running.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := running.Wait(); err != nil {
		t.Fatal(err)
	}
	return append(windows.rows(), rows.rows()...)
}

func freezeJob(t *testing.T, dir string) {
	name := filepath.Base(dir)
	o := engine.Options{Parallelism: 2, MaxParallelism: 2, Args: []string{"--input", "events"},
		Checkpoints: engine.Checkpoints{Dir: filepath.Dir(dir)}}
	if name == "embedded" {
		o.Checkpoints.Backend, o.Parallelism, o.MaxParallelism = engine.Memory(), 1, 1
	}
	runFrozen(t, name, o, frozenPrefix, false)
}

// TestFrozenJob resumes a job from frozen checkpoints: what comes out is what an uninterrupted run has more.
func TestFrozenJob(t *testing.T) {
	want := runFrozen(t, "job", engine.Options{}, frozenAll, true)
	for _, row := range runFrozen(t, "job", engine.Options{}, frozenPrefix, false) {
		i := slices.Index(want, row)
		if i < 0 {
			t.Fatalf("row %q comes before the stop only", row)
		}
		want = slices.Delete(want, i, i+1)
	}
	for _, name := range []string{"job", "embedded"} {
		dir := t.TempDir()
		copyDir(t, filepath.Join(dir, name), filepath.Join(frozenDir, name))
		o := engine.Options{Parallelism: 1, Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Restore{Path: engine.Latest}}
		if got := runFrozen(t, name, o, frozenAll, true); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s goes on with\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// copyDir copies a folder, so that a test may write there.
func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
