package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// trap breaks in one of the callbacks of a job.
type trap struct {
	at    string
	spare atomic.Int64 // calls before it breaks
	snap  func()
}

func (p *trap) pass(at string) {
	if p.at != at {
		return
	}
	if p.spare.Add(-1) < 0 {
		p.snap()
	}
}

type trapSource struct {
	engine.Source[event]
	*trap
}

func (s trapSource) Splits(ctx context.Context) ([]engine.Split, bool, error) {
	s.pass("Splits")
	return s.Source.Splits(ctx)
}

func (s trapSource) Open(ctx context.Context, sp engine.Split, at engine.Position) (engine.Reader[event], error) {
	s.pass("Open")
	r, err := s.Source.Open(ctx, sp, at)
	return trapReader{r, s.trap}, err
}

type trapReader struct {
	engine.Reader[event]
	*trap
}

func (r trapReader) Read(ctx context.Context, b *engine.Batch[event]) error {
	r.pass("Read")
	return r.Reader.Read(ctx, b)
}

func (r trapReader) Position() engine.Position {
	r.pass("Position")
	return r.Reader.Position()
}

type trapSink struct {
	engine.Sink[string]
	*trap
}

func (s trapSink) Recover(ctx context.Context, t engine.Task, p []engine.Txn) error {
	s.pass("Recover")
	return s.Sink.Recover(ctx, t, p)
}

func (s trapSink) Open(ctx context.Context, t engine.Task) (engine.Writer[string], error) {
	s.pass("sink Open")
	w, err := s.Sink.Open(ctx, t)
	return trapWriter{w, s.trap}, err
}

func (s trapSink) Commit(ctx context.Context, txn engine.Txn) error {
	s.pass("Commit")
	return s.Sink.Commit(ctx, txn)
}

type trapWriter struct {
	engine.Writer[string]
	*trap
}

func (w trapWriter) Write(ctx context.Context, rows []string) error {
	w.pass("Write")
	return w.Writer.Write(ctx, rows)
}

func (w trapWriter) Prepare(ctx context.Context, id uint64) (engine.Txn, error) {
	w.pass("Prepare")
	return w.Writer.Prepare(ctx, id)
}

func (w trapWriter) Close() error {
	w.pass("Close")
	return w.Writer.Close()
}

type trapSum struct {
	sum
	*trap
}

func (s trapSum) Add(a *sumAcc, e event) { s.pass("Add"); s.sum.Add(a, e) }
func (s trapSum) Result(k string, w engine.Span, a sumAcc) string {
	s.pass("Result")
	return s.sum.Result(k, w, a)
}

// trapJob has every kind of callback.
func trapJob(p *trap, log *txnLog) *engine.Job {
	job := engine.NewJob("trap")
	src := engine.From[event](job, "in", trapSource{engine.SliceSource(events(100)...), p},
		engine.EventTime(func(e event) time.Time { p.pass("time"); return e.At }, engine.OutOfOrder(0)))
	mapped := engine.Map(src, func(e event) event { p.pass("Map"); return e })
	kept := engine.Filter(mapped, func(event) bool { p.pass("Filter"); return true })
	flat := engine.FlatMap(kept, func(e event, out engine.Out[event]) error { p.pass("FlatMap"); out.Emit(e); return nil })
	byKey := engine.KeyBy(flat, func(e event) string { p.pass("key"); return e.Key })
	found := engine.Process(byKey, "proc", func(s *engine.Setup) engine.Func[string, event, event] {
		if log != nil {
			p.pass("constructor")
		}
		s.OnOpen(func(context.Context) error { p.pass("OnOpen"); return nil })
		s.OnClose(func() error { p.pass("OnClose"); return nil })
		tick := engine.NewTimer(s, "tick", func(*engine.Context, string, engine.Time, engine.Out[event]) error { p.pass("timer"); return nil })
		return func(ctx *engine.Context, _ string, e event, out engine.Out[event]) error {
			p.pass("OnRecord")
			tick.Set(ctx, ctx.Time().Add(time.Second))
			out.Emit(e)
			return nil
		}
	})
	again := engine.KeyBy(found, func(e event) string { p.pass("second key"); return e.Key })
	sums := engine.Aggregate(engine.Window(again, engine.Tumbling(time.Minute)), "win", trapSum{trap: p})
	engine.To[string](sums, "out", trapSink{log, p})
	return job
}

// TestBrokenCallbacks panics, and calls runtime.Goexit, in every callback there is: the job ends with an error that names
// the operator and has the stack, the process lives, and nothing of the run is left.
func TestBrokenCallbacks(t *testing.T) {
	where := map[string]struct {
		uid    string
		spare  int64
		record bool // the error has the record
	}{
		"Splits": {uid: "in"}, "Open": {uid: "in"}, "Read": {uid: "in"}, "Position": {uid: "in"},
		"time": {"in", 3, true}, "Map": {"map at engine/failure_test.go", 3, true}, "Filter": {"filter at", 3, true},
		"FlatMap": {"flatmap at", 3, true}, "key": {"proc", 3, true}, "second key": {"win", 3, true},
		"OnOpen": {uid: "proc"}, "OnRecord": {"proc", 3, true}, "timer": {"proc", 3, true},
		"Add": {"win", 3, true}, "Result": {"win", 1, true}, "constructor": {uid: `process "proc"`, spare: 1},
		"Recover": {uid: "out"}, "sink Open": {uid: "out"}, "Write": {uid: "out"}, "Prepare": {uid: "out", spare: 1},
		"Commit": {uid: "out"},
	}
	boom := errors.New("boom")
	breaks := map[string]func(){
		"panic":  func() { panic(boom) },
		"Goexit": func() { runtime.Goexit() },
	}
	for at, w := range where {
		for how, f := range breaks {
			for _, parallelism := range []int{1, 2} {
				if parallelism == 2 && (at == "time" || w.spare == 3) && how == "Goexit" {
					continue // one task of several is like the only one
				}
				t.Run(fmt.Sprintf("%s/%s/%d", at, how, parallelism), func(t *testing.T) {
					p := &trap{at: at, snap: f}
					p.spare.Store(w.spare)
					err := trapJob(p, newLog()).Run(t.Context(), engine.Options{Parallelism: parallelism, Restart: engine.Restart{None: true}})
					op, ok := errors.AsType[*engine.OperatorError](err)
					if !ok {
						t.Fatalf("Run = %v, want an OperatorError", err)
					}
					uid := w.uid
					if at == "constructor" && how == "Goexit" {
						uid = "job trap" // its stack says more
					}
					if !strings.HasPrefix(op.UID, uid) || len(op.Stack) == 0 || (op.Record != "") != w.record {
						t.Errorf("operator %q, record %q, %d bytes of stack; want %q", op.UID, op.Record, len(op.Stack), uid)
					}
					fired := at == "timer" || at == "Result"
					reads := at == "Open" || at == "Read" || at == "Position"
					if placed := strings.HasPrefix(op.Position, `source "in", split "`); placed != (w.record && !fired || reads) {
						t.Errorf("position %q", op.Position)
					}
					if !w.record && strings.Count(err.Error(), `"`+w.uid+`"`) > 1 {
						t.Errorf("%v: says it twice", err)
					}
					if how == "panic" && !errors.Is(err, boom) {
						t.Errorf("the panic's error is not in %v", err)
					}
					if how == "Goexit" {
						contains(t, err, "runtime.Goexit")
					}
					noneLeft(t)
				})
			}
		}
	}
}

// TestBrokenClose is logged: all that had to be durable is.
func TestBrokenClose(t *testing.T) {
	for _, at := range []string{"Close", "OnClose"} {
		for how, f := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
			t.Run(at+"/"+how, func(t *testing.T) {
				if err := trapJob(&trap{at: at, snap: f}, newLog()).Run(t.Context(), engine.Options{}); err != nil {
					t.Error(err)
				}
				noneLeft(t)
			})
		}
	}
}

// TestBrokenOnRestart breaks what only runs again at a restart: the job fails, the process lives.
func TestBrokenOnRestart(t *testing.T) {
	for _, at := range []string{"Splits", "Recover", "constructor"} {
		t.Run(at, func(t *testing.T) {
			p := &trap{at: at, snap: func() { panic("boom") }}
			p.spare.Store(1)
			if at == "constructor" {
				p.spare.Store(2) // the check, the first attempt
			}
			log := newLog()
			job := trapJob(p, log)
			o := engine.Options{Restart: quick()}
			o.Restart.Attempts = 3
			var failed atomic.Bool
			err := failOnce(job, &failed).Run(t.Context(), o)
			contains(t, err, "boom", "after 3 restarts")
			noneLeft(t)
		})
	}
}

// failOnce adds a branch to the job that fails at its first record.
func failOnce(job *engine.Job, failed *atomic.Bool) *engine.Job {
	src := engine.From(job, "fails", engine.SliceSource(1))
	engine.To(src, "fails out", engine.SinkFunc(func(context.Context, []int) error {
		if failed.Swap(true) {
			return nil
		}
		return errors.New("once")
	}))
	return job
}

// TestBrokenHooks fails the job, and says which hook it was.
func TestBrokenHooks(t *testing.T) {
	boom := func() { panic("boom") }
	var failed atomic.Bool
	tests := map[string]func(*engine.Hooks){
		"Checkpoint": func(h *engine.Hooks) { h.Checkpoint = func(c engine.Checkpoint) { boom() } },
		"Restart":    func(h *engine.Hooks) { h.Restart = func(int, time.Duration, error) { boom() } },
		"Restored":   func(h *engine.Hooks) { h.Restored = func(engine.Checkpoint) { boom() } },
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			failed.Store(false)
			job := failOnce(trapJob(&trap{}, newLog()), &failed)
			o := engine.Options{Restart: quick()}
			set(&o.Hooks)
			contains(t, job.Run(t.Context(), o), "hook "+name, "boom")
			noneLeft(t)
		})
	}
}

// TestHooksMayAsk calls back into Running from every hook.
func TestHooksMayAsk(t *testing.T) {
	var running atomic.Pointer[engine.Running]
	var asked atomic.Int64
	ask := func() {
		if r := running.Load(); r != nil {
			r.Latest()
			r.Stats()
			asked.Add(1)
		}
	}
	in := newFeed[event](1)
	var failed atomic.Bool
	job := engine.NewJob("ask")
	src := engine.FlatMap(engine.From(job, "in", in), func(e event, out engine.Out[event]) error {
		if e.N == 1 && !failed.Swap(true) {
			return errors.New("once")
		}
		return nil
	})
	engine.To(src, "out", nowhere[event]())
	o := engine.Options{Restart: quick()}
	o.Hooks = engine.Hooks{
		Checkpoint:       func(engine.Checkpoint) { ask() },
		CheckpointFailed: func(meta.CheckpointID, error) { ask() },
		Restart:          func(int, time.Duration, error) { ask() },
		Restored:         func(engine.Checkpoint) { ask() },
	}
	r := start(t, job, o)
	running.Store(r)
	in.add(0, events(3)...)
	in.end()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if asked.Load() < 3 {
		t.Errorf("%d hooks called, want a restart, a restore and a checkpoint at least", asked.Load())
	}
}

// TestPoison fails the same record again and again, in each kind of function: the third time ends the job. Failures of
// different records in between start over.
func TestPoison(t *testing.T) {
	tests := map[string]func(fails func(event) bool) *engine.Job{
		"FlatMap": func(fails func(event) bool) *engine.Job {
			job := engine.NewJob("poison")
			out := engine.FlatMap(engine.From(job, "in", engine.SliceSource(events(10)...)), func(e event, out engine.Out[event]) error {
				if fails(e) {
					return errors.New("bad")
				}
				return nil
			})
			engine.To(out, "out", nowhere[event]())
			return job
		},
		"Map that panics": func(fails func(event) bool) *engine.Job {
			job := engine.NewJob("poison")
			out := engine.Map(engine.From(job, "in", engine.SliceSource(events(10)...)), func(e event) event {
				if fails(e) {
					panic("bad")
				}
				return e
			})
			engine.To(out, "out", engine.SinkFunc(func(context.Context, []event) error { return nil }))
			return job
		},
		"Process": func(fails func(event) bool) *engine.Job {
			job := engine.NewJob("poison")
			byKey := engine.KeyBy(engine.From(job, "in", engine.SliceSource(events(10)...)), func(e event) string { return e.Key })
			out := engine.Process(byKey, "proc", func(*engine.Setup) engine.Func[string, event, event] {
				return func(_ *engine.Context, _ string, e event, _ engine.Out[event]) error {
					if fails(e) {
						return errors.New("bad")
					}
					return nil
				}
			})
			engine.To(out, "out", nowhere[event]())
			return job
		},
	}
	for name, build := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, build(func(e event) bool { return e.N == 5 }), engine.Options{Restart: quick()})
			err := r.Wait()
			if !errors.Is(err, engine.ErrPoison) || r.Stats().Restarts != 2 {
				t.Errorf("Wait = %v after %d restarts, want %v after 2", err, r.Stats().Restarts, engine.ErrPoison)
			}
			contains(t, err, "bad", "N:5", "3 times")
		})
		t.Run(name+", others in between", func(t *testing.T) {
			plan := []int64{5, 5, 4, 5, 5, 4, 4}
			fails := func(e event) bool {
				if len(plan) == 0 || e.N != plan[0] {
					return false
				}
				plan = plan[1:]
				return true
			}
			r := start(t, build(fails), engine.Options{Restart: quick()})
			if err := r.Wait(); err != nil || r.Stats().Restarts != 7 {
				t.Errorf("Wait = %v after %d restarts, want none after 7", err, r.Stats().Restarts)
			}
		})
	}
}

// TestPoisonBehindPointers: a record is known again by what it says, though its pointers lead elsewhere after each restart.
func TestPoisonBehindPointers(t *testing.T) {
	type boxed struct {
		N    int64
		Rest *event
	}
	job := engine.NewJob("poison")
	in := engine.Map(engine.From(job, "in", engine.SliceSource(events(10)...)), func(e event) boxed { return boxed{e.N, &e} })
	out := engine.FlatMap(in, func(b boxed, _ engine.Out[event]) error {
		if b.N == 5 {
			return errors.New("bad")
		}
		return nil
	})
	engine.To(out, "out", nowhere[event]())
	r := start(t, job, engine.Options{Restart: engine.Restart{Attempts: 20, InitialDelay: time.Nanosecond, MaxDelay: time.Nanosecond}})
	if err := r.Wait(); !errors.Is(err, engine.ErrPoison) || r.Stats().Restarts != 2 {
		t.Errorf("Wait = %v after %d restarts, want %v after 2", err, r.Stats().Restarts, engine.ErrPoison)
	}
}

func TestPermanentAndExhausted(t *testing.T) {
	bad := errors.New("bad")
	tests := map[string]struct {
		err      error
		o        engine.Restart
		restarts int
		says     string
	}{
		"permanent":          {engine.Permanent(bad), quick(), 0, "bad"},
		"none":               {bad, engine.Restart{None: true}, 0, "bad"},
		"permanent in panic": {nil, quick(), 0, "bad"},
		"exhausted":          {bad, engine.Restart{Attempts: 2, InitialDelay: 1, MaxDelay: 1}, 2, "after 2 restarts"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			job := engine.NewJob("fails")
			engine.To(engine.From(job, "in", engine.SliceSource(1)), "out", engine.SinkFunc(func(context.Context, []int) error {
				if tt.err == nil {
					panic(engine.Permanent(bad))
				}
				return tt.err
			}))
			r := start(t, job, engine.Options{Restart: tt.o})
			err := r.Wait()
			if !errors.Is(err, bad) || r.Stats().Restarts != tt.restarts || r.Outcome().State != engine.Failed {
				t.Errorf("%s: %v after %d restarts", r.Outcome().State, err, r.Stats().Restarts)
			}
			contains(t, err, tt.says, `operator "out"`)
		})
	}
}
