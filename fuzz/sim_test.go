package fuzz

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"syscall"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// sim runs a script on a store with real checkpoints, and on the models of its tables.
type sim struct {
	world
	opt    mmapstate.Options
	fs     *vfs.Fault
	dir    *snapshotter.Dir
	store  *mmapstate.Store
	tables []table
	ttls   []mmapstate.TTL

	pending *snapshotter.Pending // nil if no checkpoint is under way
	cut     *tap
	wishes  meta.Verdict // what the next cut carries
	add     meta.Verdict // what the next verdict will wish for

	saved map[meta.CheckpointID]image // what a restore may find
	last  meta.CheckpointID           // the newest that was acknowledged; 0 is none
}

// image is the model at a barrier.
type image struct {
	now    [2]int64
	ttls   []mmapstate.TTL
	tables []any
}

const clockLead = 1 << 40 // how far processing time is ahead, so that times of the wrong clock show

var errDisk = errors.New("disk on fire")

// settings are what a script's first bytes say.
type settings struct {
	opt  mmapstate.Options
	keys byte
	ttl  byte
}

func (s script) settings() settings {
	c := s.config
	return settings{
		opt: mmapstate.Options{
			KeyGroups:   []int{1, 4, 128}[c[0]%3],
			HashSeed:    1 + uint64(c[1]),
			SavedLimit:  []int64{0, 0, 16 << 10, 200 << 10}[c[2]%4],
			MemoryLimit: []int64{0, 0, 0, 1, 300 << 10, 1 << 20}[c[3]%6],
		},
		keys: c[4] % 3,
		ttl:  c[5],
	}
}

func newSim(s script) *sim {
	set := s.settings()
	m := &sim{opt: set.opt, fs: vfs.NewFault(vfs.NewMem()), saved: map[meta.CheckpointID]image{}}
	switch set.keys {
	case 0:
		m.tables = tablesOf(&m.world, wordKey)
	case 1:
		m.tables = tablesOf(&m.world, textKey)
	case 2:
		m.tables = tablesOf(&m.world, wideKey)
	}
	m.ttls = someTTLs(set.ttl)
	return m
}

// someTTLs gives each table one. A seed of 0 gives none.
func someTTLs(seed byte) []mmapstate.TTL {
	all := make([]mmapstate.TTL, tableCount)
	for i := range all {
		if n := int(seed) * (i + 3); n%3 != 0 {
			all[i] = mmapstate.TTL{After: time.Duration(1 + 3<<(n%7)), Clock: mmapstate.Clock(n >> 2 & 1), Renew: mmapstate.Renewal(n >> 3 & 1)}
		}
	}
	return all
}

func (m *sim) run(s script) (err error) {
	defer func() {
		if v := recover(); v != nil {
			failure, ok := mmapstate.Recovered(v)
			if !ok {
				panic(fmt.Sprintf("%v\n%v", v, s))
			}
			err = fmt.Errorf("access to state: %w", failure)
		}
		err = errors.Join(err, m.end())
	}()
	if err := m.open(op{}); err != nil {
		return err
	}
	for i, o := range s.ops {
		if err := m.step(o); err != nil {
			return fmt.Errorf("step %d, %v: %w", i, o, err)
		}
		if m.work > maxWork {
			break
		}
	}
	return m.compare()
}

func (m *sim) end() error {
	if m.store == nil {
		return nil
	}
	err := m.store.Close()
	if m.pending != nil {
		m.pending.Abort(errDisk)
	}
	return errors.Join(err, m.dir.Close())
}

func (m *sim) step(o op) error {
	m.work++
	c, ok := o.control()
	if !ok {
		return m.tables[o.table()].step(o)
	}
	switch c {
	case ctrlTick:
		m.tick(int64(o.a)%32, int64(o.b)%32)
	case ctrlExpire:
		m.store.Expire(1 + int(o.a))
	case ctrlFreeze:
		return m.freeze()
	case ctrlGather:
		for range o.a%8 + 1 {
			m.store.Gather(0)
		}
	case ctrlCommit:
		return m.commit(o)
	case ctrlAbort:
		return m.abort(o)
	case ctrlRestore:
		return m.restore(o)
	case ctrlEvict:
		return m.evict(o)
	case ctrlKeep:
		return m.store.Maintain()
	case ctrlCarry:
		w := wish(o, m.opt.KeyGroups)
		m.add = meta.Verdict{Whole: m.add.Whole || w.Whole, Pages: append(m.add.Pages, w.Pages...), Lines: append(m.add.Lines, w.Lines...)}
	case ctrlCheck:
		m.work += int(m.store.Stats().Entries)
		return m.store.Check()
	case ctrlCompare:
		return m.compare()
	}
	return nil
}

func (m *sim) tick(event, processing int64) {
	m.now[mmapstate.EventTime] += event
	m.now[mmapstate.ProcessingTime] += processing
	m.store.SetTime(m.now[mmapstate.EventTime], m.now[mmapstate.ProcessingTime])
}

// compare reads everything.
func (m *sim) compare() error {
	for i, t := range m.tables {
		if err := t.compare(); err != nil {
			return fmt.Errorf("%s: %w", tableNames[i], err)
		}
	}
	return m.store.Check()
}

func (m *sim) image() image {
	at := image{now: m.now, ttls: m.ttls}
	for _, t := range m.tables {
		at.tables = append(at.tables, t.save())
	}
	return at
}

func (m *sim) freeze() (err error) {
	if m.pending != nil {
		return nil
	}
	at := m.image()
	cut, err := m.store.Freeze()
	if err != nil {
		return err
	}
	if m.pending, err = m.dir.Begin(); err != nil {
		return err
	}
	m.cut = &tap{Cut: cut, granted: m.wishes, seen: map[pageID]meta.LineMask{}}
	m.saved[m.pending.ID()] = at
	m.pending.Add(m.cut)
	return nil
}

// writes are the calls that a failing disk fails here: a read that fails poisons a store that loads in the background,
// and rightly so.
func writes(c vfs.Call) bool { return c.Op != "open" && c.Op != "read" }

// commit publishes, maybe over a file system that fails a call.
func (m *sim) commit(o op) error {
	if m.pending == nil {
		return nil
	}
	p := m.pending
	m.pending, m.cut.add, m.add = nil, m.add, meta.Verdict{}
	broken := o.b >= 128
	if broken {
		m.fs.Fail(1+int(o.b%32), writes, vfs.Failure{Err: syscall.EIO, Short: o.c&1 != 0, Drop: o.c&2 != 0, Sticky: o.c&4 != 0})
	}
	published := make(chan error, 1)
	go func() {
		_, err := p.Publish(context.Background(), &meta.Metadata{})
		published <- err
	}()
	waited := m.cut.Wait(context.Background())
	err := <-published
	if err == nil {
		_, retired := m.dir.Retire(context.Background())
		m.fs.Heal()
		if !broken && retired != nil {
			return fmt.Errorf("retire: %w", retired)
		}
		return m.committed(p.ID(), waited)
	}
	m.fs.Heal()
	if !errors.Is(err, snapshotter.ErrUnknownOutcome) {
		delete(m.saved, p.ID())
	}
	if !broken || waited == nil {
		return fmt.Errorf("publish: %w; the cut's end: %v", err, waited)
	}
	return nil
}

func (m *sim) committed(id meta.CheckpointID, waited error) error {
	if waited != nil || m.store.Base().Checkpoint != id {
		return fmt.Errorf("checkpoint %d is published, the store builds on %d: %w", id, m.store.Base().Checkpoint, waited)
	}
	m.last, m.wishes = id, m.cut.add
	maps.DeleteFunc(m.saved, func(other meta.CheckpointID, _ image) bool { return other < id })
	return m.cut.check()
}

// abort gives up what is under way. The store may learn of it later.
func (m *sim) abort(o op) error {
	if m.pending == nil {
		return nil
	}
	m.pending.Abort(errDisk)
	delete(m.saved, m.pending.ID())
	m.pending = nil
	if o.a&1 != 0 {
		return nil
	}
	if done, err := m.store.Settle(); !done || !errors.Is(err, meta.ErrAborted) || !errors.Is(err, errDisk) {
		return fmt.Errorf("settle after an abort: %v, %w", done, err)
	}
	return nil
}

func (m *sim) evict(o op) error {
	if m.opt.MemoryLimit == 0 && m.last != 0 {
		c, err := m.dir.Latest() // closed with the directory
		if err != nil {
			return err
		}
		if c.Base() == m.store.Base() {
			m.store.SetLoader(c)
		}
	}
	m.store.Evict(int64(o.a) << 14)
	return nil
}

// restore ends the store without a word and opens it again from what is on the disk.
func (m *sim) restore(o op) error {
	if m.pending != nil && o.a&1 != 0 {
		m.pending.Abort(errDisk)
		delete(m.saved, m.pending.ID())
		m.pending = nil
	}
	if err := m.store.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if m.pending != nil {
		delete(m.saved, m.pending.ID())
		m.pending.Abort(errDisk)
		m.pending = nil
	}
	if err := m.dir.Close(); err != nil {
		return fmt.Errorf("close directory: %w", err)
	}
	if err := m.open(o); err != nil {
		return err
	}
	if o.a&2 != 0 {
		return m.compare()
	}
	return nil // go on with absent pages
}

func (m *sim) open(o op) (err error) {
	m.wishes, m.add = meta.Verdict{}, meta.Verdict{}
	if m.dir, err = snapshotter.Open("job", snapshotter.Options{FS: m.fs}); err != nil {
		return err
	}
	at := image{now: [2]int64{0, clockLead}, ttls: m.ttls, tables: make([]any, tableCount)}
	opt := m.opt
	from, err := m.dir.Latest()
	switch {
	case errors.Is(err, meta.ErrNotFound) && m.last == 0:
		m.store = mmapstate.New(opt)
	case err != nil:
		return err
	default:
		id := from.Meta.ID
		was, known := m.saved[id]
		if !known || id < m.last {
			return fmt.Errorf("the newest checkpoint is %d, want %d or an unknown one after it", id, m.last)
		}
		at, m.last = was, id
		opt.KeyGroups, opt.Lazy, opt.Preload = 0, o.a&4 != 0, o.a&8 != 0
		if m.store, err = mmapstate.Open(opt, from); err != nil {
			return err
		}
	}
	return m.begin(at, o)
}

// begin declares the tables of a store that is as the image says, maybe with other TTLs and at a later time.
func (m *sim) begin(at image, o op) error {
	if o.a&16 != 0 || m.now[0] == 0 {
		m.now = at.now // as a watermark does that comes from the checkpoint
	}
	m.tick(0, 0)
	m.ttls = at.ttls
	if o.b >= 128 {
		m.ttls = someTTLs(o.c)
	}
	for i, t := range m.tables {
		t.load(at.tables[i])
		if err := t.declare(m.store, m.ttls[i]); err != nil {
			return fmt.Errorf("%s: %w", tableNames[i], err)
		}
	}
	if o.b < 128 {
		return nil
	}
	for i, t := range m.tables {
		if err := t.adopt(at.ttls[i]); err != nil {
			return fmt.Errorf("%s: %w", tableNames[i], err)
		}
	}
	return m.startLives()
}

// startLives lets a sweep see every entry: those that were laid out anew begin their life when they are first seen.
func (m *sim) startLives() error {
	if err := m.store.Check(); err != nil { // which makes everything resident
		return err
	}
	for range 3 { // from the places of the sweeps to the ends, then from the begins
		m.store.Expire(math.MaxInt)
	}
	return nil
}
