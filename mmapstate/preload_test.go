package mmapstate

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// gated is a chain whose loads can be watched, held up and made to fail.
type gated struct {
	*chain
	mu    sync.Mutex
	asked []pageID
	gate  chan struct{} // if not nil, a load takes one,
	hold  *pageID       // or only the load of this page
	fail  error
	order []pageID
}

func (g *gated) Load(ctx context.Context, shard meta.ShardID, first meta.PageNo, dst []byte) error {
	g.mu.Lock()
	g.asked = append(g.asked, pageID{shard, first})
	fail := g.fail
	g.mu.Unlock()
	if g.gate != nil && (g.hold == nil || *g.hold == pageID{shard, first}) {
		select {
		case <-g.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		return fail
	}
	return g.chain.Load(ctx, shard, first, dst)
}

func (g *gated) Order(meta.OperatorNo) iter.Seq2[meta.ShardID, meta.PageNo] {
	return func(yield func(meta.ShardID, meta.PageNo) bool) {
		for _, p := range g.order {
			if !yield(p.shard, p.page) {
				return
			}
		}
	}
}

func (g *gated) loads() []pageID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}

// saved commits a store of n keys in two shards and gives the checkpoint.
func saved(t *testing.T, n uint64) *chain {
	t.Helper()
	s, _ := filled(t, Options{KeyGroups: 2}, n)
	c := &chain{}
	cut := freeze(t, s)
	go write(cut, c)
	if err := cut.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	return c
}

func reopen(t *testing.T, from meta.Loader, opt Options) (*Store, CellMap[uint64, int64]) {
	t.Helper()
	s, err := Open(opt, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m, err := NewCellMap[uint64, int64](s, "m")
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

func TestPreloadMakesAllResident(t *testing.T) {
	g := &gated{chain: saved(t, 50_000)}
	g.order = []pageID{{meta.MakeShardID(0, 1), 40}, {meta.MakeShardID(0, 7), 3}, {meta.MakeShardID(0, 1), 47}, {meta.MakeShardID(0, 0), 90000}}
	s, m := reopen(t, g, Options{Lazy: true, Preload: true})
	<-s.preload.done
	if err := s.Maintain(); err != nil || s.preload != nil {
		t.Fatalf("the background loader has ended: %v", err)
	}
	if st := s.Stats(); st.Resident != st.Pages || !s.shards[0].allResident || !s.shards[1].allResident {
		t.Errorf("%d of %d pages are resident", st.Resident, st.Pages)
	}
	asked := g.loads()
	if asked[0] != (pageID{meta.MakeShardID(0, 1), 32}) {
		t.Errorf("first load %v, want the group that the checkpoint names first", asked[0])
	}
	if groups := s.shards[0].groups() + s.shards[1].groups(); len(asked) != int(groups) {
		t.Errorf("%d loads of %d groups", len(asked), groups)
	}
	for i := range uint64(50_000) {
		if v, ok := m.Get(i); !ok || v != int64(i) {
			t.Fatalf("key %d: %d %v", i, v, ok)
		}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestOwnerWaitsForAClaimedGroup(t *testing.T) {
	from := saved(t, 50_000)
	synctest.Test(t, func(t *testing.T) { ownerWaits(t, from) })
}

func ownerWaits(t *testing.T, from *chain) {
	g := &gated{chain: from, gate: make(chan struct{}), hold: &pageID{shard: meta.MakeShardID(0, 0)}}
	s, m := reopen(t, g, Options{Lazy: true, Preload: true})
	synctest.Wait()                                       // the background loader has claimed the first group, and does not get on
	time.AfterFunc(time.Second, func() { close(g.gate) }) // once the owner waits, too
	for i := range uint64(50_000) {
		if v, ok := m.Get(i); !ok || v != int64(i) {
			t.Fatalf("key %d: %d %v", i, v, ok)
		}
	}
	asked := g.loads()
	slices.SortFunc(asked, func(a, b pageID) int { return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.page, b.page)) })
	if once := slices.Compact(slices.Clone(asked)); len(once) != len(asked) {
		t.Errorf("%d loads of %d groups: some were loaded twice", len(asked), len(once))
	}
	s.Close()
}

func TestFailedPreloadPoisons(t *testing.T) {
	boom := errors.New("disk on fire")
	touches := map[string]func(*Store, CellMap[uint64, int64]) error{
		"maintain": func(s *Store, _ CellMap[uint64, int64]) error { return s.Maintain() },
		"freeze": func(s *Store, _ CellMap[uint64, int64]) error {
			_, err := s.Freeze()
			return err
		},
		"lookup": func(s *Store, m CellMap[uint64, int64]) (err error) {
			defer catch(&err)
			m.Get(1)
			return nil
		},
	}
	for name, touch := range touches {
		t.Run(name, func(t *testing.T) {
			g := &gated{chain: saved(t, 5000), fail: boom}
			s, m := reopen(t, g, Options{Lazy: true, Preload: true})
			<-s.preload.done
			if err := touch(s, m); !errors.Is(err, boom) {
				t.Fatalf("error %v, want %v", err, boom)
			}
			if _, err := s.Freeze(); !errors.Is(err, boom) {
				t.Errorf("Freeze afterwards: %v", err)
			}
		})
	}
}

func TestCloseEndsAPreload(t *testing.T) {
	g := &gated{chain: saved(t, 5000), gate: make(chan struct{})}
	s, _ := reopen(t, g, Options{Lazy: true, Preload: true})
	done := s.preload.done
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
}

func TestPreloadKeepsToTheLimit(t *testing.T) {
	c := saved(t, 200_000)
	const limit = 20 * blockSize
	s, m := reopen(t, c, Options{Preload: true, MemoryLimit: limit})
	<-s.preload.done
	if err := s.Maintain(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Resident*pageSize > limit || st.Resident*pageSize < limit/2 {
		t.Errorf("%d bytes resident, limit %d", st.Resident*pageSize, limit)
	}
	for i := range uint64(10_000) {
		if v, ok := m.Get(i); !ok || v != int64(i) {
			t.Fatalf("key %d: %d %v", i, v, ok)
		}
		if i%64 == 0 {
			s.Maintain()
		}
	}
	if err := s.Maintain(); err != nil || s.NeedsCheckpoint() || s.Stats().Resident*pageSize > limit {
		t.Errorf("%v, needs a checkpoint %v, %d bytes resident of %d", err, s.NeedsCheckpoint(), s.Stats().Resident*pageSize, limit)
	}
	if s.Stats().Mapped > limit+3*regionSize {
		t.Errorf("%d bytes mapped: evicted blocks are not used again", s.Stats().Mapped)
	}
}

// What the owner has loaded, changed and evicted comes back from the newer checkpoint, though the background loader only
// gets there now, with the older one.
func TestPreloadNeverBringsBackTheOld(t *testing.T) {
	g := &gated{chain: saved(t, 50_000), gate: make(chan struct{})}
	g.hold = &pageID{shard: meta.MakeShardID(0, 0)} // the background loader begins there, and the owner does not go there
	newer := g.chain.frozen()
	s, m := reopen(t, g, Options{Lazy: true, Preload: true})
	var hit []uint64
	for i := range uint64(50_000) {
		if k := m.keyer.Key(&i); k.Group == 1 {
			*m.Ref(i) += 1_000_000
			hit = append(hit, i)
		}
	}
	commitTo(t, s, newer)
	if s.Evict(1<<40) == 0 {
		t.Fatal("nothing was evicted")
	}
	close(g.gate) // now the background loader gets to the groups that the owner had
	<-s.preload.done
	for _, i := range hit {
		if v, ok := m.Get(i); !ok || v != int64(i)+1_000_000 {
			t.Fatalf("key %d: %d %v, want %d", i, v, ok, i+1_000_000)
		}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestPreloadChecksPages(t *testing.T) {
	c := saved(t, 5000)
	c.spoil = func(_ meta.ShardID, first meta.PageNo, dst []byte) { dst[len(dst)-pageSize] = 99 } // no kind of page
	s, _ := reopen(t, c, Options{Lazy: true, Preload: true})
	<-s.preload.done
	if err := s.Maintain(); !errors.Is(err, meta.ErrDamaged) {
		t.Errorf("a damaged page was loaded in the background: %v", err)
	}
}

// closable is a loader that counts how often it is closed.
type closable struct {
	*chain
	closed int
}

func (c *closable) Close() error {
	c.closed++
	return nil
}

func TestLoadersOfVerdictsAreClosed(t *testing.T) {
	s, m := filled(t, Options{KeyGroups: 2}, 3000)
	c := &chain{}
	var given []*closable
	commit := func(done func(meta.Cut, meta.Verdict)) {
		m.Set(1, 1)
		cut := freeze(t, s)
		r := newReader(cut)
		for !r.done {
			s.Gather(time.Hour)
			if err := r.drain(); err != nil {
				t.Fatal(err)
			}
		}
		l := &closable{chain: c.frozen()}
		given = append(given, l)
		v := verdict(c.commit(r))
		v.Loader = l
		done(cut, v)
	}
	settle := func() {
		if done, err := s.Settle(); !done || err != nil {
			t.Fatal(done, err)
		}
	}
	commit(func(cut meta.Cut, v meta.Verdict) { cut.Done(v); settle() })
	commit(func(cut meta.Cut, v meta.Verdict) { cut.Done(v); settle() })
	if given[0].closed != 1 || given[1].closed != 0 {
		t.Errorf("after the second verdict: first closed %d times, second %d times", given[0].closed, given[1].closed)
	}
	commit(func(cut meta.Cut, v meta.Verdict) { // the owner has given up by then
		_ = cut.Wait(ended)
		cut.Done(v)
	})
	commit(func(cut meta.Cut, v meta.Verdict) { // closed with the verdict not taken in
		cut.Done(v)
		s.Close()
	})
	for i, l := range given {
		if l.closed != 1 {
			t.Errorf("loader %d was closed %d times", i, l.closed)
		}
	}
}
