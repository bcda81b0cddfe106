package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// spread says in how many subtasks the operators of a spreadJob run.
type spread struct{ source, checked, dealt, sums, out int }

// spreadJob has operators of any parallelism in a row, and what records do between them: they are forwarded, dealt out, and
// go by key.
func spreadJob(p spread, in engine.Source[event], check func(event) error, out engine.Sink[string]) *engine.Job {
	job := engine.NewJob("spread")
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Hour))).Parallelism(p.source)
	checked := engine.FlatMap(src, func(e event, out engine.Out[event]) error {
		out.Emit(e)
		return check(e)
	}).Parallelism(p.checked)
	dealt := engine.Filter(engine.Rebalance(checked).Parallelism(p.dealt), func(event) bool { return true })
	byKey := engine.KeyBy(dealt, func(e event) string { return e.Key })
	sums := engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}).Parallelism(p.sums)
	engine.To(engine.Map(sums, func(s string) string { return s }).Parallelism(p.out), "out", out)
	return job
}

// TestParallelismChanges stops and resumes a job whose operators run in 1, 2, 3 and 4 subtasks, and then in others.
func TestParallelismChanges(t *testing.T) {
	all := events(8_000)
	in, out := newFeed[event](3), newLog()
	o := engine.Options{Parallelism: 2, Restart: quick(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}}
	for stage, p := range []spread{{1, 2, 3, 4, 1}, {4, 3, 2, 1, 2}, {2, 4, 1, 3, 3}, {3, 1, 4, 2, 4}} {
		reached := make(chan struct{})
		last := 2_000 * (stage + 1)
		job := spreadJob(p, in, func(e event) error {
			if e.N == int64(last)-1 {
				close(reached)
			}
			return nil
		}, out)
		o.Restore = engine.Resume()
		r := start(t, job, o)
		for i, e := range all[last-2_000 : last] {
			in.add(i%3, e)
		}
		if last == len(all) {
			in.end()
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			break
		}
		until(t, "the last record of the part", reached)
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, out.rows(), wantSums(all))
}

// TestRandomParallelism is TestRandomJobs for a job whose operators run in as many subtasks as chance has it, in others
// after each stop.
func TestRandomParallelism(t *testing.T) {
	for seed := range seeds(40, 8) {
		rnd := rand.New(rand.NewPCG(seed, 19))
		d := &dice{rnd: rand.New(rand.NewPCG(seed, 20))}
		all := events(200 + rnd.IntN(1_500))
		in, out := newFeed[event](1+rnd.IntN(3)), newLog()
		for _, e := range all {
			s := rnd.IntN(len(in.recs))
			in.recs[s] = append(in.recs[s], e)
		}
		in.ended = true
		n := func() int { return 1 + rnd.IntN(3) }
		build := func() *engine.Job {
			return spreadJob(spread{n(), n(), n(), n(), n()}, in, func(event) error {
				if d.oneIn(1500) {
					return errors.New("injected")
				}
				return nil
			}, flakyLog(d, out))
		}
		if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if want := wantSums(all); !slices.Equal(out.rows(), want) {
			t.Fatalf("seed %d: %d windows, want %d", seed, len(out.rows()), len(want))
		}
	}
	noneLeft(t)
}

// shares is a sink that keeps the records of each subtask, in order.
type shares struct {
	engine.AtLeastOnce
	mu    *sync.Mutex
	tasks []engine.Task
	recs  map[int][]event // by subtask
}

func newShares() *shares { return &shares{mu: new(sync.Mutex), recs: map[int][]event{}} }

func (s *shares) Open(_ context.Context, t engine.Task) (engine.Writer[event], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks = append(s.tasks, t)
	return sharesWriter{s, t.Index}, nil
}

type sharesWriter struct {
	*shares
	index int
}

func (w sharesWriter) Write(_ context.Context, batch []event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recs[w.index] = append(w.recs[w.index], batch...)
	return nil
}

func (w sharesWriter) Prepare(context.Context, uint64) (engine.Txn, error) { return nil, nil }
func (w sharesWriter) Close() error                                        { return nil }

// TestRebalanceDealsEvenly: every subtask gets as many records, whatever the splits have.
func TestRebalanceDealsEvenly(t *testing.T) {
	const records, subtasks = 3_000, 3
	out := newShares()
	job := engine.NewJob("even")
	src := engine.From(job, "in", engine.SliceSource(events(records)...))
	engine.To(engine.Rebalance(src), "out", engine.Sink[event](out))
	if err := job.Run(t.Context(), engine.Options{Parallelism: subtasks}); err != nil {
		t.Fatal(err)
	}
	for i := range subtasks {
		if n := len(out.recs[i]); n != records/subtasks {
			t.Errorf("subtask %d has %d records, want %d", i, n, records/subtasks)
		}
	}
	for _, task := range out.tasks {
		if task.Parallelism != subtasks {
			t.Errorf("a sink of parallelism %d, want %d", task.Parallelism, subtasks)
		}
	}
}

// TestUnequalParallelismDeals: a stream that is read at another parallelism is dealt out evenly, too.
func TestUnequalParallelismDeals(t *testing.T) {
	const records = 4_000
	out := newShares()
	job := engine.NewJob("even")
	src := engine.From(job, "in", engine.SliceSource(events(records)...)).Parallelism(1)
	engine.To(engine.Map(src, func(e event) event { return e }).Parallelism(4), "out", engine.Sink[event](out))
	if err := job.Run(t.Context(), engine.Options{Parallelism: 2}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if n := len(out.recs[i]); n != records/4 {
			t.Errorf("subtask %d has %d records, want %d", i, n, records/4)
		}
	}
}

// TestForwardedOrder: records that are forwarded stay in their subtask and in order, also from task to task.
func TestForwardedOrder(t *testing.T) {
	const splits = 3
	in, other, out := newFeed[event](splits), newFeed[event](1), newShares()
	for i, e := range events(6_000) {
		e.Key = fmt.Sprint(i % splits)
		in.recs[i%splits] = append(in.recs[i%splits], e)
	}
	in.ended, other.ended = true, true
	job := engine.NewJob("order")
	a := engine.Map(engine.From[event](job, "a", in), func(e event) event { return e })
	both := engine.Union(a, engine.From[event](job, "b", other))
	engine.To(engine.Filter(both, func(event) bool { return true }), "out", engine.Sink[event](out))
	if err := job.Run(t.Context(), engine.Options{Parallelism: splits}); err != nil {
		t.Fatal(err)
	}
	for i := range splits {
		if !slices.Equal(out.recs[i], in.recs[i]) {
			t.Errorf("subtask %d has other records than split %d, or in another order", i, i)
		}
	}
}

// TestParallelismAboveMaximum is refused with the name of each operator that wants too much.
func TestParallelismAboveMaximum(t *testing.T) {
	job := engine.NewJob("much")
	src := engine.From(job, "in", engine.SliceSource(events(1)...)).Parallelism(200)
	engine.To(engine.Map(src, func(e event) event { return e }).Parallelism(5), "out", nowhere[event]())
	_, err := job.Start(t.Context(), engine.Options{MaxParallelism: 4})
	contains(t, err, `source "in": parallelism 200, max parallelism 4`, "map at engine/parallelism_test.go", "parallelism 5, max parallelism 4")
}
