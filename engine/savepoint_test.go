package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// txnsIn counts the transactions that a checkpoint at rest names.
func txnsIn(t *testing.T, path string) (n int) {
	t.Helper()
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer cp.Close()
	if err := cp.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, s := range cp.Meta.Sinks {
		n += len(s.Txns)
	}
	return n
}

// TestSavepoint takes one of a job that runs on, moves it, and starts the rest of the input from it elsewhere: no row is
// missing, none that was visible comes twice.
func TestSavepoint(t *testing.T) {
	for name, dir := range map[string]string{"on disk": t.TempDir(), "in memory": ""} {
		t.Run(name, func(t *testing.T) {
			in := newFeed[event](1)
			all := events(600)
			job, log, seen := watched(in)
			r := start(t, job, engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: dir}})
			in.add(0, all[:300]...)
			take(t, 300, seen)
			user := t.TempDir()
			sp, err := r.Savepoint(t.Context(), filepath.Join(user, "sp"))
			if err != nil {
				t.Fatal(err)
			}
			if sp.Path != filepath.Join(user, "sp", "_metadata") || sp.ID != 2 {
				t.Errorf("savepoint %+v", sp)
			}
			visible := log.rows()
			in.add(0, all[300:400]...) // the job runs on
			take(t, 100, seen)
			if _, err := r.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.Cancel()
			moved := filepath.Join(user, "moved")
			if err := os.Rename(filepath.Join(user, "sp"), moved); err != nil {
				t.Fatal(err)
			}
			if n := txnsIn(t, moved); n != 0 {
				t.Errorf("the savepoint names %d transactions", n)
			}
			before := tree(t, moved)
			again := newFeed[event](1)
			again.add(0, all...)
			again.end()
			job2, log2, _ := watched(again)
			o := engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: t.TempDir()}, Restore: engine.Restore{Path: moved}}
			if err := job2.Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			equal(t, append(visible, log2.rows()...), wantSums(all))
			if !maps.Equal(tree(t, moved), before) {
				t.Error("the restore has changed the savepoint")
			}
		})
	}
}

// TestSavepointWaitsForSinks holds a commit up: there is no savepoint before it is done, later checkpoints do not take the
// savepoint's away, and a request that is given up leaves nothing behind.
func TestSavepointWaitsForSinks(t *testing.T) {
	dir, user := t.TempDir(), t.TempDir()
	gate := make(chan struct{})
	log := newLog()
	in := newFeed[event](1)
	seen := make(chan struct{}, 100)
	job := engine.NewJob("waits")
	begun := make(chan struct{}, 100)
	pipe(job, "in", in, hookedLog{log, func() error { begun <- struct{}{}; <-gate; return nil }}, func(event) { seen <- struct{}{} })
	r := start(t, job, engine.Options{Checkpoints: engine.Checkpoints{Dir: dir, SavepointDir: user}})
	in.add(0, event{Key: "a"})
	until(t, "a record", seen)
	type result struct {
		cp  engine.Checkpoint
		err error
	}
	got := make(chan result, 1)
	go func() {
		cp, err := r.Savepoint(t.Context(), "")
		got <- result{cp, err}
	}()
	until(t, "the commit", begun)
	short, giveUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := r.Savepoint(short, "")
		gone <- err
	}()
	for range 3 {
		if _, err := r.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("Savepoint given up = %v", err)
	}
	if entries, _ := os.ReadDir(user); len(entries) > 0 || len(got) > 0 {
		t.Errorf("%v is there before the commit", entries)
	}
	close(gate)
	sp := <-got
	if sp.err != nil || sp.cp.Path != filepath.Join(user, "waits-savepoint-2", "_metadata") {
		t.Fatalf("Savepoint = %+v, %v", sp.cp, sp.err)
	}
	if n := txnsIn(t, sp.cp.Path); n != 0 {
		t.Errorf("the savepoint names %d transactions", n)
	}
	if _, err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _ := onDisk(t, dir); n != 1 {
		t.Errorf("%d checkpoints are left, want the last", n)
	}
}

// TestStopWithSavepoint and start again on top of what was stopped: the savepoint is the newest checkpoint once more. An
// older one needs the word for going back.
func TestStopWithSavepoint(t *testing.T) {
	dir, user := t.TempDir(), t.TempDir()
	all := events(900)
	var log *txnLog
	play := func(from engine.Restore, n int) *engine.Running {
		t.Helper()
		in := newFeed[event](1)
		in.add(0, all...)
		job, l, seen := watched(in)
		log = l
		o := engine.Options{Parallelism: 2, Checkpoints: engine.Checkpoints{Dir: dir, SavepointDir: user}, Restore: from}
		r := start(t, job, o)
		take(t, n, seen)
		return r
	}
	r := play(engine.Restore{}, len(all))
	first, err := r.Savepoint(t.Context(), filepath.Join(user, "first"))
	if err != nil {
		t.Fatal(err)
	}
	last, err := r.StopWithSavepoint(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	out := r.Outcome()
	if out.State != engine.Stopped || !out.Kept || out.Savepoint != last.Path || out.Checkpoint.ID != last.ID || out.Checkpoint.Path == last.Path {
		t.Errorf("outcome %+v, savepoint %+v", out, last)
	}
	if want := filepath.Join(user, "watched-savepoint-3", "_metadata"); last.Path != want {
		t.Errorf("savepoint at %s, want %s", last.Path, want)
	}

	refuse := func(path string, target error) {
		t.Helper()
		before := tree(t, dir)
		job, _, _ := watched(newFeed[event](1))
		_, err := job.Start(t.Context(), engine.Options{Checkpoints: engine.Checkpoints{Dir: dir}, Restore: engine.Restore{Path: path}})
		if !errors.Is(err, target) {
			t.Errorf("Start from %s = %v, want %v", path, err, target)
		}
		if !maps.Equal(tree(t, dir), before) {
			t.Error("the refused start has changed the directory")
		}
	}
	refuse(first.Path, meta.ErrNotNewest)
	r = play(engine.Restore{Path: last.Path}, 0)
	next, err := r.Stop(t.Context())
	if err != nil || next.ID <= last.ID {
		t.Fatalf("Stop = %+v, %v", next, err)
	}
	refuse(last.Path, meta.ErrNotNewest)
	r = play(engine.Restore{Path: filepath.Dir(first.Path), Rewind: true}, 0)
	if cp, err := r.Stop(t.Context()); err != nil || cp.ID <= next.ID {
		t.Fatalf("Stop = %+v, %v", cp, err)
	}
	if n := len(log.rows()); n != 0 {
		t.Errorf("%d rows of records that were counted before", n)
	}
}

// TestSavepointRefused asks for what cannot be.
func TestSavepointRefused(t *testing.T) {
	user := t.TempDir()
	job, _, _ := watched(newFeed[event](1))
	r := start(t, job, engine.Options{})
	_, err := r.Savepoint(t.Context(), "")
	contains(t, err, "state.savepoints.dir")
	_, err = r.StopWithSavepoint(t.Context(), "")
	contains(t, err, "state.savepoints.dir")
	if _, err = r.Savepoint(t.Context(), "hdfs://x/y"); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("Savepoint in hdfs = %v", err)
	}
	if _, err = r.Savepoint(t.Context(), user); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Savepoint over a folder = %v", err)
	}
	if _, err := r.StopWithSavepoint(t.Context(), user); !errors.Is(err, fs.ErrExist) {
		t.Errorf("StopWithSavepoint over a folder = %v", err)
	}
	if out := r.Outcome(); out.State != engine.Stopped || out.Savepoint != "" {
		t.Errorf("outcome %+v", out)
	}
	_, err = r.Savepoint(t.Context(), filepath.Join(user, "late"))
	contains(t, err, "has stopped already")
}

// TestSavepointMeetsTheEnd cancels a job whose sink does not commit: who waits for the savepoint is told.
func TestSavepointMeetsTheEnd(t *testing.T) {
	in := newFeed[event](1)
	in.add(0, event{Key: "a"})
	job := engine.NewJob("ends")
	seen := make(chan struct{}, 1)
	down := make(chan struct{}, 100)
	pipe(job, "in", in, hookedLog{newLog(), func() error { down <- struct{}{}; return errors.New("down") }}, func(event) { seen <- struct{}{} })
	r := start(t, job, engine.Options{Checkpoints: engine.Checkpoints{Dir: t.TempDir()}})
	until(t, "the record", seen)
	got := make(chan error, 1)
	go func() {
		_, err := r.Savepoint(t.Context(), filepath.Join(t.TempDir(), "sp"))
		got <- err
	}()
	until(t, "a commit that fails", down)
	r.Cancel()
	if err := <-got; !errors.Is(err, meta.ErrAborted) {
		t.Errorf("Savepoint = %v, want %v", err, meta.ErrAborted)
	}
}
