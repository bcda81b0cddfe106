package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// TestVerifiedThoughNotInMemory has a store that could not take in all of its state: the rest is verified from the files,
// and the checkpoint stays open until the store reads from another one.
func TestVerifiedThoughNotInMemory(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		l := restoredFrom(t, damaged)
		part := l.join(l.from)
		l.ready(false)
		store, err := mmapstate.Open(mmapstate.Options{MemoryLimit: 1 << 20}, l.from)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		ended := make(chan error, 1)
		go func() { ended <- l.run(t.Context(), noStep) }()
		part.report(store)
		part.report(store) // nothing new
		if damaged {
			if err := <-ended; !errors.Is(err, meta.ErrDamaged) || l.done.Load() {
				t.Errorf("the end of loading: %v, want %v", err, meta.ErrDamaged)
			}
			continue
		}
		<-l.verified
		page := make([]byte, meta.PageSize)
		shard := l.from.Shards(0)[0].ID
		if err := l.from.Load(t.Context(), shard, 0, page); err != nil {
			t.Errorf("the checkpoint is closed while a store reads from it: %v", err)
		}
		store.SetLoader(nil)
		part.report(store)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := l.from.Verify(t.Context(), nil); err == nil {
			t.Error("the checkpoint is still open though nobody reads from it")
		}
	}
}

// TestVerifiedWhileStillRead has a store with a memory limit that all of its state fits in: it is verified then, and the
// job may finish, though the store may go on reading from the checkpoint.
func TestVerifiedWhileStillRead(t *testing.T) {
	l := restoredFrom(t, false)
	part := l.join(l.from)
	l.ready(false)
	store, err := mmapstate.Open(mmapstate.Options{MemoryLimit: 1 << 30, Preload: true}, l.from)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx, noStep) }()
	for store.Loading() {
		if err := store.Maintain(); err != nil {
			t.Fatal(err)
		}
		part.report(store)
	}
	if !store.Reads(l.from) {
		t.Fatal("the store has left")
	}
	select {
	case <-l.verified:
	case <-time.After(20 * time.Second):
		t.Error("not verified though all of it is in memory")
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// restoredFrom begins to load a checkpoint of some state.
func restoredFrom(t *testing.T, damaged bool) *loading {
	t.Helper()
	path := t.TempDir()
	dir, err := snapshotter.Open(path, snapshotter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	s := mmapstate.New(mmapstate.Options{})
	defer s.Close()
	cells, err := mmapstate.NewCellMap[uint64, [60]uint64](s, "cells")
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10_000) {
		cells.Ref(i)[0] = i
	}
	if err := dir.Save(context.Background(), s, nil); err != nil {
		t.Fatal(err)
	}
	if damaged {
		files, _ := filepath.Glob(filepath.Join(path, "*.delta"))
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(files[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from, err := dir.Latest()
	if err != nil {
		t.Fatal(err)
	}
	return newLoading(from, time.Now())
}

// noStep is the real world.
func noStep(string, string) {}
