package mmapstate

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/pagetide/pagetide/meta"
)

// settle calls Maintain as often as a round through all tables of a test takes.
func settle(t *testing.T, s *Store) {
	t.Helper()
	for range 4000 {
		if err := s.Maintain(); err != nil {
			t.Fatal(err)
		}
	}
}

// shrunk is a store whose table had n entries and lost nine of ten, and a checkpoint of each.
func shrunk(t *testing.T, n uint64) (s *Store, m CellMap[uint64, [3]uint64], c *chain, full Stats) {
	t.Helper()
	s, c = New(Options{KeyGroups: 2, HashSeed: 3}), &chain{}
	m = mustMap[uint64, [3]uint64](t, s, "cells")
	for i := range n {
		m.Ref(i)[0] = i
	}
	commitTo(t, s, c)
	full = s.Stats()
	for i := range n {
		if i%10 != 0 {
			m.Delete(i)
		}
	}
	settle(t, s)
	commitTo(t, s, c)
	return s, m, c, full
}

// wantTenth checks that every tenth of n entries is there and no other.
func wantTenth(t *testing.T, s *Store, m CellMap[uint64, [3]uint64], n uint64) {
	t.Helper()
	for i := range n {
		if v, ok := m.Get(i); ok != (i%10 == 0) || v[0] != i*uint64(b2i(ok)) {
			t.Fatalf("entry %d: %v, %v", i, v, ok)
		}
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestShrunkTableGivesMemoryBack(t *testing.T) {
	n := uint64(400_000)
	if raceBuild {
		n = 60_000
	}
	s, m, c, full := shrunk(t, n)
	defer s.Close()
	st := s.Stats()
	if st.Resident > full.Resident/4 {
		t.Errorf("%d pages are resident after nine of ten entries were deleted, %d were before", st.Resident, full.Resident)
	}
	if st.Pages != full.Pages {
		t.Errorf("%d pages, had %d: a shard's pages never become fewer", st.Pages, full.Pages)
	}
	if want := full.Bytes / 5; st.Returned < want {
		t.Errorf("%d bytes were given back, want at least %d", st.Returned, want)
	}
	for i := range s.shards {
		if !s.shards[i].allResident {
			t.Errorf("shard %d: lookups ask whether pages are resident", i)
		}
	}
	wantTenth(t, s, m, n)

	back, err := Open(Options{}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	again := mustMap[uint64, [3]uint64](t, back, "cells")
	wantTenth(t, back, again, n)
	settle(t, back)
	if got := back.Stats(); got.Resident > st.Resident+2*groupPages {
		t.Errorf("%d pages are resident after a restore, %d were before", got.Resident, st.Resident)
	}
	for i := range n { // free pages are used again, those of husks too
		again.Ref(i)[0] = i
	}
	if got := back.Stats(); got.Pages != full.Pages {
		t.Errorf("%d pages after growing again, had %d", got.Pages, full.Pages)
	}
	if err := back.Check(); err != nil {
		t.Error(err)
	}
}

func TestPoppedIndexGivesMemoryBack(t *testing.T) {
	s, c := New(Options{KeyGroups: 2, HashSeed: 3}), &chain{}
	defer s.Close()
	x, err := s.Index("timers", KeyShape{Fixed: 8, Fingerprint: "u64"})
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(100_000)
	for i := range n {
		b := store8(i)
		k := Key{Hash: hashKey(b, true, 3), Bytes: b}
		k.Group = groupOf(k.Hash, 2)
		x.Insert(k, int64(i))
	}
	full := s.Stats()
	for range n - 100 {
		x.Pop(int64(n), nil)
	}
	settle(t, s)
	if st := s.Stats(); st.Resident > 6*groupPages {
		t.Errorf("%d pages are resident for 100 entries, %d were for %d", st.Resident, full.Resident, n)
	}
	if at, ok := x.Min(); !ok || at != int64(n-100) {
		t.Errorf("earliest entry at %d, %v", at, ok)
	}
	commitTo(t, s, c)
	back, err := Open(Options{}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if err := back.Check(); err != nil {
		t.Error(err)
	}
}

// TestShrinkingUnderACut has a cut open, partly gathered, while a table shrinks, its pages become husks and are used
// again; half of the cuts are aborted. What was frozen must be what the checkpoint has.
func TestShrinkingUnderACut(t *testing.T) {
	const n = 6000
	r := rand.New(rand.NewPCG(7, 7))
	s, c := New(Options{KeyGroups: 2, HashSeed: 3}), &chain{}
	defer s.Close()
	m := mustMap[uint64, [3]uint64](t, s, "cells")
	want, husks := map[uint64]uint64{}, 0
	for round := range 40 {
		for i := range uint64(n) {
			m.Ref(i)[0] = i + uint64(round)
			want[i] = i + uint64(round)
		}
		for i := range uint64(n) {
			if round%3 == 0 || i%16 != 0 {
				m.Delete(i)
				delete(want, i)
			}
		}
		if round%2 == 0 {
			settle(t, s)
		}
		cut, at := freeze(t, s), len(want)
		read := newReader(cut)
		s.cut.step(r.IntN(200), false)
		for i := range uint64(n) / 3 {
			m.Ref(i)[0] = 99
		}
		s.cut.step(r.IntN(200), false)
		for i := range uint64(n) / 3 {
			m.Delete(i)
		}
		settle(t, s)
		for i := range s.shards {
			husks += len(s.shards[i].husks)
		}
		if round%2 == 1 {
			cut.Done(meta.Verdict{Err: errors.New("disk on fire")})
			if done, _ := s.Settle(); !done {
				t.Fatal("an abort is not taken in")
			}
			continue
		}
		for !s.cut.step(1000, false) {
		}
		if err := read.drain(); err != nil {
			t.Fatal(err)
		}
		cut.Done(verdict(c.commit(read)))
		if done, err := s.Settle(); !done || err != nil {
			t.Fatal(done, err)
		}
		back, err := Open(Options{}, c)
		if err != nil {
			t.Fatal(err)
		}
		got := mustMap[uint64, [3]uint64](t, back, "cells")
		for k, v := range want {
			if w, ok := got.Get(k); !ok || w[0] != v {
				t.Fatalf("round %d, entry %d: %v, %v, want %d", round, k, w, ok, v)
			}
		}
		if got.Len() != at {
			t.Fatalf("round %d: %d entries, want %d", round, got.Len(), at)
		}
		if err := back.Check(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		back.Close()
	}
	if husks == 0 {
		t.Error("no husk has come about")
	}
}

// TestReferenceIntoAHusk: what a damaged page makes up is refused where a husk is, as elsewhere.
func TestReferenceIntoAHusk(t *testing.T) {
	s, _, _, _ := shrunk(t, 60_000)
	defer s.Close()
	for i := range s.shards {
		sh := s.look(i)
		for g := range sh.husks {
			err := func() (err error) {
				defer catch(&err)
				sh.see(g*groupPages, pageBucket, 0)
				return nil
			}()
			if !errors.Is(err, meta.ErrDamaged) {
				t.Errorf("reference to page %d: %v", g*groupPages, err)
			}
			return
		}
	}
	t.Error("no husk has come about")
}

func TestPageIsNotFreedTwice(t *testing.T) {
	s := New(Options{KeyGroups: 1})
	defer s.Close()
	sh := s.look(0)
	p, _ := sh.alloc(pageRun, 0)
	sh.free(p)
	err := func() (err error) {
		defer catch(&err)
		sh.free(p)
		return nil
	}()
	if !errors.Is(err, meta.ErrDamaged) {
		t.Errorf("freeing a free page: %v", err)
	}
}

// TestEmptiedTablesWriteFewLines: windows come and go, and take their tables' last entries with them.
func TestEmptiedTablesWriteFewLines(t *testing.T) {
	s, c := New(Options{KeyGroups: 1, HashSeed: 3}), &chain{}
	defer s.Close()
	m := mustMap[uint64, uint64](t, s, "windows")
	x, err := s.Index("ends", KeyShape{Fixed: 8, Fingerprint: "u64"})
	if err != nil {
		t.Fatal(err)
	}
	turn := func(n uint64) {
		for i := range n {
			m.Set(i, i)
			b := store8(i)
			x.Insert(Key{Hash: hashKey(b, true, 3), Bytes: b}, int64(i))
		}
		for i := range n {
			m.Delete(i)
			x.Pop(int64(n), nil)
		}
	}
	turn(5)
	commitTo(t, s, c)
	for range 3 {
		turn(5)
		m.Set(7, 7)
		x.Insert(Key{Bytes: store8(7)}, 7)
		commitTo(t, s, c)
		m.Delete(7)
		x.Pop(7, nil)
		lines := 0
		for _, r := range c.files[len(c.files)-1] {
			lines += r.mask.Lines()
		}
		if lines == 0 || lines > 32 {
			t.Errorf("a checkpoint has %d lines", lines)
		}
	}
	commitTo(t, s, c)
	back, err := Open(Options{}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if err := back.Check(); err != nil {
		t.Fatal(err)
	}
	again, err := back.Index("ends", KeyShape{Fixed: 8, Fingerprint: "u64"})
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := again.Min(); ok || again.Len() != 0 {
		t.Errorf("the earliest entry of an empty index is at %d", at)
	}
	again.Insert(Key{Bytes: store8(1)}, 40)
	if at, ok := again.Min(); !ok || at != 40 {
		t.Errorf("the only entry is at %d, %v", at, ok)
	}
	type grown struct{ A, B uint64 }
	if _, err := NewCellMap[uint64, grown](back, "windows"); !errors.Is(err, meta.ErrIncompatible) {
		t.Errorf("another type of an empty table: %v", err)
	}
}

func TestEmptiedTableEvolves(t *testing.T) {
	s, c := New(Options{KeyGroups: 1, HashSeed: 3}), &chain{}
	defer s.Close()
	m := mustMap[uint64, struct{ A uint32 }](t, s, "cells")
	m.Ref(1).A = 1
	m.Delete(1)
	commitTo(t, s, c)
	back, err := Open(Options{Lazy: true}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	wide := mustMap[uint64, struct{ A, B uint64 }](t, back, "cells")
	for i := range uint64(300) {
		wide.Ref(i).B = i
	}
	for i := range uint64(300) {
		if v, ok := wide.Get(i); !ok || v.A != 0 || v.B != i {
			t.Fatalf("entry %d: %v, %v", i, v, ok)
		}
	}
	if err := back.Check(); err != nil {
		t.Error(err)
	}
}
