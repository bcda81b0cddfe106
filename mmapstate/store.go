package mmapstate

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Store holds the state of one operator for a range of key groups. It belongs to one goroutine.
type Store struct {
	epoch  uint64
	moves  uint64 // counts what may move an entry, or end one
	first  int    // key group of shards[0]
	shards []shard

	opt                       Options
	states                    []meta.State // by number
	tables                    []*table     // by number; nil for an index and for what was not declared
	trees                     []*tree      // by number; nil for a table and for what was not declared
	declared                  []bool       // by number
	regions                   regions
	loader                    meta.Loader
	closeLoader               io.Closer // loader, if it came with a verdict
	preload                   *preload  // nil if nothing is loaded in the background
	hand                      clockHand
	base                      meta.Base                 // the last committed checkpoint
	wishes                    wishes                    // what the next cut carries
	wantWhole                 bool                      // the next cut carries every page
	cut                       *cut                      // open, or nil
	blank                     *cut                      // the next one, nil before the second
	late                      atomic.Pointer[meta.Base] // what a cut that the owner gave up has become after all
	err                       error                     // closed or poisoned
	waited                    time.Duration
	pageCount                 int64
	residentPages             int64
	needsCheckpoint           bool
	loads, evictions, atLimit int64
	rewrites                  []Rewrite
	loadWords                 []uint64
	scratch                   []page // one, for rebuilding buckets
	merging                   mergeHand
	shrinking                 []int   // shards with page groups that have become vacant
	hollows                   *extent // what the page table of a husk leads to
	made                      *page   // the last image of a husk's page

	looked uint64 // what Look has read means nothing

	clocks clocks
	checks []func(*checker) error // of states that are made of several tables
}

// New makes an empty store. It panics if the options contradict themselves, which is a mistake in the program.
func New(opt Options) *Store {
	opt = opt.withDefaults()
	if err := opt.validate(); err != nil {
		panic("mmapstate: " + err.Error())
	}
	for opt.HashSeed == 0 {
		opt.HashSeed = rand.Uint64()
	}
	return newStore(opt)
}

func newStore(opt Options) *Store {
	s := &Store{opt: opt, first: int(opt.From), shards: make([]shard, int(opt.To-opt.From)), scratch: make([]page, 1)}
	s.clocks.now, s.clocks.record = [2]int64{noTime, noTime}, noTime
	for i := range s.shards {
		sh := &s.shards[i]
		sh.store, sh.allResident, sh.opened = s, true, true
		sh.id = meta.MakeShardID(opt.Operator, opt.From+meta.KeyGroup(i))
	}
	return s
}

// Open makes a store from a checkpoint, which the loader must be able to read until all of it is resident, or until a
// verdict with a loader was taken in and nothing is preloaded any more, or the store is closed. The hash seed and the number of key groups are the checkpoint's. Errors wrap meta.ErrIncompatible when the checkpoint has
// another hash or another number of key groups than asked for, and meta.ErrDamaged when it is.
func Open(opt Options, from meta.Loader) (_ *Store, err error) {
	name, seed, groups := from.Hash()
	switch {
	case name != HashName:
		return nil, fmt.Errorf("key hash: checkpoint has %q, this release has %q: %w", name, HashName, meta.ErrIncompatible)
	case opt.KeyGroups != 0 && opt.KeyGroups != groups:
		return nil, fmt.Errorf("key groups: checkpoint has %d, asked for %d: %w", groups, opt.KeyGroups, meta.ErrIncompatible)
	}
	opt.KeyGroups, opt.HashSeed = groups, seed
	opt = opt.withDefaults()
	if err := opt.validate(); err != nil {
		return nil, err
	}
	s := newStore(opt)
	s.loader, s.base = from, from.Base()
	if w, ok := from.(meta.WholeWanter); ok {
		s.wantWhole = w.WantsWhole()
	}
	if err := s.adopt(from); err != nil {
		return nil, err
	}
	if opt.Lazy {
		if opt.Preload {
			s.startPreload()
		}
		return s, nil
	}
	if err := s.loadEverything(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// adopt takes over what the checkpoint says about states and shards. No page is read.
func (s *Store) adopt(from meta.Loader) error {
	if err := s.adoptStates(from.States(s.opt.Operator)); err != nil {
		return err
	}
	for _, info := range from.Shards(s.opt.Operator) {
		i := int(info.ID.Group()) - s.first
		if info.ID.Operator() != s.opt.Operator || i < 0 || i >= len(s.shards) {
			continue
		}
		sh := &s.shards[i]
		if info.Pages == 0 || info.Pages > maxPages || sh.pages != 0 {
			return sh.damage(0, fmt.Sprintf("shard of %d pages", info.Pages))
		}
		for _, st := range info.States {
			if int(st.No) >= len(s.states) {
				return sh.damage(0, fmt.Sprintf("state number %d of %d", st.No, len(s.states)))
			}
			sh.heads[st.No].entries, sh.heads[st.No].earliest = st.Entries, st.Earliest
		}
		sh.growGuard(info.Pages)
		sh.pages, sh.allResident, sh.opened = info.Pages, false, false
		sh.absent, sh.chained = sh.groups(), sh.pages
		s.pageCount += int64(info.Pages)
	}
	return nil
}

func (s *Store) loadEverything() (err error) {
	defer catch(&err)
	for i := range s.shards {
		if sh := &s.shards[i]; sh.pages > 0 {
			sh.loadAll()
			sh.open()
		}
	}
	return nil
}

// Close gives all memory back and aborts an open cut. Every reference into the store's pages is invalid afterwards, and
// every use of the store fails with ErrClosed. A second Close does nothing.
func (s *Store) Close() error {
	if s.err == ErrClosed {
		return nil
	}
	s.endPreload()
	s.dropLoader()
	s.err = nil // closing ends a poisoned store too
	s.poison(ErrClosed)
	for i := range s.shards {
		s.shards[i] = shard{store: s, epoch: noEpoch - 1}
	}
	return s.regions.close()
}

// Base is the committed checkpoint that the next cut will build on.
func (s *Store) Base() meta.Base { return s.base }

// HashSeed is the seed of the key hash.
func (s *Store) HashSeed() uint64 { return s.opt.HashSeed }

// KeyGroups is the number of key groups of the job.
func (s *Store) KeyGroups() int { return s.opt.KeyGroups }

// Err is why the store cannot be used any more: ErrClosed, or the first failure. It is nil for a sound store.
func (s *Store) Err() error { return s.err }

// shard finds the shard of a key group, up to date with the store's epoch.
func (s *Store) shard(g meta.KeyGroup) *shard { return s.look(int(g) - s.first) }

func (sh *shard) index() int { return int(sh.id.Group()) - sh.store.first }

func (s *Store) look(i int) *shard {
	sh := &s.shards[i]
	if sh.epoch != s.epoch {
		s.catchUp(sh) // rule: swap-before-access
	}
	return sh
}

// open reads the roots of all states from page 0, once.
func (sh *shard) open() {
	pg := sh.at(0)
	if pg.kind() != pageShard {
		sh.damaged(0, "kind %d where the shard's header belongs", pg.kind())
	}
	for no := range sh.heads {
		h := &sh.heads[no]
		h.root = load32(pg, offRoots+4*uint32(no))
		if h.root == 0 && h.entries > 0 || h.root >= sh.pages {
			sh.damaged(0, "state %d with %d entries has its root at page %d", no, h.entries, h.root)
		}
	}
	sh.opened = true
}

// Stats counts what a store holds.
type Stats struct {
	Pages    int64         // pages that exist
	Resident int64         // pages in memory; of free ones only those whose page group has others
	Entries  int64         // of all states
	Bytes    int64         // Pages in bytes
	Mapped   int64         // bytes of mapped regions
	Returned int64         // of these, bytes that were given back to the system, in huge pages, and not taken again
	Free     int64         // pages that wait for reuse, of shards whose header is in memory
	Expired  int64         // entries that Expire has removed
	Waited   time.Duration // how long the owner waited because saved lines were at their limit

	Loads     int64 // page groups that were brought into memory since Open
	Evictions int64 // page groups that were dropped from memory
	AtLimit   int64 // how often Maintain found nothing to evict above the memory limit
}

// Waited is how long the owner has waited because saved lines were at their limit.
func (s *Store) Waited() time.Duration { return s.waited }

// Stats counts. It walks the shards and their states: do not call it per record.
func (s *Store) Stats() Stats {
	mapped, returned := s.regions.account()
	st := Stats{
		Mapped: mapped, Returned: returned, Expired: s.clocks.removed, Waited: s.waited, Resident: s.residentPages, Pages: s.pageCount,
		Loads: s.loads, Evictions: s.evictions, AtLimit: s.atLimit,
	}
	for i := range s.shards {
		sh := &s.shards[i]
		if sh.pages > 0 && !sh.isAbsent(0) {
			st.Free += int64(sh.page(0).extra())
		}
		for no := range sh.heads {
			st.Entries += int64(sh.heads[no].entries)
		}
	}
	st.Bytes = st.Pages * pageSize
	return st
}
