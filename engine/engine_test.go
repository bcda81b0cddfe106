package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// log is a transactional sink in memory: rows show only when they are committed.
type txnLog struct {
	mu        sync.Mutex
	prepared  map[string][]string
	committed []string
	next      int
}

func newLog() *txnLog { return &txnLog{prepared: map[string][]string{}} }

func (l *txnLog) Recover(ctx context.Context, t engine.Task, prepared []engine.Txn) error {
	for _, txn := range prepared {
		if err := l.Commit(ctx, txn); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.prepared)
	return nil
}

func (l *txnLog) Open(context.Context, engine.Task) (engine.Writer[string], error) {
	return &logWriter{log: l}, nil
}

func (l *txnLog) Commit(_ context.Context, txn engine.Txn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed = append(l.committed, l.prepared[string(txn)]...)
	delete(l.prepared, string(txn))
	return nil
}

func (l *txnLog) rows() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.committed))
}

type logWriter struct {
	log  *txnLog
	rows []string
}

func (w *logWriter) Write(_ context.Context, batch []string) error {
	w.rows = append(w.rows, batch...)
	return nil
}

func (w *logWriter) Prepare(context.Context, uint64) (engine.Txn, error) {
	if len(w.rows) == 0 {
		return nil, nil
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.next++
	id := fmt.Sprint(w.log.next)
	w.log.prepared[id] = w.rows
	w.rows = nil
	return engine.Txn(id), nil
}

func (w *logWriter) Close() error { return nil }

type event struct {
	Key string
	N   int64
	At  time.Time
}

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func events(n int) []event {
	all := make([]event, n)
	for i := range all {
		all[i] = event{Key: fmt.Sprintf("k%d", i%17), N: int64(i), At: t0.Add(time.Duration(i) * time.Second)}
	}
	return all
}

type sum struct{}
type sumAcc struct{ N, Sum int64 }

func (sum) Add(a *sumAcc, e event)          { a.N++; a.Sum += e.N }
func (sum) Merge(into *sumAcc, from sumAcc) { into.N += from.N; into.Sum += from.Sum }
func (sum) Result(k string, w engine.Span, a sumAcc) string {
	return fmt.Sprintf("%s %s %d %d", k, w.Start, a.N, a.Sum)
}

func sumGraph(job *engine.Job, in engine.Source[event], out engine.Sink[string]) {
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", out)
}

func wantSums(all []event) []string {
	type kw struct {
		k string
		w time.Time
	}
	accs := map[kw]sumAcc{}
	for _, e := range all {
		a := accs[kw{e.Key, e.At.Truncate(5 * time.Minute)}]
		sum{}.Add(&a, e)
		accs[kw{e.Key, e.At.Truncate(5 * time.Minute)}] = a
	}
	var rows []string
	for k, a := range accs {
		rows = append(rows, sum{}.Result(k.k, engine.Span{Start: engine.TimeOf(k.w)}, a))
	}
	slices.Sort(rows)
	return rows
}

func TestWindowAggregate(t *testing.T) {
	for _, p := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			all := events(20_000)
			out := newLog()
			job := engine.NewJob("sums")
			sumGraph(job, engine.SliceSource(all...), out)
			if err := job.Run(t.Context(), engine.Options{Parallelism: p}); err != nil {
				t.Fatal(err)
			}
			equal(t, out.rows(), wantSums(all))
		})
	}
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("got %d rows, want %d", len(got), len(want))
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("row %d: got %s, want %s", i, got[i], want[i])
		}
	}
}

// TestRestartIsExactlyOnce fails the job at records of its own choosing, with checkpoints as fast as they can be taken.
func TestRestartIsExactlyOnce(t *testing.T) {
	for _, p := range []int{1, 2} {
		t.Run(fmt.Sprintf("parallelism=%d", p), func(t *testing.T) {
			all := events(30_000)
			var mu sync.Mutex
			failAt := map[int64]bool{3_000: true, 11_000: true, 11_001: true, 29_999: true}
			out := newLog()
			job := engine.NewJob("sums")
			src := engine.From(job, "in", engine.SliceSource(all...),
				engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
			checked := engine.FlatMap(src, func(e event, out engine.Out[event]) error {
				mu.Lock()
				defer mu.Unlock()
				if failAt[e.N] {
					delete(failAt, e.N)
					return errors.New("injected")
				}
				out.Emit(e)
				return nil
			})
			byKey := engine.KeyBy(checked, func(e event) string { return e.Key })
			engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", out)
			r, err := job.Start(t.Context(), engine.Options{
				Parallelism: p,
				Checkpoints: engine.Checkpoints{Interval: time.Millisecond},
				Restart:     engine.Restart{InitialDelay: time.Millisecond, MaxDelay: time.Millisecond},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			if n := r.Stats().Restarts; n != 4 {
				t.Errorf("restarts = %d, want 4", n)
			}
			if n := r.Stats().RecordsIn; n != int64(len(all)) {
				t.Errorf("records counted = %d, want %d", n, len(all))
			}
			equal(t, out.rows(), wantSums(all))
		})
	}
}

// TestStopAndResume stops a job in the middle twice, and resumes it at another parallelism each time.
func TestStopAndResume(t *testing.T) {
	dir := t.TempDir()
	all := events(40_000)
	in, out := newFeed[event](1), newLog()
	reached := make(chan struct{}, 2)
	build := func() *engine.Job {
		job := engine.NewJob("sums")
		src := engine.From(job, "in", in,
			engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
		seen := engine.Map(src, func(e event) event {
			if e.N == 19_999 || e.N == 29_999 {
				reached <- struct{}{}
			}
			return e
		})
		byKey := engine.KeyBy(seen, func(e event) string { return e.Key })
		engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", out)
		return job
	}
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}}
	for i, part := range [][]event{all[:20_000], all[20_000:30_000]} {
		o.Parallelism = i + 1
		r := start(t, build(), o)
		in.add(0, part...)
		until(t, "the last record of the part", reached)
		cp, err := r.Stop(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Outcome(); got.State != engine.Stopped || !got.Kept || !strings.HasSuffix(cp.Path, "_metadata") {
			t.Fatalf("outcome %+v, checkpoint %+v", got, cp)
		}
		o.Restore = engine.Restore{Path: cp.Path}
	}
	in.add(0, all[30_000:]...)
	in.end()
	o.Parallelism = 3
	if err := build().Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	equal(t, out.rows(), wantSums(all))
}
