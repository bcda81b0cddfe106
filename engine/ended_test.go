package engine_test

import (
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// TestRestoreBehindAnEnd: an operator that has seen the end of its input says so again after a restore, so that what reads
// it and another source comes to the end of time.
func TestRestoreBehindAnEnd(t *testing.T) {
	all := events(20)
	in, log := newFeed[event](1), newLog()
	o := engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: t.TempDir()}, Restore: engine.Resume()}
	build := func() *engine.Job {
		job := engine.NewJob("ended")
		times := engine.EventTime(atOf, engine.Monotonous())
		key := func(e event) string { return e.Key }
		short := engine.From(job, "short", engine.SliceSource(all[:10]...), times)
		passed := engine.Process(engine.KeyBy(short, key), "pass", func(s *engine.Setup) engine.Func[string, event, event] {
			n := engine.NewCell[int64](s, "n")
			return func(ctx *engine.Context, _ string, e event, out engine.Out[event]) error {
				*n.Ref(ctx)++
				out.Emit(e)
				return nil
			}
		})
		both := engine.Union(passed, engine.From[event](job, "long", in, times))
		engine.To(engine.Aggregate(engine.Window(engine.KeyBy(both, key), engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", log)
		return job
	}
	r := start(t, build(), o)
	readAll(t, r, 10)
	readAll(t, r, 0)
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.add(0, all[10:]...)
	in.end()
	if err := build().Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), wantSums(all))
}
