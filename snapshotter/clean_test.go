package snapshotter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// chainRun is a job of one operator in several stores whose state changes evenly, and what its chain came to.
type chainRun struct {
	d      *Dir
	o      Options
	rnd    *rand.Rand
	stores []*fakeStore
	turn   bool // the hand has gone round: the steady state

	files          int
	space          float64
	fresh, written int64
	wholes         int // checkpoints that were asked to be whole
}

func newChainRun(t testing.TB, seed uint64, pages int, o Options) *chainRun {
	t.Helper()
	o.FS, o.small = vfs.NewMem(), -1
	d, err := Open("/state/job", o)
	must(t, err)
	r := &chainRun{d: d, o: o, rnd: rand.New(rand.NewPCG(seed, 0))}
	s := newFakeStore(1)
	for i := range pages {
		s.grow(s.shard(i%8), byte(i))
	}
	r.stores = []*fakeStore{s}
	return r
}

// update changes n lines anywhere.
func (r *chainRun) update(n int) {
	for range n {
		s := r.stores[r.rnd.IntN(len(r.stores))]
		for try := 0; try < 20; try++ {
			sh := s.shard(r.rnd.IntN(8))
			if len(s.pages[sh]) > 0 {
				s.set(sh, r.rnd.IntN(len(s.pages[sh])), r.rnd.IntN(meta.PageLines), byte(r.rnd.Uint32()))
				break
			}
		}
	}
}

// save makes a checkpoint, or begins one and gives it up.
func (r *chainRun) save(t testing.TB, abort bool) Info {
	t.Helper()
	p, err := r.d.Begin()
	must(t, err)
	var cuts []*fakeCut
	for _, s := range r.stores {
		cuts = append(cuts, s.freeze())
		p.Add(cuts[len(cuts)-1])
	}
	if abort {
		p.Abort(meta.ErrAborted)
		for _, c := range cuts {
			c.Wait(ctx)
		}
		return Info{}
	}
	info, err := p.Publish(ctx, &meta.Metadata{})
	must(t, err)
	for _, c := range cuts {
		must(t, c.Wait(ctx))
	}
	_, err = r.d.Retire(ctx)
	must(t, err)
	r.note(info)
	return info
}

func (r *chainRun) note(i Info) {
	if i.Asked != "" {
		r.wholes++
	}
	if r.turn {
		r.files = max(r.files, i.Files)
		r.space = max(r.space, float64(i.Stored)/float64(i.Live))
		r.fresh += i.Fresh
		r.written += i.Written
	}
	r.turn = r.turn || r.d.current.Sweep.Turn >= 2
}

// image is what the stores hold together.
func (r *chainRun) image() image {
	all := image{}
	for _, s := range r.stores {
		for sh, pages := range s.pages {
			all[sh] = pages
		}
	}
	return all
}

// restore compares the newest checkpoint with the stores, which must be unchanged since, and goes on with what was read,
// in n stores.
func (r *chainRun) restore(t testing.TB, n int) {
	t.Helper()
	c, err := r.d.Latest()
	must(t, err)
	defer c.Close()
	s, err := openFakeStore(1, c)
	must(t, err)
	if what := diff(s.pages, r.image()); what != "" {
		t.Fatalf("checkpoint %d: %s", c.Meta.ID, what)
	}
	r.stores = nil
	for i := range n {
		part := newFakeStore(1)
		part.base = s.base
		for g := i; g < 8; g += n {
			if sh := s.shard(g); s.pages[sh] != nil {
				part.pages[sh], part.dirty[sh] = s.pages[sh], s.dirty[sh]
			}
		}
		r.stores = append(r.stores, part)
	}
}

// TestChainBounds sees the chain in its steady state: never whole again, and within the bounds that clean.go states. 800
// lines of 8 MiB are what 100,000 are of 1 GiB.
func TestChainBounds(t *testing.T) {
	for _, tt := range []struct {
		updates      int
		space, ratio float64
	}{{200, 2.1, 7}, {800, 2, 4}, {1600, 2, 4}, {8000, 2, 3}} {
		t.Run(fmt.Sprint(tt.updates), func(t *testing.T) {
			t.Parallel()
			r := newChainRun(t, 1, 2048, Options{})
			defer r.d.Close()
			for i := 0; r.d.current == nil || r.d.current.Sweep.Turn < 4; i++ {
				r.update(tt.updates)
				if info := r.save(t, false); info.Asked != "" {
					t.Errorf("checkpoint %d asks for a whole one: %s", i, info.Asked)
				}
			}
			r.restore(t, 1)
			ratio := float64(r.written) / float64(r.fresh)
			t.Logf("%d files, %.2f of the live bytes, %.2f written for each fresh byte", r.files, r.space, ratio)
			if r.files > maxFiles || r.space > tt.space || ratio > tt.ratio {
				t.Error("out of bounds")
			}
		})
	}
}

// TestSweepWorkload sees that the workload of that name drops files though no checkpoint is whole.
func TestSweepWorkload(t *testing.T) {
	i := slices.IndexFunc(workloads, func(l workload) bool { return l.name == "sweep" })
	w := newWorld(vfs.NewMem(), workloads[i].o, func(string) {})
	defer w.close()
	for _, s := range workloads[i].steps {
		must(t, s(w))
	}
	if m := w.d.current; m.Sweep.Turn != 2 || m.Files[0].Checkpoint == 1 || len(m.Files) < 2 {
		t.Errorf("the hand is at %+v with %d files, the oldest of checkpoint %d", m.Sweep, len(m.Files), m.Files[0].Checkpoint)
	}
}

// TestCleanedChainHasAll lets jobs of all sorts run while their chains are cleaned, and compares what is restored.
func TestCleanedChainHasAll(t *testing.T) {
	seeds := uint64(12)
	if quick() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := newChainRun(t, seed, 200, Options{Retained: 1 + int(seed%3)})
			defer func() { r.d.Close() }()
			for range 300 {
				r.step(t)
				r.studied()
			}
			r.save(t, false)
			r.restore(t, 1)
			if turns := int(r.d.current.Sweep.Turn) - r.wholes; turns < 1 {
				t.Errorf("the hand has not gone round but by whole checkpoints")
			}
		})
	}
}

// studied waits until no file is being studied: what a test sees does not depend on how long that takes.
func (r *chainRun) studied() {
	r.d.study.mu.Lock()
	done := r.d.study.done
	r.d.study.mu.Unlock()
	if done != nil {
		<-done
	}
}

// rewind goes back by one checkpoint and leaves it to the next restore to compare.
func (r *chainRun) rewind(t *testing.T) {
	ids, err := r.d.List()
	must(t, err)
	if len(ids) < 2 {
		return
	}
	r.d.Revoke()
	must(t, r.d.Rewind(ctx, ids[len(ids)-2]))
	c, err := r.d.Latest()
	must(t, err)
	defer c.Close()
	s, err := openFakeStore(1, c)
	must(t, err)
	r.stores = []*fakeStore{s}
}

// step changes some of the state and mostly saves it.
func (r *chainRun) step(t *testing.T) {
	s := r.stores[r.rnd.IntN(len(r.stores))]
	if r.rnd.IntN(8) == 0 {
		if sh := s.shard(r.rnd.IntN(8)); len(s.pages[sh]) > 0 {
			s.grow(sh, byte(r.rnd.Uint32()))
		}
	}
	r.update(r.rnd.IntN(300))
	switch r.rnd.IntN(20) {
	case 0, 1:
		r.save(t, true)
	case 2:
		r.save(t, false)
		r.restore(t, 1+r.rnd.IntN(3)) // a restart, rescaled: the stores have forgotten what they were asked
	case 3:
		r.rewind(t)
	case 4:
		r.save(t, false)
		must(t, r.d.Close())
		d, err := Open("/state/job", r.d.o)
		must(t, err)
		r.d = d
		r.restore(t, 1)
	default:
		r.save(t, false)
	}
}

// TestFreshOfWhole: what is whole because it cannot be otherwise was all written; what is whole to clean the chain, carried.
func TestFreshOfWhole(t *testing.T) {
	for name, o := range map[string]Options{"first": {}, "always whole": {Whole: true}, "embedded": {Embed: 1 << 20}} {
		r := newChainRun(t, 1, 64, o)
		if info := r.save(t, false); !info.Whole || info.Written == 0 || info.Fresh != info.Written {
			t.Errorf("%s: %d bytes fresh of %d, whole: %t", name, info.Fresh, info.Written, info.Whole)
		}
		r.update(1)
		if info := r.save(t, false); info.Fresh == 0 || info.Whole && info.Fresh != info.Written {
			t.Errorf("%s: %d bytes fresh of %d, whole: %t", name, info.Fresh, info.Written, info.Whole)
		}
		must(t, r.d.Close())
	}
	r := newChainRun(t, 1, 64, Options{})
	defer r.d.Close()
	r.d.o.small = smallState
	for r.wholes == 0 {
		r.update(1)
		r.save(t, false)
	}
	r.update(1)
	if info := r.save(t, false); !info.Whole || info.Fresh*10 > info.Written {
		t.Errorf("cleaned: %d bytes fresh of %d, whole: %t", info.Fresh, info.Written, info.Whole)
	}
}
