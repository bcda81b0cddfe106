package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// desk takes calls, which a test answers when it likes.
type desk struct{ calls chan *deskCall }

type deskCall struct {
	event
	ctx    context.Context
	answer chan error
	ended  chan error // the cause, if its context has ended
}

func newDesk() *desk { return &desk{make(chan *deskCall, 10_000)} }

func (d *desk) call(ctx context.Context, e event) (string, error) {
	c := &deskCall{e, ctx, make(chan error, 1), make(chan error, 1)}
	d.calls <- c
	select {
	case err := <-c.answer:
		return fmt.Sprint(e.Key, " ", e.N), err
	case <-ctx.Done():
		c.ended <- context.Cause(ctx)
		return "", ctx.Err()
	}
}

// next are the next n calls, in the order of their records.
func (d *desk) next(n int) []*deskCall {
	var all []*deskCall
	for range n {
		all = append(all, <-d.calls)
	}
	slices.SortFunc(all, func(a, b *deskCall) int { return int(a.N - b.N) })
	return all
}

// ok answers. The context of a call that has returned ends when its result has been handed over.
func (c *deskCall) ok() {
	c.answer <- nil
	<-c.ctx.Done()
}

// deskJob tells of the results as they go on.
func deskJob(in engine.Source[event], o engine.AsyncOptions, d *desk, log engine.Sink[string], late ...func(event) (string, error)) (*engine.Job, chan string) {
	told := make(chan string, 100_000)
	job := engine.NewJob("desk")
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(0)))
	out := engine.Async(src, "ask", o, d.call, late...)
	engine.To(engine.Map(out, func(s string) string { told <- s; return s }), "out", log)
	return job, told
}

func asks(from, to int64) (all []event) {
	for n := from; n < to; n++ {
		all = append(all, event{Key: "k", N: n, At: t0.Add(time.Duration(n) * time.Second)})
	}
	return all
}

func wantTold(t *testing.T, told <-chan string, want ...int64) {
	t.Helper()
	for _, n := range want {
		if got := <-told; got != fmt.Sprint("k ", n) {
			t.Fatalf("got %q, want the result of %d", got, n)
		}
	}
}

// TestAsyncOrdered: results go on in the order of the records, whichever call ends first.
func TestAsyncOrdered(t *testing.T) {
	in, d := newFeed[event](1), newDesk()
	job, told := deskJob(in, engine.AsyncOptions{}, d, newLog())
	start(t, job, engine.Options{})
	in.add(0, asks(0, 4)...)
	calls := d.next(4)
	for _, i := range []int{3, 1, 0, 2} {
		calls[i].ok()
	}
	wantTold(t, told, 0, 1, 2, 3)
}

// TestAsyncUnordered: a result goes on when its call ends, but no result overtakes a watermark.
func TestAsyncUnordered(t *testing.T) {
	in, d := newFeed[event](1), newDesk()
	job, told := deskJob(in, engine.AsyncOptions{Unordered: true}, d, newLog())
	start(t, job, engine.Options{})
	in.add(0, asks(0, 3)...)
	calls := d.next(3)
	calls[1].ok()
	wantTold(t, told, 1)
	in.add(0, asks(3, 5)...) // after a watermark
	calls = append(calls, d.next(2)...)
	calls[4].ok()
	calls[2].ok()
	wantTold(t, told, 2)
	calls[0].ok()
	wantTold(t, told, 0, 4)
	calls[3].ok()
	wantTold(t, told, 3)
}

// TestAsyncCapacity: no more calls are in flight than may be, records wait at the source then, and barriers pass.
func TestAsyncCapacity(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unordered=%t", unordered), func(t *testing.T) {
			const n = 20_000
			in, d, log := newFeed[event](1), newDesk(), newLog()
			job, _ := deskJob(in, engine.AsyncOptions{Capacity: 3, Unordered: unordered}, d, log)
			r := start(t, job, engine.Options{})
			in.add(0, asks(0, n)...)
			in.end()
			calls := d.next(3)
			for range 3 {
				if _, err := r.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if read := r.Stats().RecordsIn; read > n/2 {
				t.Errorf("%d records were read while none could go on", read)
			}
			if len(d.calls) > 0 {
				t.Error("more than three calls are in flight")
			}
			for answered := 0; answered < n; answered++ {
				if answered >= 3 {
					calls = d.next(1)
				}
				calls[0].ok()
				calls = calls[1:]
			}
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			if got := len(log.rows()); got != n {
				t.Errorf("%d results, want %d", got, n)
			}
		})
	}
}

// TestAsyncAtTheEnd: once the input has ended, checkpoints go on while calls are in flight. The last one does not begin before
// all results have gone on, so that it cannot take too long because of them.
func TestAsyncAtTheEnd(t *testing.T) {
	clock := enginetest.NewClock(t0)
	in, d, log := newFeed[event](1), newDesk(), newLog()
	job, _ := deskJob(in, engine.AsyncOptions{}, d, log)
	r := start(t, job, engine.Options{Clock: clock, Checkpoints: engine.Checkpoints{Interval: time.Hour, Timeout: time.Minute, Tolerable: -1}})
	in.add(0, asks(0, 2)...)
	in.end()
	calls := d.next(2)
	for r.Stats().Operators[0].Watermark != engine.MaxTime {
		runtime.Gosched()
	}
	for range 3 { // a checkpoint in flight would be given up
		for range 1000 {
			runtime.Gosched()
		}
		clock.Advance(time.Minute)
	}
	if _, err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		c.ok()
	}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if rows := log.rows(); len(rows) != 2 {
		t.Errorf("results %q", rows)
	}
}

// TestAsyncHoldsRecordsUp takes many checkpoints while calls are slower than the source: what waits for calls does not grow
// with each of them.
func TestAsyncHoldsRecordsUp(t *testing.T) {
	answer, answered := make(chan struct{}), int64(0)
	job := engine.NewJob("slow")
	src := engine.From(job, "in", engine.SliceSource(make([]int32, 200_000)...))
	out := engine.Async(src, "ask", engine.AsyncOptions{Capacity: 3}, func(ctx context.Context, v int32) (int32, error) {
		select {
		case <-answer:
		case <-ctx.Done():
		}
		return v, ctx.Err()
	})
	engine.To(out, "out", engine.SinkFunc(func(context.Context, []int32) error { return nil }))
	r := start(t, job, engine.Options{})
	done := make(chan error, 1)
	go func() {
		for range 40 {
			if _, err := r.Checkpoint(t.Context()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for waits := true; waits; {
		for range 64 {
			runtime.Gosched()
		}
		select {
		case answer <- struct{}{}:
			answered++
		case err := <-done:
			if waits = false; err != nil {
				t.Fatal(err)
			}
		}
	}
	if wait := r.Stats().RecordsIn - answered; wait > 20_000 {
		t.Errorf("%d records wait after %d answers", wait, answered)
	}
}

// TestAsyncTimeout: a call that takes too long ends, and fails the job or has a result made for it.
func TestAsyncTimeout(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%t", late), func(t *testing.T) {
			clock := enginetest.NewClock(t0)
			in, d := newFeed[event](1), newDesk()
			var made []func(event) (string, error)
			if late {
				made = append(made, func(e event) (string, error) { return fmt.Sprint("no answer for ", e.N), nil })
			}
			job, told := deskJob(in, engine.AsyncOptions{Timeout: time.Minute}, d, newLog(), made...)
			r := start(t, job, engine.Options{Clock: clock, Restart: engine.Restart{None: true}})
			in.add(0, asks(7, 8)...)
			call := <-d.calls
			clock.Advance(time.Minute - 1)
			if _, err := r.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			clock.Advance(1)
			if cause := <-call.ended; !errors.Is(cause, engine.ErrTimeout) {
				t.Errorf("the call ended by %v", cause)
			}
			if late {
				if got := <-told; got != "no answer for 7" {
					t.Errorf("got %q", got)
				}
				return
			}
			err := r.Wait()
			if !errors.Is(err, engine.ErrTimeout) {
				t.Fatalf("Wait = %v", err)
			}
			contains(t, err, `operator "ask"`, "N:7", "1m0s")
		})
	}
}

// ringsAt waits until somebody waits for a time.
func ringsAt(clock *enginetest.Clock, want time.Time) {
	for {
		if at, ok := clock.Next(); ok && at.Equal(want) {
			return
		}
		runtime.Gosched()
	}
}

// TestAsyncRetry repeats calls after growing delays, on errors that are worth it, until it gives up.
func TestAsyncRetry(t *testing.T) {
	busy, fatal := errors.New("busy"), errors.New("gone")
	retry := engine.AsyncRetry{Attempts: 4, Delay: time.Second, MaxDelay: 3 * time.Second, Multiplier: 2, If: func(err error) bool { return err == busy }}
	for name, test := range map[string]struct {
		answers []error
		timeout time.Duration
		want    error // nil: a result
	}{
		"success":      {[]error{busy, busy, busy, nil}, 0, nil},
		"gives up":     {[]error{busy, busy, busy, busy}, 0, busy},
		"not worth it": {[]error{busy, fatal}, 0, fatal},
		"no more time": {[]error{busy, busy}, 2 * time.Second, engine.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			clock := enginetest.NewClock(t0)
			in, d := newFeed[event](1), newDesk()
			job, told := deskJob(in, engine.AsyncOptions{Retry: retry, Timeout: test.timeout}, d, newLog())
			r := start(t, job, engine.Options{Clock: clock, Restart: engine.Restart{None: true}})
			in.add(0, asks(5, 6)...)
			for i, answer := range test.answers {
				(<-d.calls).answer <- answer
				if answer != busy || i == 3 {
					break
				}
				delay := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}[i]
				if test.timeout > 0 {
					delay = time.Second
				}
				ringsAt(clock, clock.Now().Add(delay))
				clock.Advance(delay)
			}
			if test.want == nil {
				wantTold(t, told, 5)
				return
			}
			err := r.Wait()
			if !errors.Is(err, test.want) {
				t.Errorf("Wait = %v, want %v", err, test.want)
			}
			contains(t, err, `operator "ask"`, "N:5")
		})
	}
}

// TestAsyncOutage: a job outlives what it calls, however often the same record fails meanwhile.
func TestAsyncOutage(t *testing.T) {
	for name, o := range map[string]engine.AsyncOptions{"error": {Capacity: 1}, "timeout": {Capacity: 1, Timeout: time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			log, job := newLog(), engine.NewJob("outage")
			out := engine.Async(engine.From(job, "in", engine.SliceSource(1, 2, 3)), "ask", o, func(ctx context.Context, n int) (string, error) {
				if n != 2 || calls.Add(1) > 6 {
					return fmt.Sprint(n), nil
				}
				if o.Timeout > 0 {
					<-ctx.Done()
				}
				return "", errors.New("down")
			})
			engine.To(out, "out", log)
			r := start(t, job, engine.Options{Restart: quick()})
			if err := r.Wait(); err != nil || r.Stats().Restarts != 6 {
				t.Errorf("Wait = %v after %d restarts, want none after 6", err, r.Stats().Restarts)
			}
			if rows := log.rows(); !slices.Equal(rows, []string{"1", "2", "3"}) {
				t.Errorf("rows %q", rows)
			}
		})
	}
}

// TestAsyncFailures: what goes wrong in a call ends the attempt and names the record; a panic has a stack, and is the record's
// fault the third time.
func TestAsyncFailures(t *testing.T) {
	for name, fail := range map[string]func() (string, error){
		"error":  func() (string, error) { return "", errors.New("boom") },
		"panic":  func() (string, error) { panic("boom") },
		"goexit": func() (string, error) { runtime.Goexit(); return "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			job := engine.NewJob("fails")
			src := engine.From(job, "in", engine.SliceSource(asks(0, 10)...))
			out := engine.Async(src, "ask", engine.AsyncOptions{}, func(_ context.Context, e event) (string, error) {
				if e.N == 6 {
					return fail()
				}
				return "", nil
			})
			engine.To(out, "out", newLog())
			restart := quick()
			restart.Attempts = 5
			err := start(t, job, engine.Options{Restart: restart}).Wait()
			if err == nil || errors.Is(err, engine.ErrPoison) != (name != "error") {
				t.Errorf("Wait = %v", err)
			}
			op, ok := errors.AsType[*engine.OperatorError](err)
			if !ok || op.UID != "ask" || (op.Stack != nil) != (name != "error") {
				t.Errorf("error %+v", op)
			}
			contains(t, err, "N:6")
		})
	}
}

// TestAsyncCancel: calls end with the job. One that does not is named.
func TestAsyncCancel(t *testing.T) {
	in, d := newFeed[event](1), newDesk()
	job, _ := deskJob(in, engine.AsyncOptions{}, d, newLog())
	r := start(t, job, engine.Options{Parallelism: 2})
	in.add(0, asks(0, 50)...)
	calls := d.next(50)
	if err := r.Cancel(); err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		<-c.ended
	}

	release := make(chan struct{})
	called := make(chan struct{}, 1)
	job = engine.NewJob("deaf")
	out := engine.Async(engine.From(job, "in", engine.SliceSource(1)), "ask", engine.AsyncOptions{}, func(context.Context, int) (string, error) {
		called <- struct{}{}
		<-release
		return "", nil
	})
	engine.To(out, "out", newLog())
	r, err := job.Start(t.Context(), engine.Options{ShutdownTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-called
	err = r.Cancel()
	close(release)
	if !errors.Is(err, engine.ErrStuck) {
		t.Errorf("Cancel = %v", err)
	}
	contains(t, err, `async "ask"`)
	noneLeft(t)
}

// TestAsyncRestore: calls whose results have not gone on are made again after a restore, at any parallelism and with other
// key groups, and in the end each record has one result.
func TestAsyncRestore(t *testing.T) {
	type run struct{ parallelism, groups int }
	for name, runs := range map[string][]run{
		"one":      {{1, 0}, {1, 0}, {1, 0}},
		"rescaled": {{1, 0}, {2, 0}, {4, 0}, {2, 0}, {1, 0}},
		"rehashed": {{1, 1}, {3, 3}, {4, 200}, {2, 7}, {1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			in, d, log := newFeed[event](2), newDesk(), newLog()
			dir := t.TempDir()
			in.add(0, asks(0, 400)...)
			in.add(1, asks(400, 800)...)
			rnd := rand.New(rand.NewPCG(1, 41))
			for i, run := range runs {
				o := engine.Options{Parallelism: run.parallelism, MaxParallelism: run.groups, Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: dir}}
				job, _ := deskJob(in, engine.AsyncOptions{Capacity: 1000, Unordered: i%2 == 1}, d, log)
				r := start(t, job, o)
				left := missing(800, log.rows())
				calls := d.next(len(left))
				for k, c := range calls {
					if c.N != left[k] {
						t.Fatalf("run %d: call for %d, want %d", i, c.N, left[k])
					}
				}
				if i == len(runs)-1 {
					in.end()
					for _, c := range calls {
						c.ok()
					}
					if err := r.Wait(); err != nil {
						t.Fatal(err)
					}
					break
				}
				for _, k := range rnd.Perm(len(calls))[:150] {
					calls[k].ok()
				}
				if _, err := r.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if left := missing(800, log.rows()); len(left) > 0 || len(log.rows()) != 800 {
				t.Errorf("%d results; none for %v", len(log.rows()), left)
			}
		})
	}
}

// missing are the numbers of records without a result.
func missing(n int64, rows []string) (left []int64) {
	have := map[string]bool{}
	for _, row := range rows {
		have[row] = true
	}
	for i := range n {
		if !have[fmt.Sprint("k ", i)] {
			left = append(left, i)
		}
	}
	return left
}

// TestAsyncRestoresOrder calls again in the order of the records.
func TestAsyncRestoresOrder(t *testing.T) {
	in, d, log := newFeed[event](1), newDesk(), newLog()
	dir := t.TempDir()
	in.add(0, asks(0, 50)...)
	for next := int64(0); next < 50; next += 10 {
		job, told := deskJob(in, engine.AsyncOptions{Capacity: 1}, d, log)
		r := start(t, job, engine.Options{Restore: engine.Resume(), Checkpoints: engine.Checkpoints{Dir: dir}})
		for n := next; n < next+10; n++ {
			call := <-d.calls
			if call.N != n {
				t.Fatalf("call for %d, want %d", call.N, n)
			}
			call.ok()
		}
		for n := next; n < next+10; n++ {
			wantTold(t, told, n)
		}
		if _, err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		for len(d.calls) > 0 {
			<-d.calls
		}
	}
}

// TestRandomAsync runs windows behind calls that end in any order, while calls, records, sinks and storage fail and the job
// is stopped and resumed at other parallelisms. What is committed is what a batch makes of the same input.
func TestRandomAsync(t *testing.T) {
	eachSeed(t, 60, 12, randomAsync)
}

func randomAsync(t *testing.T, seed uint64) error {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 31))
	d := &dice{rnd: rand.New(rand.NewPCG(seed, 32))}
	in, all := randomEvents(rnd, 1500)
	o := engine.AsyncOptions{Capacity: 1 + rnd.IntN(20), Unordered: rnd.IntN(2) == 0, Retry: engine.AsyncRetry{Attempts: rnd.IntN(3), Delay: 1}}
	sums, late := newLog(), atomic.Int64{}
	build := func() *engine.Job {
		job := engine.NewJob("async")
		src := engine.From[event](job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
		called := engine.Async(src, "call", o, func(ctx context.Context, e event) (event, error) {
			for !d.oneIn(3) {
				runtime.Gosched()
			}
			if d.oneIn(1000) {
				return e, errors.New("injected")
			}
			return e, ctx.Err()
		})
		again := engine.Async(called, "again", engine.AsyncOptions{Unordered: true}, func(_ context.Context, e event) (event, error) { return e, nil })
		w := engine.Window(engine.KeyBy(again, func(e event) string { return e.Key }), engine.Tumbling(5*time.Minute))
		engine.To(engine.Map(w.Late(), func(e event) event { late.Add(1); return e }), "late", nowhere[event]())
		engine.To(engine.Aggregate(w, "sum", sum{}), "sums", flakyLog(d, sums))
		return job
	}
	if err := endure(t, rnd, vfs.NewFault(vfs.NewMem()), build); err != nil {
		return err
	}
	if want := wantSums(all); !slices.Equal(sums.rows(), want) || late.Load() > 0 {
		return fmt.Errorf("%d windows, want %d; %d records late", len(sums.rows()), len(want), late.Load())
	}
	return nil
}

func TestExplainAsync(t *testing.T) {
	o := engine.AsyncOptions{Unordered: true, Capacity: 7, Timeout: time.Minute, Retry: engine.AsyncRetry{Attempts: 3}}
	job, _ := deskJob(newFeed[event](1), o, newDesk(), newLog())
	x, err := job.Explain(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	contains(t, errors.New(x.String()), "task 2", "\n  2  async \"ask\", of 1\n", "unordered, 7 calls at once, timeout 1m0s, 3 attempts\n",
		"records that are called for: engine_test.event\n")
}
