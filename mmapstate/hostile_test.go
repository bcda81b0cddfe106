package mmapstate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Pages that lie: whatever bytes a loader delivers, an access ends, and fails with a *Failure if it fails.

// committed runs a model for a while and commits it.
func committed(t *testing.T, seed uint64) *modelSim {
	t.Helper()
	m, err := newModelSim(seed)
	if err != nil {
		t.Fatal(err)
	}
	m.ids = 4000
	for range 15000 {
		kind := m.r.IntN(len(m.kinds))
		k := m.key(kind)
		if err := m.kinds[kind].stepCells(m.r, k, true); err != nil {
			t.Fatal(err)
		}
		if err := m.kinds[kind].stepBytes(m.r, k, m.r.IntN(4) > 0); err != nil {
			t.Fatal(err)
		}
		if err := m.kinds[kind].stepIndex(m.r, k, true); err != nil {
			t.Fatal(err)
		}
		if err := m.kinds[kind].stepNested(m.r, k); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.freeze(); err != nil {
		t.Fatal(err)
	}
	if err := m.commit(); err != nil {
		t.Fatal(err)
	}
	m.s.Close()
	return m
}

func TestHostilePages(t *testing.T) {
	m := committed(t, 3)
	rounds := uint64(150)
	if raceBuild {
		rounds = 15
	}
	failed := 0
	for seed := range rounds {
		if m.abuse(t, seed) {
			failed++
		}
	}
	if failed < int(rounds)/2 {
		t.Errorf("only %d of %d damaged checkpoints were noticed: the test does not reach the checks", failed, rounds)
	}
}

// abuse restores from spoiled pages and uses everything. It tells whether the damage was noticed.
func (m *modelSim) abuse(t *testing.T, seed uint64) (noticed bool) {
	r := rand.New(rand.NewPCG(seed, 77))
	m.chain.spoil = func(_ meta.ShardID, _ meta.PageNo, dst []byte) {
		for range r.IntN(12) {
			pg := dst[r.IntN(len(dst)/pageSize)*pageSize:][:pageSize]
			switch at := r.IntN(pageSize); r.IntN(4) {
			case 0:
				pg[at] ^= 1 << r.IntN(8)
			case 1: // headers are where the references are
				pg[r.IntN(64)] = byte(r.Uint32())
			case 2: // small numbers pass for pages
				clear(pg[at&^3 : at&^3+4])
				pg[at&^3] = byte(r.Uint32())
			case 3: // one page in place of another
				copy(pg, dst[r.IntN(len(dst)/pageSize)*pageSize:][:pageSize])
			}
		}
	}
	defer func() {
		if v := recover(); v != nil {
			if _, ok := Recovered(v); !ok {
				t.Errorf("seed %d", seed)
				panic(v)
			}
			noticed = true
		}
	}()
	s, err := Open(Options{Lazy: seed%4 != 0}, m.chain)
	if err != nil {
		return true
	}
	defer s.Close()
	m.s, m.r = s, r
	if err := m.declare(); err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		kind := r.IntN(len(m.kinds))
		k := m.key(kind)
		noticed = m.kinds[kind].stepCells(r, k, r.IntN(2) == 0) != nil || noticed
		noticed = m.kinds[kind].stepBytes(r, k, r.IntN(2) == 0) != nil || noticed
		noticed = m.kinds[kind].stepIndex(r, k, r.IntN(2) == 0) != nil || noticed
		noticed = m.kinds[kind].stepNested(r, k) != nil || noticed
		s.Expire(3)
	}
	if _, err := s.Freeze(); err != nil {
		return true
	}
	s.Gather(time.Hour)
	return s.Check() != nil || noticed
}
