package mmapstate

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// gated is a chain whose loads can be watched, held up and made to fail.
type gated struct {
	*chain
	mu    sync.Mutex
	asked []pageID
	gate  chan struct{} // if not nil, a load takes one
	fail  error
	order []pageID
}

func (g *gated) Load(ctx context.Context, shard meta.ShardID, first meta.PageNo, dst []byte) error {
	g.mu.Lock()
	g.asked = append(g.asked, pageID{shard, first})
	fail := g.fail
	g.mu.Unlock()
	if g.gate != nil {
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
	for end := time.Now().Add(20 * time.Second); s.preload != nil; time.Sleep(time.Millisecond) {
		if err := s.Maintain(); err != nil || time.Now().After(end) {
			t.Fatal("not loaded in time", err)
		}
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
	g := &gated{chain: saved(t, 50_000), gate: make(chan struct{})}
	s, m := reopen(t, g, Options{Lazy: true, Preload: true})
	got := make(chan int, 1)
	go func() { // the owner, until it has answered
		n := 0
		for i := range uint64(50_000) {
			if v, ok := m.Get(i); ok && v == int64(i) {
				n++
			}
		}
		got <- n
	}()
	loads := 0
	for n := -1; n < 0; {
		select {
		case g.gate <- struct{}{}:
			loads++
		case n = <-got:
			if n != 50_000 {
				t.Errorf("%d keys of 50000 were right", n)
			}
		}
	}
	if groups := s.shards[0].groups() + s.shards[1].groups(); loads > int(groups) {
		t.Errorf("%d loads of %d groups: some were loaded twice", loads, groups)
	}
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
				t.Errorf("error %v, want %v", err, boom)
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
	if s.regions.mapped() > limit+3*regionSize {
		t.Errorf("%d bytes mapped: evicted blocks are not used again", s.regions.mapped())
	}
}
