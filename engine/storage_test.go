package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// hungFS is a file system whose chosen calls do not return until it is released.
type hungFS struct {
	vfs.FS
	mu    sync.Mutex // guards the fields below
	op    string     // "sync", "write", "rename", "syncdir", "open"; empty: none
	in    string     // part of the names that hang
	gate  chan struct{}
	hangs chan struct{} // has an item for each call that hangs
}

func newHungFS() *hungFS { return &hungFS{FS: vfs.NewMem(), hangs: make(chan struct{}, 1000)} }

func (f *hungFS) hang(op, in string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.op, f.in, f.gate = op, in, make(chan struct{})
}

func (f *hungFS) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.op != "" {
		close(f.gate)
	}
	f.op = ""
}

func (f *hungFS) pass(op, name string) {
	f.mu.Lock()
	hit, gate := f.op == op && strings.Contains(name, f.in), f.gate
	f.mu.Unlock()
	if hit {
		f.hangs <- struct{}{}
		<-gate
	}
}

func (f *hungFS) Create(name string) (vfs.File, error) {
	file, err := f.FS.Create(name)
	return hungFile{file, f, name}, err
}

func (f *hungFS) Open(name string) (vfs.File, error) { f.pass("open", name); return f.FS.Open(name) }

func (f *hungFS) Rename(from, to string) error { f.pass("rename", to); return f.FS.Rename(from, to) }
func (f *hungFS) SyncDir(name string) error    { f.pass("syncdir", name); return f.FS.SyncDir(name) }

type hungFile struct {
	vfs.File
	fs   *hungFS
	name string
}

func (f hungFile) Sync() error                 { f.fs.pass("sync", f.name); return f.File.Sync() }
func (f hungFile) Write(b []byte) (int, error) { f.fs.pass("write", f.name); return f.File.Write(b) }

// watched is a job that tells of every record, with state, and its log.
func watched(in engine.Source[event]) (job *engine.Job, log *txnLog, seen chan event) {
	seen = make(chan event, 10_000)
	log = newLog()
	job = engine.NewJob("watched")
	src := engine.From(job, "in", in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	counted := engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, event] {
		n := engine.NewCell[int64](s, "n")
		return func(ctx *engine.Context, _ string, e event, out engine.Out[event]) error {
			*n.Ref(ctx)++
			seen <- e
			out.Emit(e)
			return nil
		}
	})
	again := engine.KeyBy(counted, func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(again, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", log)
	return job, log, seen
}

func take(t *testing.T, n int, from <-chan event) {
	t.Helper()
	for i := range n {
		select {
		case <-from:
		case <-time.After(30 * time.Second):
			t.Fatalf("record %d of %d did not come", i, n)
		}
	}
}

// TestHungStorage hangs one kind of call while a checkpoint is written: it counts as failed after its timeout, records go
// on, and the next one succeeds when storage is back.
func TestHungStorage(t *testing.T) {
	for _, op := range []string{"write", "sync", "syncdir", "rename"} {
		t.Run(op, func(t *testing.T) {
			fs := newHungFS()
			in := newFeed[event](1)
			all := events(600)
			job, log, seen := watched(in)
			failed := make(chan error, 100)
			clock := enginetest.NewClock(t0)
			o := engine.Options{Parallelism: 2, Clock: clock, Checkpoints: engine.Checkpoints{Dir: "state", Timeout: time.Minute}.On(fs)}
			o.Hooks.CheckpointFailed = func(_ meta.CheckpointID, err error) { failed <- err }
			r := start(t, job, o)
			t.Cleanup(fs.release)
			in.add(0, all[:200]...)
			take(t, 200, seen)
			fs.hang(op, "")
			asked := make(chan error, 1)
			go func() {
				_, err := r.Checkpoint(t.Context())
				asked <- err
			}()
			until(t, "a hanging call", fs.hangs)
			clock.Advance(time.Minute)
			for what, err := range map[string]error{"Checkpoint": <-asked, "the hook": <-failed} {
				if !errors.Is(err, meta.ErrAborted) {
					t.Errorf("%s: %v, want %v", what, err, meta.ErrAborted)
				}
			}
			in.add(0, all[200:400]...)
			take(t, 200, seen) // records go on while storage hangs
			if s := r.Stats(); s.Failed != 1 || s.Expired != 1 || s.Completed != 1 {
				t.Errorf("%d checkpoints failed, %d of them expired, %d completed; want 1, 1, 1", s.Failed, s.Expired, s.Completed)
			}
			fs.release()
			in.add(0, all[400:]...)
			in.end()
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			if s := r.Stats(); s.Completed < 2 {
				t.Errorf("%d checkpoints completed, none after the release", s.Completed)
			}
			equal(t, log.rows(), wantSums(all))
		})
	}
}

// TestHungStorageWhileEnding cancels and fails a job while storage hangs: it ends within its timeout, and says why.
func TestHungStorageWhileEnding(t *testing.T) {
	for _, op := range []string{"write", "sync", "rename", "syncdir"} {
		for _, how := range []string{"cancel", "fail"} {
			t.Run(op+"/"+how, func(t *testing.T) {
				fs := newHungFS()
				in, trigger := newFeed[event](1), newFeed[event](1)
				job, _, seen := watched(in)
				engine.To(engine.FlatMap(engine.From(job, "fails", trigger), func(event, engine.Out[int]) error {
					return errors.New("failed meanwhile")
				}), "fails out", nowhere[int]())
				r, err := job.Start(t.Context(), engine.Options{
					Checkpoints:     engine.Checkpoints{Dir: "state"}.On(fs),
					ShutdownTimeout: 30 * time.Millisecond, Restart: quick(),
				})
				if err != nil {
					t.Fatal(err)
				}
				in.add(0, events(100)...)
				take(t, 100, seen)
				fs.hang(op, "")
				go r.Checkpoint(t.Context())
				until(t, "a hanging call", fs.hangs)
				if how == "fail" {
					trigger.add(0, event{})
				} else {
					go r.Cancel()
				}
				until(t, "the end", r.Done())
				if err := r.Wait(); !errors.Is(err, engine.ErrStuck) {
					t.Errorf("Wait = %v, want %v", err, engine.ErrStuck)
				}
				contains(t, r.Wait(), "storage", "checkpoint 2")
				if how == "fail" {
					contains(t, r.Wait(), "failed meanwhile")
				}
				if !r.Outcome().Kept {
					t.Error("nothing may be deleted while it is not known what storage does")
				}
				fs.release()
				noneLeft(t)
			})
		}
	}
}

// TestHungSavepoint cancels a job while the checkpoint of a savepoint, which is durable, cannot be opened.
func TestHungSavepoint(t *testing.T) {
	fs := newHungFS()
	in := newFeed[event](1)
	job, _, seen := watched(in)
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(fs), ShutdownTimeout: 30 * time.Millisecond}
	r, err := job.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	in.add(0, events(100)...)
	take(t, 100, seen)
	fs.hang("open", "chk-2")
	go r.Savepoint(t.Context(), "savepoint")
	until(t, "a hanging call", fs.hangs)
	go r.Cancel()
	until(t, "the end", r.Done())
	if err := r.Wait(); !errors.Is(err, engine.ErrStuck) {
		t.Errorf("Wait = %v, want %v", err, engine.ErrStuck)
	}
	fs.release()
	noneLeft(t)
}

// TestHungStart gives up a start whose first checkpoint does not become durable.
func TestHungStart(t *testing.T) {
	fs := newHungFS()
	fs.hang("sync", "chk-")
	job, _, _ := watched(newFeed[event](1))
	started := make(chan error, 1)
	go func() {
		_, err := job.Start(t.Context(), engine.Options{
			Checkpoints:     engine.Checkpoints{Dir: "state", Timeout: 20 * time.Millisecond}.On(fs),
			ShutdownTimeout: 20 * time.Millisecond,
		})
		started <- err
	}()
	select {
	case err := <-started:
		if err == nil {
			t.Error("started without a first checkpoint")
		}
	case <-time.After(30 * time.Second):
		t.Error("Start does not return")
	}
	fs.release()
	noneLeft(t)
}

// TestFullDisk runs out of space in the middle: the job lives on up to the tolerable number of failures and recovers.
func TestFullDisk(t *testing.T) {
	full := func(c vfs.Call) bool { return c.Op == "write" && !strings.Contains(c.Name, "_job") }
	t.Run("recovers", func(t *testing.T) {
		disk := vfs.NewFault(vfs.NewMem())
		in := newFeed[event](1)
		all := events(800)
		job, log, seen := watched(in)
		r := start(t, job, engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: "state", Tolerable: 2}.On(disk)})
		for i := range 4 {
			in.add(0, all[200*i:200*i+200]...)
			take(t, 200, seen)
			if i == 1 || i == 2 {
				disk.Fail(1, full, vfs.Failure{Err: syscall.ENOSPC, Sticky: true, Short: true})
				if _, err := r.Checkpoint(t.Context()); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("Checkpoint = %v, want %v", err, syscall.ENOSPC)
				}
				continue
			}
			disk.Heal()
			if _, err := r.Checkpoint(t.Context()); err != nil {
				t.Error(err)
			}
		}
		in.end()
		if err := r.Wait(); err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); s.Failed != 2 || s.Expired != 0 || s.Restarts != 0 {
			t.Errorf("%d checkpoints failed, %d expired, %d restarts; want 2, 0, 0", s.Failed, s.Expired, s.Restarts)
		}
		equal(t, log.rows(), wantSums(all))
	})
	for name, tolerable := range map[string]int{"none tolerable": -1, "one tolerable": 1} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewFault(vfs.NewMem())
			in := newFeed[event](1)
			all := events(400)
			in.add(0, all...)
			job, _, seen := watched(in)
			o := engine.Options{Checkpoints: engine.Checkpoints{Dir: "state", Tolerable: tolerable}.On(disk)}
			r := start(t, job, o)
			take(t, 400, seen)
			kept, err := r.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			in.add(0, all[:10]...)
			take(t, 10, seen)
			disk.Fail(1, full, vfs.Failure{Err: syscall.ENOSPC, Sticky: true})
			for range max(tolerable, 0) + 1 {
				if _, err := r.Checkpoint(t.Context()); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("Checkpoint = %v, want %v", err, syscall.ENOSPC)
				}
			}
			err = r.Wait()
			if !errors.Is(err, engine.ErrCheckpoints) || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Wait = %v, want %v and its cause", err, engine.ErrCheckpoints)
			}
			if out := r.Outcome(); out.State != engine.Failed || !out.Kept || out.Checkpoint.ID != kept.ID {
				t.Errorf("%s with checkpoint %d, want %s with %d", out.State, out.Checkpoint.ID, engine.Failed, kept.ID)
			}
			disk.Heal()
			rest := newFeed[event](1)
			rest.add(0, all...)
			rest.end()
			next, _, _ := watched(rest)
			o.Restore = engine.Restore{Path: engine.Latest}
			if err := next.Run(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStopOnAFullDisk is tried as often as failures are tolerable, then the job fails with what it has.
func TestStopOnAFullDisk(t *testing.T) {
	for name, times := range map[string]int{"passes": 2, "stays": 100} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewFault(vfs.NewMem())
			in := newFeed[event](1)
			in.add(0, events(50)...)
			job, _, seen := watched(in)
			r := start(t, job, engine.Options{Checkpoints: engine.Checkpoints{Dir: "state", Tolerable: 3}.On(disk)})
			take(t, 50, seen)
			for i := range times {
				disk.Fail(1+i, func(c vfs.Call) bool { return c.Op == "sync" }, vfs.Failure{Err: syscall.EIO})
			}
			cp, err := r.Stop(t.Context())
			if times == 2 && (err != nil || r.Outcome().State != engine.Stopped || cp.ID < 3) {
				t.Errorf("Stop = %+v, %v; %s", cp, err, r.Outcome().State)
			}
			if times == 100 && (!errors.Is(err, engine.ErrCheckpoints) || cp.ID != 1) {
				t.Errorf("Stop = %+v, %v; want %v and the first checkpoint", cp, err, engine.ErrCheckpoints)
			}
		})
	}
}

// TestStartOnHungStorage ends when its context does.
func TestStartOnHungStorage(t *testing.T) {
	fs := newHungFS()
	fs.hang("sync", "")
	ctx, cancel := context.WithCancel(t.Context())
	job, _, _ := watched(newFeed[event](1))
	started := make(chan error, 1)
	go func() {
		_, err := job.Start(ctx, engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(fs), ShutdownTimeout: time.Millisecond})
		started <- err
	}()
	until(t, "a hanging call", fs.hangs)
	cancel()
	select {
	case err := <-started:
		if !errors.Is(err, engine.ErrStuck) {
			t.Errorf("Start = %v, want %v", err, engine.ErrStuck)
		}
	case <-time.After(30 * time.Second):
		t.Error("Start does not return")
	}
	fs.release()
	noneLeft(t)
	other, _, _ := watched(newFeed[event](1))
	start(t, other, engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(fs)}) // the directory is free
}

// TestLargeCheckpointOfAnIdleJob freezes more than the memory for saved lines holds, and no record comes to gather beside.
func TestLargeCheckpointOfAnIdleJob(t *testing.T) {
	const each, n = 1 << 20, 90 // the limit is 64 MiB
	for _, p := range []int{1, 2} {
		in := newFeed[event](1)
		seen := make(chan event, n)
		job := engine.NewJob("large")
		byKey := engine.KeyBy(engine.From(job, "in", in), func(event) string { return "one subtask has it all" })
		kept := engine.Process(byKey, "keep", func(s *engine.Setup) engine.Func[string, event, event] {
			texts := engine.NewListState[string](s, "texts")
			return func(ctx *engine.Context, _ string, e event, _ engine.Out[event]) error {
				texts.Append(ctx, strings.Repeat("x", each))
				seen <- e
				return nil
			}
		})
		engine.To(kept, "out", nowhere[event]())
		r := start(t, job, engine.Options{Parallelism: p, Checkpoints: engine.Checkpoints{Dir: t.TempDir(), Timeout: 20 * time.Second}})
		in.add(0, events(n)...)
		take(t, n, seen)
		cp, err := r.Checkpoint(t.Context())
		if err != nil || cp.Bytes < each {
			t.Errorf("Checkpoint = %+v, %v", cp, err)
		}
	}
}

// TestStalledIsCounted has a task need more memory for saved lines than there is, while storage hangs: it waits until the
// checkpoint is given up, and the wait is counted, also after a restart.
func TestStalledIsCounted(t *testing.T) {
	const each, n = 1 << 20, 90 // the limit is 64 MiB
	fs := newHungFS()
	in := newFeed[event](1)
	seen := make(chan event, 4*n)
	job := engine.NewJob("stalled")
	byKey := engine.KeyBy(engine.From(job, "in", in), func(event) string { return "one" })
	broken := false
	kept := engine.Process(byKey, "keep", func(s *engine.Setup) engine.Func[string, event, event] {
		texts := engine.NewListState[string](s, "texts")
		return func(ctx *engine.Context, _ string, e event, _ engine.Out[event]) error {
			switch e.Key {
			case "again": // over the pages of before, which have to be saved
				texts.Clear(ctx)
				for range n {
					texts.Append(ctx, strings.Repeat("y", each))
				}
			case "fail":
				if !broken {
					broken = true
					return errors.New("once")
				}
			default:
				texts.Append(ctx, strings.Repeat("x", each))
			}
			seen <- e
			return nil
		}
	})
	engine.To(kept, "out", nowhere[event]())
	r := start(t, job, engine.Options{Restart: quick(), Checkpoints: engine.Checkpoints{Dir: "state", Timeout: 2 * time.Second}.On(fs)})
	t.Cleanup(fs.release)
	in.add(0, events(n)...)
	take(t, n, seen)
	if s := r.Stats(); s.Stalled != 0 {
		t.Errorf("stalled for %s before any checkpoint", s.Stalled)
	}
	fs.hang("write", "")
	failed := make(chan error, 1)
	go func() {
		_, err := r.Checkpoint(t.Context())
		failed <- err
	}()
	until(t, "a hanging write", fs.hangs)
	in.add(0, event{Key: "again"})
	take(t, 1, seen) // once the checkpoint is given up
	if err := <-failed; !errors.Is(err, meta.ErrAborted) {
		t.Errorf("Checkpoint = %v, want %v", err, meta.ErrAborted)
	}
	in.add(0, event{Key: "next"}) // counts are published between batches
	take(t, 1, seen)
	before := r.Stats()
	if before.Stalled <= 0 || before.Operators[1].Stalled != before.Stalled {
		t.Errorf("stalled for %s, operators %+v", before.Stalled, before.Operators)
	}
	fs.release()
	in.add(0, event{Key: "fail"})
	take(t, n+3, seen) // all again, from the first checkpoint
	if s := r.Stats(); s.Stalled < before.Stalled || s.Restarts != 1 {
		t.Errorf("stalled for %s after %d restarts, %s before", s.Stalled, s.Restarts, before.Stalled)
	}
}
