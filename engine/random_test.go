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

// TestRandomJobs runs random input through a job with everything in it. Records fail, sinks fail before and after they
// have committed, storage fails, checkpoints come at random moments, the job is stopped and resumed at another
// parallelism, another maximum of it, and with another backend. What is committed in the end is what a batch makes of the same input.
func TestRandomJobs(t *testing.T) {
	eachSeed(t, 100, 15, randomJob)
}

// eachSeed runs a test for many seeds, with -short for few. Nothing of the jobs may be left after it.
func eachSeed(t *testing.T, many, few uint64, run func(*testing.T, uint64) error) {
	t.Helper()
	for seed := range seeds(many, few) {
		if fault := run(t, seed); fault != nil {
			t.Fatalf("seed %d: %v", seed, fault)
		}
	}
	noneLeft(t)
}

// seeds says how many seeds a test takes: many, with -short few.
func seeds(many, few uint64) uint64 {
	if testing.Short() {
		return few
	}
	return many
}

// dice are random choices that any goroutine may ask for.
type dice struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func (d *dice) oneIn(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rnd.IntN(n) == 0
}

func randomJob(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 9))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 10))}
	all := make([]event, 200+rnd.IntN(2_000))
	for i := range all { // out of order by less than the bound of a minute
		all[i] = event{Key: fmt.Sprint("k", rnd.IntN(1+rnd.IntN(30))), N: int64(i), At: t0.Add(time.Duration(i)*time.Second - time.Duration(rnd.IntN(60))*time.Second)}
	}
	in := newFeed[event](1 + rnd.IntN(3))
	for _, e := range all {
		s := rnd.IntN(len(in.recs))
		in.recs[s] = append(in.recs[s], e)
	}
	in.ended = true
	sums, counts := newLog(), newLog()
	disk := vfs.NewFault(vfs.NewMem())
	build := func() *engine.Job {
		job := engine.NewJob("random")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Hour)))
		checked := flaky(src, d)
		byKey := engine.KeyBy(checked, func(e event) string { return e.Key })
		engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "sums", flakyLog(d, sums))
		engine.To(engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, string] {
			n := engine.NewCell[int64](s, "n")
			list := engine.NewListState[string](s, "list")
			done := engine.NewTimer(s, "done", func(ctx *engine.Context, key string, at engine.Time, out engine.Out[string]) error {
				out.Emit(fmt.Sprintf("%s %d %d", key, *n.Ref(ctx), list.Len(ctx)))
				return nil
			})
			return func(ctx *engine.Context, _ string, e event, _ engine.Out[string]) error {
				*n.Ref(ctx) += e.N
				list.Append(ctx, e.Key)
				done.Set(ctx, engine.TimeOf(t0.AddDate(1, 0, 0)))
				return nil
			}
		}), "counts", flakyLog(d, counts))
		return job
	}
	if err := endure(t, rnd, disk, build); err != nil {
		return err
	}
	return compare(all, sums.rows(), counts.rows())
}

// endure runs a job to its end on a disk that fails now and then: it is stopped or killed and resumed, at another parallelism
// each time.
func endure(t *testing.T, rnd *rand.Rand, disk *vfs.Fault, build func() *engine.Job) error {
	t.Helper()
	return endureOn(t, rnd, disk, nil, build)
}

// endureOn is endure by a clock, the machine's if nil.
func endureOn(t *testing.T, rnd *rand.Rand, disk *vfs.Fault, clock engine.Clock, build func() *engine.Job) error {
	t.Helper()
	for run := 0; ; run++ {
		out, err := liveOnce(t, rnd, disk, clock, build(), run < 3)
		switch {
		case err != nil || out.State == engine.Finished:
			return err
		case out.State == engine.Failed && run > 200:
			return fmt.Errorf("does not get through: %w", out.Err)
		}
	}
}

// liveOnce resumes a job and lets it run to its end, unless that may be cut short and is.
func liveOnce(t *testing.T, rnd *rand.Rand, disk *vfs.Fault, clock engine.Clock, job *engine.Job, short bool) (engine.Outcome, error) {
	t.Helper()
	o := engine.Options{
		Parallelism: []int{1, 2, 4}[rnd.IntN(3)], Clock: clock, Restart: quick(), Restore: engine.Resume(),
		MaxParallelism: []int{0, 0, 0, 4, 7, 200}[rnd.IntN(6)],
		Checkpoints:    engine.Checkpoints{Dir: "state", Backend: backends[rnd.IntN(len(backends))].of(""), Retained: 1 + rnd.IntN(2), Tolerable: 1000, Timeout: 100_000 * time.Hour, Interval: time.Duration(1+rnd.IntN(2000)) * time.Microsecond}.On(disk),
	}
	disk.Heal()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	r, err := job.Start(ctx, o)
	if err != nil {
		return engine.Outcome{}, err
	}
	for range rnd.IntN(4) {
		if rnd.IntN(3) == 0 {
			disk.Fail(1+rnd.IntN(6), nil, vfs.Failure{Err: errors.New("storage failed"), Short: rnd.IntN(2) == 0})
		}
		r.Checkpoint(t.Context()) // which may fail, or come too late
	}
	switch how := rnd.IntN(4); {
	case short && how == 0:
		r.Stop(t.Context()) // how that ends, the outcome says
	case short && how == 1:
		kill()
	}
	r.Wait()
	return r.Outcome(), nil
}

// flakyLog fails one commit in eight, before or after it was applied.
func flakyLog(d *dice, l *txnLog) engine.Sink[string] {
	fail := func() error {
		if d.oneIn(8) {
			return errors.New("commit failed")
		}
		return nil
	}
	return hookedAfter{hookedLog{l, fail}, fail}
}

// hookedAfter fails commits that have been applied, too.
type hookedAfter struct {
	hookedLog
	after func() error
}

func (l hookedAfter) Commit(ctx context.Context, txn engine.Txn) error {
	return errors.Join(l.hookedLog.Commit(ctx, txn), l.after())
}

func compare(all []event, sums, counts []string) error {
	if want := wantSums(all); !slices.Equal(sums, want) {
		return fmt.Errorf("%d windows, want %d", len(sums), len(want))
	}
	type total struct{ n, sum int64 }
	of := map[string]total{}
	for _, e := range all {
		of[e.Key] = total{of[e.Key].n + 1, of[e.Key].sum + e.N}
	}
	var want []string
	for k, v := range of {
		want = append(want, fmt.Sprintf("%s %d %d", k, v.sum, v.n))
	}
	slices.Sort(want)
	if !slices.Equal(counts, want) {
		return fmt.Errorf("counts %v, want %v", counts, want)
	}
	return nil
}
