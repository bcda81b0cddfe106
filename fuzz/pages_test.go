package fuzz

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// liar is a meta.Loader of the specimen whose pages were patched.
type liar struct {
	sp     *specimen
	shards []meta.Shard
	pages  map[pageID][]byte // those that were
}

func (l *liar) Base() meta.Base {
	return meta.Base{Job: l.sp.metadata.Job, Checkpoint: l.sp.metadata.ID}
}

func (l *liar) Hash() (name string, seed uint64, keyGroups int) {
	return l.sp.metadata.HashName, l.sp.metadata.HashSeed, int(l.sp.metadata.KeyGroups)
}

func (l *liar) States(meta.OperatorNo) []meta.State { return l.sp.metadata.Operators[0].States }
func (l *liar) Shards(meta.OperatorNo) []meta.Shard { return l.shards }

func (l *liar) Load(_ context.Context, s meta.ShardID, first meta.PageNo, dst []byte) error {
	for i := range meta.PageNo(len(dst) / meta.PageSize) {
		id := pageID{s, first + i}
		pg := l.sp.pages[id]
		if patched := l.pages[id]; patched != nil {
			pg = patched
		}
		if copy(dst[i*meta.PageSize:][:meta.PageSize], pg) == 0 {
			return fmt.Errorf("no page %d: %w", first+i, meta.ErrDamaged)
		}
	}
	return nil
}

// newLiar patches pages; some patches are for the counts in the metadata.
func newLiar(all []patch) *liar {
	sp := soundSpecimen()
	l := &liar{sp: sp, pages: map[pageID][]byte{}}
	for _, sh := range sp.metadata.Operators[0].Shards {
		sh.States = slices.Clone(sh.States)
		l.shards = append(l.shards, sh)
	}
	for _, p := range all {
		sh := &l.shards[int(p.where)%len(l.shards)]
		if p.how >= 240 {
			st := &sh.States[int(p.at)%len(sh.States)]
			st.Entries, st.Earliest = uint64(p.value), int64(p.at)
			continue
		}
		pages := l.sp.metadata.Operators[0].Shards[int(p.where)%len(l.shards)].Pages
		id := pageID{sh.ID, meta.PageNo(p.at>>12) % meta.PageNo(pages)}
		if l.pages[id] == nil {
			l.pages[id] = slices.Clone(sp.pages[id])
		}
		part := l.pages[id]
		if p.how >= 120 {
			part = part[:meta.LineSize] // headers are where the references are
		}
		p.at &= meta.PageSize - 1
		p.apply(part)
	}
	return l
}

// FuzzPages restores a store from pages that lie, and uses everything: an access ends, and fails with a
// *mmapstate.Failure if it fails. A view of them gives valid JSON or an error.
func FuzzPages(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		defer watch(stringer(fmt.Sprint(b)))()
		l := newLiar(patches(b[1:]))
		use(t, b[0], l)
		view(t, l)
	})
}

type stringer string

func (s stringer) String() string { return string(s) }

// view goes through all states as a program without the types does.
func view(t *testing.T, l *liar) {
	v, err := mmapstate.OpenView(l, 0)
	if err != nil {
		return
	}
	for _, s := range v.States() {
		for e, err := range s.All(t.Context(), nil) {
			if err == nil && !json.Valid(e.Append(nil)) {
				t.Fatalf("state %q: no JSON: %s", s.Name, e.Append(nil))
			}
		}
	}
}

// use opens the store and goes through the tables. Wrong answers are what a spoiled page may give.
func use(t *testing.T, how byte, l *liar) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := mmapstate.Recovered(v); !ok {
				panic(v)
			}
		}
	}()
	s, err := mmapstate.Open(mmapstate.Options{Lazy: how&1 != 0, Preload: how&2 != 0, MemoryLimit: int64(how>>2&1) << 17}, l)
	if err != nil {
		return
	}
	defer s.Close()
	m := newSim(script{config: specimenConfig})
	m.store = s
	if how&8 != 0 {
		m.now = [2]int64{500, clockLead + 500} // some have expired
	}
	m.tick(1, 1)
	ttls := someTTLs(specimenConfig[5])
	if how&16 != 0 {
		ttls = someTTLs(how) // others: states are laid out anew
	}
	for i, tab := range m.tables {
		tab.load(nil)
		if err := tab.declare(s, ttls[i]); err != nil && s.Err() == nil {
			t.Fatalf("%s: %v", tableNames[i], err)
		}
	}
	r := rand.New(rand.NewPCG(uint64(how), 5))
	for range 60 {
		for i, tab := range m.tables {
			_ = tab.step(useTable(i, r.IntN(10), byte(r.IntN(130)), byte(r.Uint32()), byte(r.IntN(80))))
		}
		s.Expire(9)
		if s.Maintain() != nil {
			return
		}
	}
	if how&32 != 0 {
		for i, tab := range m.tables {
			_ = tab.step(useTable(i, []int{12, 12, 12, 12, 12, 7, 7, 7, 7, 8}[i], 0, 64, 255))
		}
	}
	if _, err := s.Freeze(); err == nil {
		s.Gather(time.Hour)
	}
	_ = s.Check()
}

func TestCorpusOfPages(t *testing.T) {
	corpus(t, "FuzzPages", 80, func(r *rand.Rand) []byte {
		b := []byte{byte(r.Uint32())}
		for range 1 + r.IntN(5) {
			p := randomPatch(r)
			p.at = r.Uint32N(1 << 20)
			b = append(b, p.bytes()...)
		}
		return b
	})
}

// Most entries spoil something that is noticed, else the target does not reach the checks.
func TestCorpusOfPagesIsNoticed(t *testing.T) {
	noticed := 0
	const entries = 80
	for i := range entries {
		r := rand.New(rand.NewPCG(uint64(i), 22))
		var all []patch
		for range 3 {
			p := randomPatch(r)
			p.at, p.how = r.Uint32N(1<<20), p.how%240
			all = append(all, p)
		}
		s, err := mmapstate.Open(mmapstate.Options{}, newLiar(all))
		if err != nil {
			noticed++
			continue
		}
		if err := s.Check(); err != nil {
			noticed++
		}
		if err := s.Close(); err != nil && !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	}
	if noticed < entries/2 {
		t.Errorf("%d of %d spoiled checkpoints were noticed", noticed, entries)
	}
}
