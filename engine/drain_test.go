package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/meta"
)

// drainJob sums what two endless sources give, and keeps what it was given. ends is asked at the end of time.
func drainJob(a, b engine.Source[event], sums, read engine.Sink[string], seen engine.Sink[event], ends func() error) *engine.Job {
	job := engine.NewJob("drain")
	times := engine.EventTime(atOf, engine.OutOfOrder(time.Hour))
	both := engine.Union(engine.From(job, "a", a, times), engine.From(job, "b", b, times))
	engine.To(both, "seen", seen)
	byKey := engine.KeyBy(both, func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "sums", sums)
	engine.To(engine.Process(byKey, "last", func(s *engine.Setup) engine.Func[string, event, string] {
		n := engine.NewCell[int64](s, "n")
		end := engine.NewTimer(s, "end", func(ctx *engine.Context, key string, _ engine.Time, out engine.Out[string]) error {
			out.Emit(fmt.Sprint(key, " ", *n.Ref(ctx)))
			return ends()
		})
		return func(ctx *engine.Context, key string, _ event, _ engine.Out[string]) error {
			*n.Ref(ctx)++
			end.Set(ctx, engine.TimeOf(t0.AddDate(10, 0, 0)))
			return nil
		}
	}), "read", read)
	return job
}

// endless makes events in a number of splits, without an end.
func endless(splits int, name string) engine.Source[event] {
	return engine.Generate(engine.GenerateOptions{Splits: splits}, func(i int64, _ time.Time) event {
		return event{Key: fmt.Sprint(name, i%7), N: i, At: t0.Add(time.Duration(i) * time.Second)}
	})
}

func countsOf(all []event) (rows []string) {
	of := map[string]int{}
	for _, e := range all {
		of[e.Key]++
	}
	for k, n := range of {
		rows = append(rows, fmt.Sprint(k, " ", n))
	}
	slices.Sort(rows)
	return rows
}

// TestDrain ends endless sources anywhere. The result is that of bounded input that ends where they stood.
func TestDrain(t *testing.T) {
	never := func() error { return nil }
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 51))
		sums, read, seen := newLog(), newLog(), &enginetest.Sink[event]{}
		a, b := endless(1+rnd.IntN(3), "a"), endless(1, "b")
		o := engine.Options{Parallelism: 1 + rnd.IntN(3), Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}}
		if rnd.IntN(2) == 0 {
			o.Checkpoints.Interval = time.Duration(1+rnd.IntN(2000)) * time.Microsecond
		}
		if rnd.IntN(2) == 0 { // resumed before
			r := start(t, drainJob(a, b, sums, read, seen, never), o)
			if _, err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r := start(t, drainJob(a, b, sums, read, seen, never), o)
		readAll(t, r, rnd.Int64N(5000))
		if err := r.Drain(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if out := r.Outcome(); out.State != engine.Finished {
			t.Fatalf("seed %d: the job is %s", seed, out.State)
		}
		all := seen.Rows()
		if int64(len(all)) != r.Stats().RecordsIn {
			t.Errorf("seed %d: %d records went through of %d read", seed, len(all), r.Stats().RecordsIn)
		}
		if !slices.Equal(sums.rows(), wantSums(all)) || !slices.Equal(read.rows(), countsOf(all)) {
			t.Fatalf("seed %d: results are not those of the %d records read", seed, len(all))
		}
	}
}

// TestDrainFails: an attempt that fails at the end of time goes on reading after its restart, and can be drained again; no
// record is lost in between.
func TestDrainFails(t *testing.T) {
	for _, p := range []int{1, 2} {
		sums, read, seen := newLog(), newLog(), &enginetest.Sink[event]{}
		fails := make(chan error, 1)
		fails <- errors.New("not yet")
		ends := func() error {
			select {
			case err := <-fails:
				return err
			default:
				return nil
			}
		}
		o := engine.Options{Parallelism: p, Restart: quick(), Checkpoints: engine.Checkpoints{Dir: t.TempDir()}}
		r := start(t, drainJob(endless(3, "a"), endless(1, "b"), sums, read, seen, ends), o)
		readAll(t, r, 100)
		err := r.Drain(t.Context())
		if !errors.Is(err, meta.ErrAborted) {
			t.Fatalf("parallelism %d: Drain = %v, want ErrAborted", p, err)
		}
		contains(t, err, "the input was not drained", "not yet")
		for r.Stats().Restarts == 0 || r.Stats().RecordsIn < 5000 {
			if _, err := r.Checkpoint(t.Context()); err != nil && !errors.Is(err, meta.ErrAborted) {
				t.Fatal(err)
			}
		}
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := seen.Rows()
		equal(t, sums.rows(), wantSums(all))
		equal(t, read.rows(), countsOf(all))
		if err := r.Drain(t.Context()); err != nil {
			t.Errorf("Drain of a job that has finished = %v", err)
		}
	}
}

// TestDrainWithOthers: stopped or cancelled meanwhile, a job is not drained, and says so.
func TestDrainWithOthers(t *testing.T) {
	for i := range 10 {
		sums, read, seen := newLog(), newLog(), &enginetest.Sink[event]{}
		r := start(t, drainJob(endless(2, "a"), endless(1, "b"), sums, read, seen, func() error { return nil }), engine.Options{Parallelism: 2})
		done := make(chan error, 1)
		go func() { done <- r.Drain(t.Context()) }()
		if i%2 == 0 {
			r.Cancel()
		} else {
			r.Stop(t.Context())
		}
		err, state := <-done, r.Outcome().State
		if (err == nil) != (state == engine.Finished) {
			t.Errorf("the job is %s, Drain = %v", state, err)
		}
		if again := r.Drain(t.Context()); (again == nil) != (state == engine.Finished) {
			t.Errorf("the job is %s, a later Drain = %v", state, again)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in := newFeed[event](1)
	r := start(t, sumJob(in, newLog()), engine.Options{})
	if err := r.Drain(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Drain with a context that has ended = %v", err)
	}
}

// heldPrepares is a log of which one Prepare waits until it is let go.
type heldPrepares struct {
	*txnLog
	begun, held chan struct{}
}

func (h heldPrepares) Open(ctx context.Context, t engine.Task) (engine.Writer[string], error) {
	w, err := h.txnLog.Open(ctx, t)
	return heldWriter{w, h}, err
}

type heldWriter struct {
	engine.Writer[string]
	of heldPrepares
}

func (w heldWriter) Prepare(ctx context.Context, id uint64) (engine.Txn, error) {
	if id == 2 {
		w.of.begun <- struct{}{}
		<-w.of.held
	}
	return w.Writer.Prepare(ctx, id)
}

// TestDrainAfterStop: a job that was asked to stop first keeps the rest of its input for whoever resumes, also if the last
// checkpoint takes a second try.
func TestDrainAfterStop(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		clock, in := enginetest.NewClock(t0), newFeed[event](1)
		log := heldPrepares{newLog(), make(chan struct{}), make(chan struct{})}
		o := engine.Options{Clock: clock, Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: dir, Timeout: time.Minute}}
		r, err := sumJob(in, log).Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		all := events(1000)
		in.add(0, all[:500]...)
		synctest.Wait()
		go r.Stop(t.Context())
		<-log.begun
		drained := make(chan error, 1)
		go func() { drained <- r.Drain(t.Context()) }()
		synctest.Wait()
		clock.Advance(time.Hour) // the checkpoint is given up
		synctest.Wait()
		close(log.held)
		if err := <-drained; !errors.Is(err, meta.ErrAborted) {
			t.Errorf("Drain = %v, want ErrAborted", err)
		}
		if err := r.Wait(); err != nil || r.Outcome().State != engine.Stopped {
			t.Fatalf("the job is %s: %v", r.Outcome().State, err)
		}
		in.add(0, all[500:]...)
		in.end()
		if err := sumJob(in, log.txnLog).Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		equal(t, log.rows(), wantSums(all))
	})
}

// TestDrainWaits: a source that waits for records ends, too, and one to which splits may be added; a checkpoint that is
// asked for meanwhile is answered.
func TestDrainWaits(t *testing.T) {
	for _, p := range []int{1, 2, 4} {
		in, log := newFeed[event](3), newLog()
		in.open = true
		all := events(200)
		for i, e := range all {
			in.add(i%3, e)
		}
		r := start(t, sumJob(in, log), engine.Options{Parallelism: p})
		readAll(t, r, int64(len(all)))
		asked := make(chan error, 1)
		go func() {
			_, err := r.Checkpoint(t.Context())
			asked <- err
		}()
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-asked; err != nil && !errors.Is(err, meta.ErrAborted) && err.Error() != `job "sums" has finished already` {
			t.Errorf("a checkpoint meanwhile: %v", err)
		}
		equal(t, log.rows(), wantSums(all))
	}
}
