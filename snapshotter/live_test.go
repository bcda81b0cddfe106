package snapshotter

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// hungryStore asks every verdict for a loader.
type hungryStore struct {
	*fakeStore
	got meta.Loader
}

type hungryCut struct {
	meta.Cut
	s *hungryStore
}

func (s *hungryStore) Freeze() (meta.Cut, error) {
	c, err := s.fakeStore.Freeze()
	return &hungryCut{c, s}, err
}

func (c *hungryCut) WantsLoader() bool { return true }

func (c *hungryCut) Done(v meta.Verdict) {
	c.s.got = v.Loader
	c.Cut.Done(v)
}

// image reads all that a loader has.
func loadedImage(t *testing.T, l meta.Loader) image {
	t.Helper()
	s, err := openFakeStore(3, l)
	must(t, err)
	return s.pages
}

func TestVerdictBringsALoader(t *testing.T) {
	fsys := vfs.NewFault(vfs.NewMem())
	d := openMem(t, fsys, Options{})
	r := rand.New(rand.NewPCG(1, 0))
	s := &hungryStore{fakeStore: newFakeStore(3)}
	var old meta.Loader
	var oldImage image
	for i := range 40 {
		s.scribble(r, 30)
		must(t, d.Save(ctx, s, nil))
		if s.got == nil || s.got.Base() != s.base {
			t.Fatalf("checkpoint %d: loader %v, base %v", i, s.got, s.base)
		}
		if what := diff(loadedImage(t, s.got), s.pages); what != "" {
			t.Fatalf("checkpoint %d: %s", i, what)
		}
		if old != nil { // what a store has not let go of stays readable
			if what := diff(loadedImage(t, old), oldImage); what != "" {
				t.Fatalf("checkpoint before %d: %s", i, what)
			}
			must(t, old.(io.Closer).Close())
		}
		old, oldImage = s.got, s.pages.clone()
	}
	must(t, old.(io.Closer).Close())
	s.got = nil
	s.scribble(r, 30)
	must(t, d.Save(ctx, s, nil))
	must(t, s.got.(io.Closer).Close())
	must(t, s.got.(io.Closer).Close()) // a second time does nothing
	if _, err := d.Retire(ctx); err != nil {
		t.Fatal(err)
	}
	if ids, err := d.List(); err != nil || len(ids) != 1 {
		t.Errorf("checkpoints %v are left, %v: want the newest", ids, err)
	}
	fsys.Fail(1, func(c vfs.Call) bool { return c.Op == "open" }, vfs.Failure{Err: errors.New("no more files")})
	s.scribble(r, 30)
	if err := d.Save(ctx, s, nil); err != nil || s.got != nil {
		t.Errorf("a checkpoint that cannot be opened: %v, loader %v; it is committed all the same", err, s.got)
	}
}

func TestOrderIsNewestFirst(t *testing.T) {
	d := openMem(t, vfs.NewMem(), Options{})
	s := newFakeStore(3)
	a, b := s.shard(0), s.shard(1)
	for range 40 {
		s.grow(a, 1)
		s.grow(b, 2)
	}
	must(t, d.Save(ctx, s, nil))
	s.set(b, 33, 1, 9)
	s.set(b, 35, 1, 9)
	must(t, d.Save(ctx, s, nil))
	s.set(a, 20, 1, 9)
	must(t, d.Save(ctx, s, nil))
	c, err := d.Latest()
	must(t, err)
	var got []place
	for id, p := range c.Order(3) {
		if got = append(got, place{page: p, at: int64(id.Group())}); len(got) == 3 {
			break
		}
	}
	if want := []place{{page: 20}, {page: 33, at: 1}, {page: 0}}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("order %v, want %v", got, want)
	}
	for range c.Order(4) {
		t.Error("another operator has pages")
	}
}
