package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// backends are the policies, with what they leave of data files beside one retained checkpoint; -1 is one or more.
var backends = []struct {
	name string
	of   func(dir string) engine.Backend
	data int
}{
	{"memory", func(string) engine.Backend { return engine.Memory() }, 0},
	{"filesystem", engine.Filesystem, 1},
	{"mmap", engine.Mmap, -1},
}

// TestBackendChangesAtRestore stops a job under one policy, goes on under another, and finishes under the first.
func TestBackendChangesAtRestore(t *testing.T) {
	all := events(9_000)
	for _, from := range backends {
		for _, to := range backends {
			for _, outside := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s to %s, outside=%v", from.name, to.name, outside), func(t *testing.T) {
					root := t.TempDir()
					s := newStages(t, all)
					o := engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: filepath.Join(root, "one"), Backend: from.of("")}}
					cp := s.stop(o, 3_000)
					leaves(t, o.Checkpoints.Dir, from.data)
					if outside {
						o.Checkpoints.Dir = filepath.Join(root, "two")
					}
					before := tree(t, filepath.Dir(filepath.Dir(cp.Path)))
					o.Checkpoints.Backend, o.Restore.Path = to.of(""), cp.Path
					cp = s.stop(o, 6_000)
					leaves(t, o.Checkpoints.Dir, to.data)
					if outside {
						same(t, tree(t, filepath.Join(root, "one", "sums")), before)
					}
					o.Checkpoints.Backend, o.Restore.Path = from.of(filepath.Join(root, "data")), cp.Path
					s.finish(o)
				})
			}
		}
	}
}

func leaves(t *testing.T, dir string, want int) {
	t.Helper()
	checkpoints, data := onDisk(t, dir)
	if checkpoints != 1 || want >= 0 && data != want || want < 0 && data == 0 {
		t.Errorf("%d checkpoints and %d data files are left, want 1 and %d", checkpoints, data, want)
	}
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, b := range want {
		if got[name] != b {
			t.Errorf("%s has changed", name)
		}
	}
}

// stages runs the sums part by part.
type stages struct {
	t       *testing.T
	all     []event
	done    int
	in      *feed[event]
	out     *txnLog
	reached chan struct{}
}

func newStages(t *testing.T, all []event) *stages {
	return &stages{t: t, all: all, in: newFeed[event](1), out: newLog(), reached: make(chan struct{}, 1)}
}

func (s *stages) job(last int) *engine.Job {
	job := engine.NewJob("sums")
	src := engine.From(job, "in", s.in, engine.EventTime(func(e event) time.Time { return e.At }, engine.OutOfOrder(time.Minute)))
	seen := engine.Map(src, func(e event) event {
		if e.N == int64(last)-1 {
			s.reached <- struct{}{}
		}
		return e
	})
	byKey := engine.KeyBy(seen, func(e event) string { return e.Key })
	engine.To(engine.Aggregate(engine.Window(byKey, engine.Tumbling(5*time.Minute)), "sum", sum{}), "out", s.out)
	return job
}

// stop runs up to a record and stops with a checkpoint.
func (s *stages) stop(o engine.Options, last int) engine.Checkpoint {
	s.t.Helper()
	loaded := make(chan struct{})
	o.Hooks.Loaded = func(engine.Checkpoint, time.Duration) { close(loaded) }
	r := start(s.t, s.job(last), o)
	s.in.add(0, s.all[s.done:last]...)
	s.done = last
	until(s.t, "the last record of the part", s.reached)
	if o.Restore.Path != "" {
		until(s.t, "all state to be loaded", loaded) // until then the restored checkpoint is kept
	}
	if _, err := r.Checkpoint(s.t.Context()); err != nil { // so that the last one has another to follow
		s.t.Fatal(err)
	}
	cp, err := r.Stop(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return cp
}

// finish runs to the end and compares the output.
func (s *stages) finish(o engine.Options) {
	s.t.Helper()
	s.in.add(0, s.all[s.done:]...)
	s.in.end()
	if err := s.job(-1).Run(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
	equal(s.t, s.out.rows(), wantSums(s.all))
}

// TestOneDirectory names only the data directory.
func TestOneDirectory(t *testing.T) {
	dir := t.TempDir()
	s := newStages(t, events(3_000))
	o := engine.Options{Checkpoints: engine.Checkpoints{Backend: engine.Mmap(dir)}}
	if cp := s.stop(o, 1_000); cp.Path != filepath.Join(dir, "sums", fmt.Sprintf("chk-%d", cp.ID), "_metadata") {
		t.Errorf("checkpoint at %s, want it below %s", cp.Path, dir)
	}
	leaves(t, dir, -1)
	o.Restore = engine.Resume()
	s.finish(o)
}

// TestDataDirectoryIsMissing restores with the metadata and without the data.
func TestDataDirectoryIsMissing(t *testing.T) {
	root := t.TempDir()
	meta1, data := filepath.Join(root, "meta"), filepath.Join(root, "data")
	s := newStages(t, events(3_000))
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: meta1, Backend: engine.Mmap(data)}}
	cp := s.stop(o, 1_000)
	files, err := filepath.Glob(filepath.Join(data, "sums", "*.delta"))
	if err != nil || len(files) == 0 {
		t.Fatalf("data files %v, %v", files, err)
	}
	for _, path := range []string{cp.Path, engine.Latest} {
		o.Checkpoints.Backend, o.Restore.Path = engine.Mmap(filepath.Join(root, "wrong")), path
		_, err := s.job(-1).Start(t.Context(), o)
		if !errors.Is(err, meta.ErrNotFound) {
			t.Fatalf("Start at %s: %v, want ErrNotFound", path, err)
		}
		for _, f := range files {
			contains(t, err, filepath.Base(f))
		}
		contains(t, err, filepath.Dir(cp.Path), filepath.Join(meta1, "sums"), filepath.Join(root, "wrong", "sums"))
	}
	o.Checkpoints.Backend = engine.Mmap(data)
	s.finish(o)
}

// TestStateOutgrowsMetadata fails the job with what to do about it, and keeps the checkpoint that fitted.
func TestStateOutgrowsMetadata(t *testing.T) {
	dir := t.TempDir()
	s := newStages(t, events(3_000))
	b := engine.Memory()
	b.MaxSize = 3000
	o := engine.Options{Checkpoints: engine.Checkpoints{Dir: dir, Backend: b, Tolerable: -1}}
	r := start(t, s.job(1_000), o)
	s.in.add(0, s.all[:1_000]...)
	until(t, "the last record of the part", s.reached)
	_, err := r.Checkpoint(t.Context())
	contains(t, err, "the 3000 that _metadata may hold", "state.backend.memory.max-size", "filesystem or mmap")
	if err := r.Wait(); !errors.Is(err, engine.ErrCheckpoints) {
		t.Errorf("the job ended with %v, want ErrCheckpoints", err)
	}
	leaves(t, dir, 0)
	s.done = 1_000
	o.Checkpoints.Backend, o.Restore = engine.Mmap(""), engine.Resume()
	s.finish(o)
}

// Without a directory there is no metadata file to outgrow.
func TestMemoryWithoutDirectory(t *testing.T) {
	all := events(3_000)
	out := newLog()
	b := engine.Memory()
	b.MaxSize = 1
	o := engine.Options{Checkpoints: engine.Checkpoints{Backend: b, Interval: time.Millisecond, Tolerable: -1}}
	if err := sumJob(engine.SliceSource(all...), out).Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	equal(t, out.rows(), wantSums(all))
}

func TestBackendsRefused(t *testing.T) {
	for _, c := range []engine.Checkpoints{
		{Backend: engine.Backend{Name: "rocksdb"}},
		{Backend: engine.Backend{Name: "memory", MaxSize: 49 << 20}},
		{Backend: engine.Backend{MaxSize: -1}},
		{Dir: "a", DataDir: "b", Backend: engine.Mmap("c")},
		{DataDir: "b"},
	} {
		_, err := sumJob(engine.SliceSource[event](), newLog()).Start(t.Context(), engine.Options{Checkpoints: c})
		if err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("a refused start has made %s", name)
		}
	}
}
