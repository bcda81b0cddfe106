package mmapstate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// State several times its memory limit, over real delta files, against Go maps.

const (
	largerLimit = 2 << 20
	largerKeys  = 90_000
)

type largerValue [8]uint64

type largerModel struct {
	cells map[uint64]largerValue
	texts map[string]string
}

func (m largerModel) clone() largerModel {
	return largerModel{maps.Clone(m.cells), maps.Clone(m.texts)}
}

type largerSim struct {
	t     *testing.T
	r     *rand.Rand
	fs    vfs.FS
	path  string
	dir   *snapshotter.Dir
	from  *snapshotter.Checkpoint
	s     *mmapstate.Store
	cells mmapstate.CellMap[uint64, largerValue]
	texts *mmapstate.Bytes
	keyer *mmapstate.Keyer[string]
	want  largerModel
	last  largerModel // as of the last committed checkpoint
	limit int64
	peak  int64 // bytes resident after Maintain
	lost  mmapstate.Stats
}

func (m *largerSim) open() {
	m.t.Helper()
	var err error
	if m.dir, err = snapshotter.Open(m.path, snapshotter.Options{FS: m.fs}); err != nil {
		m.t.Fatal(err)
	}
	opt := mmapstate.Options{KeyGroups: 4, HashSeed: 7, MemoryLimit: m.limit, Preload: m.r.IntN(2) == 0}
	switch m.from, err = m.dir.Latest(); {
	case errors.Is(err, meta.ErrNotFound):
		m.s = mmapstate.New(opt)
	case err != nil:
		m.t.Fatal(err)
	default:
		if m.s, err = mmapstate.Open(opt, m.from); err != nil {
			m.t.Fatal(err)
		}
	}
	if m.cells, err = mmapstate.NewCellMap[uint64, largerValue](m.s, "cells"); err != nil {
		m.t.Fatal(err)
	}
	if m.keyer, err = mmapstate.NewKeyer[string](m.s.HashSeed(), m.s.KeyGroups()); err != nil {
		m.t.Fatal(err)
	}
	if m.texts, err = m.s.Bytes("texts", m.keyer.Shape(), "raw"); err != nil {
		m.t.Fatal(err)
	}
}

// close drops everything that was not committed.
func (m *largerSim) close() {
	st := m.s.Stats()
	m.lost.Loads, m.lost.Evictions, m.lost.AtLimit = m.lost.Loads+st.Loads, m.lost.Evictions+st.Evictions, m.lost.AtLimit+st.AtLimit
	if err := errors.Join(m.s.Close(), m.dir.Close()); err != nil {
		m.t.Fatal(err)
	}
	m.want = m.last.clone()
}

// key prefers some of the keys.
func (m *largerSim) key() uint64 {
	if m.r.IntN(3) == 0 {
		return m.r.Uint64N(largerKeys)
	}
	return 1000*m.r.Uint64N(9) + m.r.Uint64N(20)
}

func (m *largerSim) step(write bool) {
	k := m.key()
	text := fmt.Sprint("key ", k%30000)
	id := m.keyer.Key(&text)
	if v, ok := m.cells.Get(k); v != m.want.cells[k] || ok != (v != largerValue{}) {
		m.t.Fatalf("key %d: %v %v, want %v", k, v, ok, m.want.cells[k])
	}
	if v, ok := m.texts.Get(id, nil); string(v) != m.want.texts[text] || ok != (len(v) > 0) {
		m.t.Fatalf("%s: %q %v, want %q", text, v, ok, m.want.texts[text])
	}
	if !write {
		return
	}
	switch m.r.IntN(8) {
	case 0:
		delete(m.want.cells, k)
		m.cells.Delete(k)
	case 1:
		v := fmt.Sprint(text, " ", m.r.Uint64())
		m.want.texts[text] = v
		if err := m.texts.Put(id, []byte(v)); err != nil {
			m.t.Fatal(err)
		}
	default:
		p := m.cells.Ref(k)
		p[m.r.IntN(8)] = m.r.Uint64() | 1
		m.want.cells[k] = *p
	}
}

// save writes a checkpoint, half of the time while the store goes on.
func (m *largerSim) save() {
	ctx := context.Background()
	cut, err := m.s.Freeze()
	if err != nil {
		m.t.Fatal(err)
	}
	snap := m.want.clone()
	written := make(chan error, 1)
	go func() { written <- m.dir.Write(ctx, cut, nil) }()
	if m.r.IntN(2) == 0 {
		for range 4 {
			m.batch()
			m.s.Gather(0)
		}
	}
	if err := errors.Join(cut.Wait(ctx), <-written); err != nil {
		m.t.Fatal(err)
	}
	m.last = snap
	if m.from != nil && m.r.IntN(4) == 0 {
		m.from.Close() // the store has a loader of its own; only a preload may still need this one
		m.from = nil
	}
}

func (m *largerSim) batch() {
	for range 8 {
		m.step(m.r.IntN(4) == 0)
	}
	m.maintain()
}

func (m *largerSim) maintain() {
	if err := m.s.Maintain(); err != nil {
		m.t.Fatal(err)
	}
	resident := m.s.Stats().Resident * meta.PageSize
	if over := m.limit > 0 && resident > m.limit; over != m.s.NeedsCheckpoint() {
		m.t.Fatalf("%d bytes are resident of %d, needs a checkpoint: %v", resident, m.limit, !over)
	}
	if m.limit > 0 {
		m.peak = max(m.peak, resident)
	}
}

func (m *largerSim) run(rounds int) {
	m.open()
	for k := range uint64(largerKeys) {
		v := largerValue{k + 1}
		m.cells.Set(k, v)
		m.want.cells[k] = v
	}
	m.save()
	m.close()
	m.limit = largerLimit
	m.open()
	for range rounds {
		for range 40 {
			m.batch()
			m.relieve()
		}
		if m.r.IntN(2) == 0 {
			m.save()
		}
		if m.r.IntN(6) == 0 {
			m.close()
			m.open()
		}
	}
}

// relieve does what the owner of a store at its limit does: it waits for a checkpoint.
func (m *largerSim) relieve() {
	if m.maintain(); m.s.NeedsCheckpoint() {
		m.save()
		if m.maintain(); m.s.NeedsCheckpoint() {
			m.save() // what was written while the first one was under way
			m.maintain()
		}
	}
}

func (m *largerSim) compare() {
	m.t.Helper()
	n := 0
	for k, v := range m.cells.All() {
		if n++; v != m.want.cells[k] {
			m.t.Fatalf("key %d: %v, want %v", k, v, m.want.cells[k])
		}
	}
	if n != len(m.want.cells) || m.texts.Len() != len(m.want.texts) {
		m.t.Fatalf("%d cells and %d texts, want %d and %d", n, m.texts.Len(), len(m.want.cells), len(m.want.texts))
	}
	m.maintain()
	if err := m.s.Check(); err != nil {
		m.t.Fatal(err)
	}
}

func TestLargerThanMemory(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": vfs.OS()} {
		t.Run(name, func(t *testing.T) {
			m := &largerSim{t: t, r: rand.New(rand.NewPCG(1, 2)), fs: fs, path: "job", want: largerModel{map[uint64]largerValue{}, map[string]string{}}}
			m.last = m.want.clone()
			if name == "disk" {
				m.path = t.TempDir()
			}
			rounds := 40
			if mmapstate.RaceBuild {
				rounds = 8
			}
			m.run(rounds)
			m.compare()
			m.close()
			m.open()
			m.compare()
			pages := m.s.Stats().Pages
			m.close()
			if state := pages * meta.PageSize; state < 3*largerLimit || m.peak > 2*largerLimit {
				t.Errorf("%d bytes of state with at most %d resident: limit %d", state, m.peak, largerLimit)
			}
			if m.lost.Evictions == 0 || m.lost.AtLimit == 0 {
				t.Errorf("%d loads, %d evictions, %d times at the limit", m.lost.Loads, m.lost.Evictions, m.lost.AtLimit)
			}
			t.Logf("%d bytes of state, at most %d resident after Maintain; %d loads, %d evictions, %d times at the limit",
				pages*meta.PageSize, m.peak, m.lost.Loads, m.lost.Evictions, m.lost.AtLimit)
		})
	}
}
