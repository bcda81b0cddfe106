package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// coldFS is a file system on which the background loader gets no block of a data file before the gate is open.
type coldFS struct {
	vfs.FS
	gate chan struct{}
	once sync.Once
	met  func(name string, from, end int64) // a block is read by a task

	loads func() // the background loader reads one
}

func newColdFS(inner vfs.FS) *coldFS { return &coldFS{FS: inner, gate: make(chan struct{})} }

func (f *coldFS) open() { f.once.Do(func() { close(f.gate) }) }

func (f *coldFS) Open(name string) (vfs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".delta") {
		return file, err
	}
	return &coldFile{file, f, name}, nil
}

type coldFile struct {
	vfs.File
	fs   *coldFS
	name string
}

func (f *coldFile) ReadAt(b []byte, off int64) (int, error) {
	switch who := readers(); {
	case strings.Contains(who, "readIndex"), !strings.Contains(who, ".(*dataFile).block("):
	case strings.Contains(who, "preload"):
		<-f.fs.gate
		if f.fs.loads != nil {
			f.fs.loads()
		}
	case strings.Contains(who, ".together["): // for the one or the other
		if f.fs.loads != nil {
			f.fs.loads()
		}
	case f.fs.met != nil:
		f.fs.met(f.name, off, off+int64(len(b)))
	}
	return f.File.ReadAt(b, off)
}

// readers are the functions that lead to this read.
func readers() (names string) {
	var at [64]uintptr
	frames := runtime.CallersFrames(at[:runtime.Callers(3, at[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		names += f.Function + "()\n"
	}
	return names
}

// tallyJob is a job that emits each key's count. Its state takes about 200 bytes a key.
func tallyJob(in engine.Source[event], log *txnLog, seen chan<- event) *engine.Job {
	job := engine.NewJob("tally")
	byKey := engine.KeyBy(engine.From(job, "in", in), func(e event) string { return e.Key })
	counted := engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, string] {
		n := engine.NewCell[[20]int64](s, "n")
		return func(ctx *engine.Context, key string, e event, out engine.Out[string]) error {
			p := n.Ref(ctx)
			p[0]++
			p[19] += e.N
			out.Emit(fmt.Sprint(key, " ", p[0], " ", p[19]))
			if seen != nil {
				seen <- e
			}
			return nil
		}
	})
	engine.To(counted, "out", log)
	return job
}

func wantTally(all []event) (rows []string) {
	n, sum := map[string]int64{}, map[string]int64{}
	for _, e := range all {
		n[e.Key]++
		sum[e.Key] += e.N
		rows = append(rows, fmt.Sprint(e.Key, " ", n[e.Key], " ", sum[e.Key]))
	}
	slices.Sort(rows)
	return rows
}

func someKeys(keys, n int) []event {
	all := make([]event, n)
	for i := range all {
		all[i] = event{Key: fmt.Sprint("k", i%keys), N: int64(i)}
	}
	return all
}

// filledTally runs the job over the records, takes a checkpoint, has one more record of key k0 in it, and stops. So the
// background loader of the next run begins with the page group of k0.
func filledTally(t *testing.T, in *feed[event], log *txnLog, o engine.Options, all []event) engine.Checkpoint {
	t.Helper()
	seen := make(chan event, len(all))
	r := start(t, tallyJob(in, log, seen), o)
	in.add(0, all...)
	take(t, len(all), seen)
	if _, err := r.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.add(0, event{Key: "k0", N: 1})
	take(t, 1, seen)
	cp, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

// groupOf gives the key group of each key in a checkpoint.
func groupOf(t *testing.T, disk vfs.FS, path string, keys []string) map[string]meta.KeyGroup {
	t.Helper()
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer cp.Close()
	_, seed, groups := cp.Hash()
	keyer, err := mmapstate.NewKeyer[string](seed, groups)
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]meta.KeyGroup{}
	for _, k := range keys {
		of[k] = keyer.Key(&k).Group
	}
	return of
}

// TestRecordsGoBeforeState restores a job whose state cannot be loaded in the background for now. Records go on with what
// they look up; checkpoints are taken and name what is absent; the restored one stays, and the job does not finish. When
// the rest has come, it does.
func TestRecordsGoBeforeState(t *testing.T) {
	disk := vfs.NewMem()
	all := someKeys(2000, 2000)
	in, log := newFeed[event](1), newLog()
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(disk)}
	from := filledTally(t, in, log, o, all)
	all = append(all, event{Key: "k0", N: 1})

	cold := newColdFS(disk)
	t.Cleanup(cold.open)
	var loaded atomic.Int64
	seen := make(chan event, 100)
	o.Checkpoints, o.Restore = o.Checkpoints.On(cold), engine.Resume()
	o.Hooks.Loaded = func(c engine.Checkpoint, _ time.Duration) { loaded.Store(int64(c.ID)) }
	r := start(t, tallyJob(in, log, seen), o)
	group := groupOf(t, disk, from.Path, []string{"k0", "k1", "k2"})
	next := event{Key: "k1", N: 7}
	if group["k1"] == group["k0"] {
		next.Key = "k2"
	}
	if group[next.Key] != group["k0"] { // else try as we may, the group is the one that hangs
		in.add(0, next)
		all = append(all, next)
		take(t, 1, seen)
	}
	in.end()
	for range 3 {
		cp, err := r.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if cp.Bytes > from.FullBytes/10 {
			t.Errorf("%d bytes written of %d: absent pages need not be", cp.Bytes, from.FullBytes)
		}
		if f, err := disk.Open(from.Path); err != nil {
			t.Errorf("the restored checkpoint is gone before it was verified: %v", err)
		} else {
			f.Close()
		}
	}
	if s := r.Stats(); !s.Loading || s.Resident == 0 || s.Resident >= s.Pages/2 || loaded.Load() != 0 {
		t.Errorf("%d of %d pages are resident, loading %t, loaded checkpoint %d", s.Resident, s.Pages, s.Loading, loaded.Load())
	}
	cold.open()
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Loading || s.Resident != s.Pages || loaded.Load() != int64(from.ID) {
		t.Errorf("%d of %d pages are resident, loading %t, loaded checkpoint %d, want %d", s.Resident, s.Pages, s.Loading, loaded.Load(), from.ID)
	}
	equal(t, log.rows(), wantTally(all))
}

// TestStopBeforeStateIsLoaded stops a job with most of its state absent; what it leaves is whole.
func TestStopBeforeStateIsLoaded(t *testing.T) {
	disk := vfs.NewMem()
	all := someKeys(2000, 2000)
	in, log := newFeed[event](1), newLog()
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(disk)}
	filledTally(t, in, log, o, all)
	all = append(all, event{Key: "k0", N: 1})
	for range 3 {
		cold := newColdFS(disk)
		o.Checkpoints, o.Restore = o.Checkpoints.On(cold), engine.Resume()
		durable := make(chan struct{}, 10)
		o.Hooks.Checkpoint = func(engine.Checkpoint) { durable <- struct{}{} }
		r := start(t, tallyJob(in, log, nil), o)
		stopped := make(chan error, 1)
		go func() {
			_, err := r.Stop(t.Context())
			stopped <- err
		}()
		until(t, "the last checkpoint", durable) // the end waits for the hanging read
		if s := r.Stats(); s.Resident > s.Pages/2 {
			t.Errorf("%d of %d pages are resident", s.Resident, s.Pages)
		}
		cold.open()
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
	}
	o.Checkpoints = o.Checkpoints.On(disk)
	again := someKeys(2000, 4000)
	in.add(0, again...)
	in.end()
	if err := tallyJob(in, log, nil).Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), wantTally(append(all, again...)))
}

// damageFirst flips a bit in the first block of the oldest data file and tells which that is.
func damageFirst(t *testing.T, path string) (name string) {
	t.Helper()
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ref := cp.Meta.Files[0]
	cp.Close()
	name = filepath.Join(filepath.Dir(filepath.Dir(path)), ref.Name)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1
	overwrite(t, name, b)
	return name
}

// TestLateDamage flips a bit of a restored block. Whoever meets it first, the background loader or a lookup, the job ends
// at once, is not restarted, says where, and keeps its checkpoints, in every mode of retention. A user's function that
// recovers the failure changes nothing.
func TestLateDamage(t *testing.T) {
	for _, who := range []string{"background", "lookup", "recovered"} {
		t.Run(who, func(t *testing.T) {
			dir := t.TempDir()
			in, log := newFeed[event](1), newLog()
			all := someKeys(2000, 2000)
			o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir, Retention: engine.NoExternalized}}
			from := filledTally(t, in, log, o, all)
			name := damageFirst(t, from.Path)

			cold := newColdFS(vfs.OS())
			cold.met = func(at string, from, end int64) {
				if at == name && from <= 100 && end > 100 {
					cold.open()
				}
			}
			t.Cleanup(cold.open)
			restarts := 0
			o.Checkpoints, o.Restore, o.Restart = o.Checkpoints.On(cold), engine.Resume(), quick()
			o.Hooks.Restart = func(int, time.Duration, error) { restarts++ }
			job := tallyJob(in, log, nil)
			if who == "recovered" {
				job = recovering(in, log)
			}
			r := start(t, job, o)
			if who == "background" {
				cold.open()
			} else {
				in.add(0, elsewhere(t, from.Path, all)...)
			}
			until(t, "the end", r.Done())
			err := r.Wait()
			if !errors.Is(err, meta.ErrDamaged) || restarts != 0 || r.Outcome().State != engine.Failed {
				t.Fatalf("%s with %v after %d restarts, want %v", r.Outcome().State, err, restarts, meta.ErrDamaged)
			}
			contains(t, err, name, "offset", "expected", "found")
			if out := r.Outcome(); !out.Kept || out.Checkpoint.ID != from.ID {
				t.Errorf("outcome %+v, want checkpoint %d kept", out, from.ID)
			}
			if _, err := os.Stat(from.Path); err != nil {
				t.Error(err)
			}
		})
	}
}

// elsewhere leaves out the records whose state is where the background loader stands, at that of k0.
func elsewhere(t *testing.T, path string, all []event) []event {
	var keys []string
	for _, e := range all {
		keys = append(keys, e.Key)
	}
	group := groupOf(t, vfs.OS(), path, keys)
	return slices.DeleteFunc(slices.Clone(all), func(e event) bool { return group[e.Key] == group["k0"] })
}

// recovering is tallyJob with a function that makes an error of its own of every failure.
func recovering(in engine.Source[event], log *txnLog) *engine.Job {
	job := engine.NewJob("tally")
	byKey := engine.KeyBy(engine.From(job, "in", in), func(e event) string { return e.Key })
	counted := engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, string] {
		n := engine.NewCell[[20]int64](s, "n")
		return func(ctx *engine.Context, _ string, _ event, _ engine.Out[string]) (err error) {
			defer func() {
				if recover() != nil {
					err = errors.New("something went wrong")
				}
			}()
			n.Ref(ctx)
			return nil
		}
	})
	engine.To(counted, "out", log)
	return job
}

// TestLoadingFails has storage fail while state is loaded: that is no damage, and a restart mends it.
func TestLoadingFails(t *testing.T) {
	disk := vfs.NewFault(vfs.NewMem())
	in, log := newFeed[event](1), newLog()
	all := someKeys(2000, 2000)
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: "state"}.On(disk), Restart: quick()}
	filledTally(t, in, log, o, all)
	in.end()
	for k := range 12 {
		disk.Fail(8+8*k, func(c vfs.Call) bool { return c.Op == "read" && strings.HasSuffix(c.Name, ".delta") }, vfs.Failure{Err: syscall.EIO})
	}
	o.Restore = engine.Resume()
	r := start(t, tallyJob(in, log, nil), o)
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if r.Stats().Restarts == 0 {
		t.Error("no read has failed")
	}
	equal(t, log.rows(), wantTally(append(all, event{Key: "k0", N: 1})))
}

// TestVerifyEager verifies everything before anything is changed, and tells how far it is.
func TestVerifyEager(t *testing.T) {
	dir := t.TempDir()
	in, log := newFeed[event](1), newLog()
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir, Retained: 2}}
	from := filledTally(t, in, log, o, someKeys(2000, 2000))
	in.end()
	o.Restore = engine.Restore{Path: from.Path, Verify: engine.VerifyEager}
	var done, total int64
	o.Hooks.Verifying = func(d, of int64) { done, total = d, of }
	if err := tallyJob(in, log, nil).Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if done != total || total != from.FullBytes {
		t.Errorf("verified %d of %d bytes, want %d", done, total, from.FullBytes)
	}

	dir = t.TempDir()
	o.Checkpoints.Dir, o.Restore = dir, engine.Restore{}
	in = newFeed[event](1)
	from = filledTally(t, in, log, o, someKeys(2000, 2000))
	damageFirst(t, from.Path)
	before := tree(t, dir)
	ids := slices.Sorted(maps.Keys(before))
	older := filepath.Join(filepath.Dir(filepath.Dir(from.Path)), fmt.Sprintf("chk-%d", from.ID-1))
	o.Restore = engine.Restore{Path: older, Rewind: true, Verify: engine.VerifyEager}
	if _, err := tallyJob(in, log, nil).Start(t.Context(), o); !errors.Is(err, meta.ErrDamaged) {
		t.Errorf("Start = %v, want %v", err, meta.ErrDamaged)
	}
	if after := slices.Sorted(maps.Keys(tree(t, dir))); !slices.Equal(after, ids) {
		t.Errorf("a refused start has changed the directory: %v, before %v", after, ids)
	}
}

// TestCrashesWhileLoading breaks off a job with all kinds of state again and again while its state is being loaded, with
// checkpoints in between, and compares its output with that of a model.
func TestCrashesWhileLoading(t *testing.T) {
	for seed := range seeds(4, 1) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { crashWhileLoading(t, seed) })
	}
}

func crashWhileLoading(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 77))
	models := map[string]*model{}
	var want []string
	ops := make([]op, 6000)
	for i := range ops {
		o := op{Key: fmt.Sprint("k", rnd.IntN(300)), Do: []int{0, 2, 4, 5, 5, 5, 6, 8, 8, 9}[rnd.IntN(10)], N: rnd.Int64N(1000)}
		m := models[o.Key]
		if m == nil {
			m = &model{}
			models[o.Key] = m
		}
		m.do(o)
		want, ops[i] = append(want, o.Key+m.String()), o
	}
	slices.Sort(want)
	disk, in, log := vfs.NewMem(), newFeed[op](1), newLog()
	run := func(ctx context.Context, p int, fsys vfs.FS, seen chan<- event) *engine.Running {
		job := engine.NewJob("states")
		byKey := engine.KeyBy(engine.From[op](job, "in", in), func(o op) string { return o.Key })
		rows := engine.Process(byKey, "states", newStates)
		engine.To(engine.Map(rows, func(s string) string { seen <- event{}; return s }), "out", log)
		r, err := job.Start(ctx, engine.Options{
			Parallelism: p, MaxParallelism: 8, Restore: engine.Resume(),
			Checkpoints: engine.Checkpoints{Dir: "state", Interval: 2 * time.Millisecond}.On(fsys),
		})
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		return r
	}
	broken := 0
	for at := 0; at < len(ops); {
		ctx, crash := context.WithCancel(t.Context())
		cold := newColdFS(disk)
		cold.open()
		left := atomic.Int64{}
		left.Store(rnd.Int64N(60))
		cold.loads = func() {
			if left.Add(-1) == 0 {
				broken++ // by one background loader or the other
				crash()
			}
		}
		n := min(200+rnd.IntN(400), len(ops)-at)
		in.add(0, ops[at:at+n]...)
		at += n
		seen := make(chan event, 2*len(ops))
		r := run(ctx, 1+rnd.IntN(2), cold, seen)
		if r == nil {
			continue // it was broken off while starting
		}
		for i := 0; i < n/2 && ctx.Err() == nil; i++ {
			select {
			case <-seen:
			case <-ctx.Done():
			}
		}
		r.Checkpoint(ctx) // unless it has crashed
		crash()
		until(t, "the end", r.Done())
	}
	if broken < 3 {
		t.Errorf("only %d runs were broken off while their state was loaded", broken)
	}
	in.end()
	r := run(t.Context(), 2, disk, make(chan event, 2*len(ops)))
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	equal(t, log.rows(), want)
}
