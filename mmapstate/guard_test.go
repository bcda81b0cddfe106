package mmapstate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// The random model of the guard: two small shards of the real store, whose pages hold one number per line, against
// plain Go arrays. Pages are of kind run, which leaves all but their header to us.

const (
	guardShards = 2
	guardPages  = 56 // with page 0 three page groups and more
	lineMark    = 48 // offset of our number in its line, behind the page's header
)

type guardImage [guardShards]map[uint32][meta.PageLines]uint64

func (g guardImage) clone() (c guardImage) {
	for i := range g {
		c[i] = map[uint32][meta.PageLines]uint64{}
		for p, v := range g[i] {
			c[i][p] = v
		}
	}
	return c
}

type guardSim struct {
	r     *rand.Rand
	s     *Store
	chain *chain
	read  *reader
	wish  meta.Verdict // what the last commit asked to carry
	live  guardImage   // what memory must say
	snap  guardImage   // at the open barrier
	last  guardImage   // at the last committed barrier
	n     uint64
}

func newGuardSim(seed uint64) *guardSim {
	m := &guardSim{r: rand.New(rand.NewPCG(seed, 9)), chain: &chain{}, live: guardImage{}.clone(), last: guardImage{}.clone()}
	m.s = New(Options{KeyGroups: guardShards, HashSeed: 1})
	m.s.addState(meta.State{Kind: meta.KindBytes, Name: "raw"})
	m.s.opt.MemoryLimit = 1 << 40 * int64(seed%2) // with one, absent pages are carried without being loaded
	return m
}

// pick gives a shard up to date, and a random live page of it, if there is one.
func (m *guardSim) pick() (i int, sh *shard, p uint32, ok bool) {
	i = m.r.IntN(guardShards)
	sh = m.s.look(i)
	if len(m.live[i]) == 0 {
		return i, sh, 0, false
	}
	for {
		p = 1 + m.r.Uint32N(sh.pages-1)
		if _, ok := m.live[i][p]; ok {
			return i, sh, p, true
		}
	}
}

func (m *guardSim) step() error {
	switch x := m.r.IntN(100); {
	case x < 36:
		m.write()
	case x < 50:
		return m.readOne()
	case x < 58:
		m.allocate()
	case x < 63:
		m.discard()
	case x < 69:
		m.evict()
	case x < 71:
		return m.s.Maintain()
	case x < 77:
		return m.barrier()
	case x < 87:
		return m.gather()
	case x < 93:
		return m.commit()
	case x < 96:
		return m.abort()
	case x < 97:
		return m.crash()
	case x < 98:
		m.collapse()
	case x < 99:
		m.grow()
	}
	return nil
}

func (m *guardSim) write() {
	i, sh, p, ok := m.pick()
	if !ok {
		return
	}
	v := m.live[i][p]
	l := m.r.Uint32N(meta.PageLines)
	n := 1 + m.r.Uint32N(min(2, meta.PageLines-l))
	m.n++
	pg := sh.at(p)
	sh.touch(p, lineBits(l*64+lineMark, (n-1)*64+8))
	for j := l; j < l+n; j++ {
		store64(pg, j*64+lineMark, m.n)
		v[j] = m.n
	}
	m.live[i][p] = v
}

func (m *guardSim) readOne() error {
	i, sh, p, ok := m.pick()
	if !ok {
		return nil
	}
	return samePage(fmt.Sprintf("read of shard %d page %d", i, p), sh.at(p), m.live[i][p])
}

func samePage(what string, pg *page, want [meta.PageLines]uint64) error {
	for l, w := range want {
		if got := load64(pg, uint32(l)*64+lineMark); got != w {
			return fmt.Errorf("%s, line %d: %d, want %d", what, l, got, w)
		}
	}
	return nil
}

func (m *guardSim) allocate() {
	i := m.r.IntN(guardShards)
	if len(m.live[i]) == guardPages {
		return
	}
	p, _ := m.s.look(i).alloc(pageRun, 0)
	m.live[i][p] = [meta.PageLines]uint64{}
}

func (m *guardSim) discard() {
	if i, sh, p, ok := m.pick(); ok {
		sh.at(p)
		sh.free(p)
		clear(sh.page(p)[headSize:]) // discarded: nothing keeps the old image alive
		delete(m.live[i], p)
	}
}

// collapse frees most pages of a shard, so that page groups become husks.
func (m *guardSim) collapse() {
	i := m.r.IntN(guardShards)
	sh, from := m.s.look(i), m.r.Uint32N(groupPages)
	for p := sh.pages; p > from; p-- {
		if _, ok := m.live[i][p-1]; ok && m.r.IntN(40) > 0 {
			sh.free(p - 1)
			delete(m.live[i], p-1)
		}
	}
}

func (m *guardSim) grow() {
	for range m.r.IntN(2 * guardPages) {
		m.allocate()
	}
}

func (m *guardSim) evict() { m.s.shrink(int64(1+m.r.IntN(4)) * blockSize) }

func (m *guardSim) barrier() error {
	if m.s.Cut() != nil {
		return nil
	}
	c, err := m.s.Freeze()
	if err != nil {
		return err
	}
	m.read, m.snap = newReader(c), m.live.clone()
	return nil
}

func (m *guardSim) gather() error {
	if m.s.cut == nil {
		return nil
	}
	m.s.cut.step(1+m.r.IntN(6), false)
	return m.read.drain()
}

func (m *guardSim) commit() error {
	if m.s.cut == nil {
		return nil
	}
	for !m.read.done {
		m.s.Gather(time.Hour)
		if err := m.read.drain(); err != nil {
			return err
		}
	}
	v := verdict(m.chain.commit(m.read))
	m.chain.drop(m.wish.Pages, m.wish.Lines)
	v.Whole, v.Pages, v.Lines = m.r.IntN(8) == 0, m.stretches(), m.lines()
	if m.r.IntN(4) > 0 { // else evicted groups go on to come from an older checkpoint, and no others are evicted
		v.Loader = m.chain.frozen()
	}
	m.wish = v
	m.s.cut.Done(v)
	if done, err := m.s.Settle(); !done || err != nil {
		return fmt.Errorf("settle: %v, %w", done, err)
	}
	m.last = m.snap
	return m.compare()
}

// stretches and lines are what a cleaning snapshotter might ask for, pages that do not exist included.
func (m *guardSim) stretches() (w []meta.Stretch) {
	for range m.r.IntN(3) {
		id := meta.MakeShardID(0, meta.KeyGroup(m.r.IntN(guardShards+1)))
		w = append(w, meta.Stretch{Shard: id, First: meta.PageNo(m.r.IntN(guardPages)), Count: m.r.Uint32N(20)})
	}
	return w
}

func (m *guardSim) lines() (w []meta.Head) {
	for range m.r.IntN(20) {
		id := meta.MakeShardID(0, meta.KeyGroup(m.r.IntN(guardShards)))
		mask := meta.LineMask(m.r.Uint64() & m.r.Uint64() & m.r.Uint64())
		w = append(w, meta.Head{Shard: id, Page: meta.PageNo(m.r.IntN(guardPages)), Mask: mask})
	}
	return w
}

// compare composes every page of the committed chain.
func (m *guardSim) compare() error {
	for i := range m.last {
		id := meta.MakeShardID(0, meta.KeyGroup(i))
		for p, want := range m.last[i] {
			var pg page
			if err := m.chain.Load(ended, id, meta.PageNo(p), pg[:]); err != nil {
				return err
			}
			if err := samePage(fmt.Sprintf("checkpoint %d, shard %d page %d", m.chain.id, i, p), &pg, want); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *guardSim) abort() error {
	if m.s.cut == nil {
		return nil
	}
	boom := errors.New("disk on fire")
	v := meta.Verdict{Err: boom, Pages: m.stretches(), Lines: m.lines()}
	m.wish.Pages, m.wish.Lines = append(m.wish.Pages, v.Pages...), append(m.wish.Lines, v.Lines...)
	m.s.cut.Done(v)
	if m.r.IntN(2) == 0 {
		m.write() // before the owner knows
	}
	if done, err := m.s.Settle(); !done || err != boom {
		return fmt.Errorf("settle after an abort: %v, %v", done, err)
	}
	return nil
}

func (m *guardSim) crash() error {
	if len(m.chain.files) == 0 {
		return nil
	}
	m.s.Close()
	limit := m.s.opt.MemoryLimit
	s, err := Open(Options{Lazy: true, Preload: m.r.IntN(2) == 0, MemoryLimit: limit}, m.chain.frozen())
	if err != nil {
		return err
	}
	m.s, m.live = s, m.last.clone()
	m.wish = meta.Verdict{} // what the dead process was asked for is lost with it
	return m.freeLists()
}

// freeLists checks, half of the times, that every page is alive or in the free list.
func (m *guardSim) freeLists() error {
	for i := range m.s.shards {
		sh := m.s.look(i)
		if sh.pages == 0 || m.r.IntN(2) == 0 {
			continue
		}
		c := checker{sh: sh, owned: make([]bool, sh.pages)}
		if err := c.freeList(); err != nil {
			return err
		}
		for p := uint32(1); p < sh.pages; p++ {
			if _, alive := m.live[i][p]; alive == c.owned[p] {
				return fmt.Errorf("shard %d page %d: alive and in the free list, or neither", i, p)
			}
		}
	}
	return nil
}

func (m *guardSim) run(steps int) (err error) {
	defer catch(&err)
	defer func() { m.s.Close() }()
	for i := range steps {
		if err := m.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func TestGuardAgainstModel(t *testing.T) {
	seeds := uint64(300)
	if raceBuild {
		seeds = 30
	}
	for seed := range seeds {
		if err := newGuardSim(seed).run(1200); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestGuardModelMeetsHusks counts what the model's runs come by: without that they would show nothing.
func TestGuardModelMeetsHusks(t *testing.T) {
	made, frozen, absent := 0, 0, 0
	for seed := range uint64(20) {
		m := newGuardSim(seed)
		for range 1200 {
			if err := m.step(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for i := range m.s.shards {
				sh := &m.s.shards[i]
				for g := range sh.husks {
					made++
					if p := g * groupPages; m.s.cut != nil && sh.frozen[p] != 0 && !sh.isGathered(p) {
						frozen++
					}
				}
				if len(sh.husks) > 0 && sh.absent > 0 {
					absent++
				}
			}
		}
		m.s.Close()
	}
	if made == 0 || frozen == 0 || absent == 0 {
		t.Errorf("steps with husks: %d, with one frozen and not saved: %d, beside absent groups: %d", made, frozen, absent)
	}
}
