package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

var ctx = context.Background()

func openMem(t testing.TB, fsys vfs.FS, o Options) *Dir {
	t.Helper()
	o.FS = fsys
	d, err := Open("/state/job", o)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func TestSaveAndRestore(t *testing.T) {
	for _, tt := range []struct {
		name string
		fs   vfs.FS
		path string
		data string
	}{
		{"mem", vfs.NewMem(), "/state/job", ""},
		{"os", vfs.OS(), t.TempDir() + "/a/job", ""},
		{"two directories", vfs.OS(), t.TempDir() + "/meta", t.TempDir() + "/data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{FS: tt.fs, DataDir: tt.data, Retained: 2}
			d, err := Open(tt.path, o)
			must(t, err)
			if _, err := d.Latest(); !errors.Is(err, meta.ErrNotFound) {
				t.Errorf("Latest of an empty directory: %v", err)
			}
			r := rand.New(rand.NewPCG(1, 0))
			s := newFakeStore(3)
			for i := range 40 {
				s.scribble(r, 30)
				must(t, d.Save(ctx, s, map[string]string{"i": fmt.Sprint(i)}))
				if i%9 != 0 {
					continue
				}
				must(t, d.Close())
				d, err = Open(tt.path, o)
				must(t, err)
				c, err := d.Latest()
				must(t, err)
				must(t, c.Verify(ctx, nil))
				if c.Notes["i"] != fmt.Sprint(i) {
					t.Errorf("notes %v after save %d", c.Notes, i)
				}
				restored, err := openFakeStore(3, c)
				must(t, err)
				if what := diff(restored.pages, s.pages); what != "" {
					t.Fatalf("save %d: %s", i, what)
				}
				s = restored
				must(t, c.Close())
			}
			ids, err := d.List()
			must(t, err)
			if len(ids) != 2 {
				t.Errorf("checkpoints %v, want two", ids)
			}
			c, err := Load(tt.path, LoadOptions{FS: tt.fs, DataDir: tt.data})
			must(t, err)
			defer c.Close()
			if n := c.Sizes().Files; n > smallFiles {
				t.Errorf("%d files in the chain", n)
			}
			must(t, d.DiscardAll(ctx))
			if files, err := d.dataFiles(); err != nil || len(files) > 0 {
				t.Errorf("after DiscardAll: %v, %v", files, err)
			}
			must(t, d.Close())
			must(t, d.Close())
		})
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(dir, Options{})
	must(t, err)
	_, err = Open(dir, Options{})
	if !errors.Is(err, meta.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second Open: %v", err)
	}
	_, err = Open(t.TempDir(), Options{DataDir: dir})
	if !errors.Is(err, meta.ErrLocked) {
		t.Errorf("Open with a locked data directory: %v", err)
	}
	must(t, os.Remove(dir+"/.owner"))
	if _, err := Open(dir, Options{}); !errors.Is(err, meta.ErrLocked) {
		t.Errorf("Open after the owner file was removed: %v", err)
	}
	must(t, d.Close())
	d, err = Open(dir, Options{})
	must(t, err)
	must(t, d.Close())
}

func TestName(t *testing.T) {
	fsys := vfs.NewMem()
	must(t, openMem(t, fsys, Options{Name: "flights"}).Close())
	must(t, openMem(t, fsys, Options{}).Close())
	if _, err := Open("/state/job", Options{FS: fsys, Name: "fraud"}); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("Open under another name: %v", err)
	}
	must(t, openMem(t, fsys, Options{Name: "flights"}).Close())
}

func TestRevoke(t *testing.T) {
	fsys := vfs.NewMem()
	d := openMem(t, fsys, Options{})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	p, err := d.Begin()
	must(t, err)
	cut := s.freeze()
	p.Add(cut)
	if got := d.Revoke(); got != p.Attempt()+1 {
		t.Errorf("Revoke = %d after attempt %d", got, p.Attempt())
	}
	if _, err := p.Publish(ctx, &meta.Metadata{}); !errors.Is(err, meta.ErrRevoked) {
		t.Errorf("Publish of a revoked attempt: %v", err)
	}
	if err := cut.Wait(ctx); !errors.Is(err, meta.ErrRevoked) || !errors.Is(err, meta.ErrAborted) {
		t.Errorf("verdict %v", err)
	}
	wantNames(t, fsys, "_job")
	must(t, d.Save(ctx, s, nil))
	wantNames(t, fsys, "_job", "chk-2", dataName(d.Job(), 2, 2))
}

func TestAbort(t *testing.T) {
	fsys := vfs.NewMem()
	d := openMem(t, fsys, Options{})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	p, err := d.Begin()
	must(t, err)
	cut := s.freeze()
	cut.hang = true
	p.Add(cut)
	boom := errors.New("boom")
	p.Abort(boom)
	p.Abort(nil)
	if err := cut.Wait(ctx); !errors.Is(err, boom) || !errors.Is(err, meta.ErrAborted) {
		t.Errorf("verdict %v", err)
	}
	if _, err := p.Publish(ctx, &meta.Metadata{}); !errors.Is(err, boom) {
		t.Errorf("Publish after Abort: %v", err)
	}
	late := s.freeze()
	p.Add(late)
	if err := late.Wait(ctx); !errors.Is(err, meta.ErrAborted) {
		t.Errorf("verdict of a late cut %v", err)
	}
	wantNames(t, fsys, "_job")
	must(t, d.Save(ctx, s, nil))
}

func TestContextEndsCuts(t *testing.T) {
	d := openMem(t, vfs.NewMem(), Options{})
	s := newFakeStore(1)
	p, err := d.Begin()
	must(t, err)
	cut := s.freeze()
	cut.hang = true
	p.Add(cut)
	short, cancel := context.WithCancel(ctx)
	go cancel()
	if _, err := p.Publish(short, &meta.Metadata{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish: %v", err)
	}
	if err := cut.Wait(ctx); !errors.Is(err, meta.ErrAborted) {
		t.Errorf("verdict %v", err)
	}
}

func TestStaleBase(t *testing.T) {
	d := openMem(t, vfs.NewMem(), Options{})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	must(t, d.Save(ctx, s, nil))
	old := s.base
	must(t, d.Save(ctx, s, nil))
	s.base = old
	if err := d.Save(ctx, s, nil); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("Save on a stale base: %v", err)
	}
}

func TestSeveralCuts(t *testing.T) {
	fsys := vfs.NewMem()
	d := openMem(t, fsys, Options{})
	stores := []*fakeStore{newFakeStore(1), newFakeStore(1), newFakeStore(2)}
	r := rand.New(rand.NewPCG(2, 0))
	for round := range 5 {
		p, err := d.Begin()
		must(t, err)
		var cuts []*fakeCut
		for i, s := range stores {
			sh := s.shard(i)
			for range 20 + round {
				s.grow(sh, byte(r.Uint32()))
			}
			cut := s.freeze()
			cuts = append(cuts, cut)
			p.Add(cut)
		}
		m := &meta.Metadata{Operators: []meta.Operator{{No: 1, UID: "count"}, {No: 2, UID: "join"}}}
		info, err := p.Publish(ctx, m)
		must(t, err)
		if info.Whole != (round == 0) || info.Files != round+1 {
			t.Errorf("round %d: %+v", round, info)
		}
		for _, c := range cuts {
			must(t, c.Wait(ctx))
		}
	}
	c, err := d.Latest()
	must(t, err)
	must(t, c.Verify(ctx, nil))
	one, err := openFakeStore(1, c)
	must(t, err)
	two, err := openFakeStore(2, c)
	must(t, err)
	all := image{}
	for sh, pages := range stores[0].pages {
		all[sh] = pages
	}
	for sh, pages := range stores[1].pages {
		all[sh] = pages
	}
	if what := diff(one.pages, all) + diff(two.pages, stores[2].pages); what != "" {
		t.Error(what)
	}
}

// wantNames checks what is in the one directory of a test.
func wantNames(t *testing.T, fsys vfs.FS, want ...string) {
	t.Helper()
	names, err := fsys.List("/state/job")
	must(t, err)
	if fmt.Sprint(names) != fmt.Sprint(sorted(want)) {
		t.Errorf("directory holds %v, want %v", names, want)
	}
}

// Publishing, aborting, revoking, retiring and closing at once: every cut gets one verdict, and what was acknowledged is
// found.
func TestConcurrentUse(t *testing.T) {
	for seed := range uint64(20) {
		fsys := vfs.NewMem()
		d := openMem(t, fsys, Options{})
		r := rand.New(rand.NewPCG(seed, 0))
		s := newFakeStore(1)
		must(t, d.Save(ctx, s, nil))
		var wg sync.WaitGroup
		acked := s.base.Checkpoint
		for range 8 {
			s.scribble(r, 5)
			p, err := d.Begin()
			must(t, err)
			cut := s.freeze()
			p.Add(cut)
			if r.IntN(3) == 0 {
				wg.Go(func() { p.Abort(nil) })
			}
			if r.IntN(4) == 0 {
				wg.Go(func() { d.Revoke() })
			}
			wg.Go(func() { d.Retire(ctx) })
			published := make(chan error)
			go func() {
				_, err := p.Publish(ctx, &meta.Metadata{})
				published <- err
			}()
			waitErr := cut.Wait(ctx)
			if err := <-published; (err == nil) != (waitErr == nil) {
				t.Fatalf("seed %d: Publish %v, verdict %v", seed, err, waitErr)
			}
			if waitErr == nil {
				acked = s.base.Checkpoint
			}
		}
		wg.Go(func() { d.Close() })
		wg.Go(func() { d.Close() })
		wg.Wait()
		d = openMem(t, fsys, Options{})
		c, err := d.Latest()
		must(t, err)
		if c.Meta.ID != acked {
			t.Errorf("seed %d: found %d, acknowledged %d", seed, c.Meta.ID, acked)
		}
		must(t, c.Verify(ctx, nil))
		must(t, d.Close())
	}
}

func TestCloseWaitsForPublish(t *testing.T) {
	fsys := vfs.NewMem()
	d := openMem(t, fsys, Options{})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	p, err := d.Begin()
	must(t, err)
	cut := s.freeze()
	cut.hang = true
	p.Add(cut)
	published := make(chan error, 1)
	go func() {
		_, err := p.Publish(ctx, &meta.Metadata{})
		published <- err
	}()
	must(t, d.Close())
	wantNames(t, fsys, "_job")
	wantErr(t, "verdict", cut.Wait(ctx), meta.ErrAborted)
	wantErr(t, "Publish", <-published, errClosed)
	_, err = d.Begin()
	wantErr(t, "Begin", err, errClosed)
	wantErr(t, "Save", d.Save(ctx, s, nil), errClosed)
}

func TestWholeOption(t *testing.T) {
	d := openMem(t, vfs.NewMem(), Options{Whole: true})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	for range 3 {
		must(t, d.Save(ctx, s, nil))
		c, err := d.Latest()
		must(t, err)
		if n := c.Sizes().Files; n != 1 {
			t.Errorf("%d files, want 1", n)
		}
		must(t, c.Close())
	}
}

// staleFS has something happen while a directory is listed: before it, at odd moments, or after it, at even ones.
type staleFS struct {
	vfs.FS
	happens func(moment int)
	moments int
}

func (f *staleFS) List(dir string) ([]string, error) {
	f.moment()
	names, err := f.FS.List(dir)
	f.moment()
	return names, err
}

func (f *staleFS) moment() {
	f.moments++
	if f.happens != nil {
		f.happens(f.moments)
	}
}

// A checkpoint commits, and retires the one before, while somebody else looks for what may be deleted: the newer one names
// files of the older one, whose metadata cannot be read any more.
func TestDeletingBesideACommit(t *testing.T) {
	for name, delete := range map[string]func(*Dir) error{
		"retire": func(d *Dir) error { _, err := d.Retire(ctx); return err },
		"sweep":  func(d *Dir) error { return d.SweepOrphans(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			for at := 1; deletedBeside(t, at, delete); at++ {
			}
		})
	}
}

// deletedBeside has the commit at one moment, and tells whether there was such a moment.
func deletedBeside(t *testing.T, at int, delete func(*Dir) error) (reached bool) {
	fsys := &staleFS{FS: vfs.NewMem()}
	d := openMem(t, fsys, Options{})
	s := newFakeStore(1)
	for range 64 {
		s.grow(s.shard(0), 'a')
	}
	must(t, d.Save(ctx, s, nil))
	s.set(s.shard(0), 1, 1, 1)
	must(t, d.Save(ctx, s, nil))
	fsys.moments = 0
	fsys.happens = func(moment int) {
		if moment == at {
			reached, fsys.happens = true, nil
			s.set(s.shard(0), 2, 2, 2)
			must(t, d.Save(ctx, s, nil))
		}
	}
	must(t, delete(d))
	must(t, d.Close())
	fsys.happens = nil
	d = openMem(t, fsys, Options{})
	c, err := d.Latest()
	must(t, err)
	must(t, c.Verify(ctx, nil))
	must(t, d.Close())
	return reached
}
