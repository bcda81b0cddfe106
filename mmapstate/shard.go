package mmapstate

import (
	"github.com/pagetide/pagetide/meta"
)

// shard is one key group's state: pages 0..pages-1 and what guards them. It belongs to the store's goroutine.
type shard struct {
	// What every lookup reads comes first.
	epoch       uint64          // of the store when the masks were last swapped
	allResident bool            // no page is absent
	mask        []meta.LineMask // by page: lines written in this epoch
	ext         []*extent       // by page/4; nil while absent since Open
	heads       []head          // by state number

	frozen        []meta.LineMask  // by page: lines that the open cut holds, kept until its verdict
	gathered      []uint64         // bit by page: the frozen lines are saved
	summary       []uint64         // bit by 64 pages: some mask of them is not empty
	frozenSummary []uint64         // the same for frozen
	carried       []uint64         // bit by page: frozen without having been written
	resident      []uint64         // bit by page group; of use only while !allResident
	used          []uint64         // bit by page group: looked up since the clock passed; kept while !allResident
	expect        []uint8          // by page: 1 + the state whose directory names it a bucket; nil if nothing is absent
	absent        uint32           // groups that are not resident
	chained       uint32           // pages below this have all their lines in the base or in the open cut
	wasChained    uint32           // what chained was before the open cut
	vacant        []uint16         // bit by page, by page group: in the free list
	lowest        uint32           // no group below this is known to have a free page
	husks         map[uint32]*husk // by page group: those without memory
	shrinks       bool             // is among the store's shrinking
	shadow        shadow           // what clean pages must look like, under -tags invariants

	store  *Store
	id     meta.ShardID
	pages  uint32
	opened bool // the roots were read from page 0
}

// head caches one state's root page in one shard.
type head struct {
	dir      []uint32 // of a table: buckets by low bits of the hash; empty while there is none or it was not looked up
	at       []*page  // beside dir: where those buckets lie; nil until a lookup has found one resident
	root     uint32   // the root page; zero: no entries, no pages
	entries  uint64
	earliest int64  // of an index with entries
	thinAt   uint64 // of a table: with fewer entries buckets may merge
	merged   uint32 // numbers in dir when thinAt was last set by them
	mergeAt  uint32 // where merging goes on; 0: it is not under way
	checked  bool   // the root page of an index was found to agree with this
}

// page gives the memory of a page that is known to be resident.
func (sh *shard) page(p uint32) *page { return &sh.ext[p>>2][p&3] }

// at gives a page for reading, loading it if it is absent.
func (sh *shard) at(p uint32) *page {
	if !sh.allResident {
		sh.need(p) // rule: resident-before-read
	}
	return &sh.ext[p>>2][p&3]
}

// see gives a page of the given kind and state, or fails: the way to follow a reference that lies in a page.
func (sh *shard) see(p uint32, kind byte, state uint16) *page {
	if p >= sh.pages {
		sh.damaged(p, "reference beyond the shard's %d pages", sh.pages)
	}
	pg := sh.at(p)
	if !pg.is(kind, state) {
		sh.damaged(p, "kind %d of state %d where kind %d of state %d belongs", pg.kind(), pg.state(), kind, state)
	}
	return pg
}

// edit marks n bytes at off and gives the page for writing them.
func (sh *shard) edit(p, off, n uint32) *page {
	pg := sh.at(p) // what a whole freeze froze absent must be there before the touch saves it
	sh.touch(p, lineBits(off, n))
	return pg
}

func (sh *shard) put16(p, off uint32, v uint16) { store16(sh.edit(p, off, 2), off, v) }
func (sh *shard) put32(p, off uint32, v uint32) { store32(sh.edit(p, off, 4), off, v) }
func (sh *shard) put64(p, off uint32, v uint64) { store64(sh.edit(p, off, 8), off, v) }

// alloc returns a page with all lines marked, zeroed behind a header of the given kind and state.
func (sh *shard) alloc(kind byte, state uint16) (uint32, *page) {
	if sh.pages == 0 {
		sh.init(sh.extend(), pageShard, 0)
		sh.opened = true
	}
	p := sh.freePage()
	if p != 0 {
		sh.unlinkFree(p)
	} else {
		p = sh.extend()
	}
	return p, sh.init(p, kind, state)
}

// init makes a page new. It marks every line and writes every byte, because the chain remembers the page's earlier life
// and fresh memory need not be zero.
func (sh *shard) init(p uint32, kind byte, state uint16) *page {
	sh.touch(p, meta.AllLines) // rule: birth-marks-all
	sh.store.moves++
	pg := sh.page(p)
	*pg = page{}
	pg[offKind] = kind
	store16(pg, offState, state)
	return pg
}

func (sh *shard) page0() *page { return sh.at(0) }

// extend appends a page, with memory, and returns its number.
func (sh *shard) extend() uint32 {
	p := sh.pages
	if p >= maxPages {
		sh.store.fail(errShardFull(sh.id))
	}
	if p%groupPages != 0 && !sh.allResident {
		sh.need(p - 1) // an absent group holds only pages that the checkpoint has
	}
	sh.growGuard(p + 1)
	sh.back(p)
	sh.resident[p/(64*groupPages)] |= 1 << (p / groupPages % 64)
	sh.pages = p + 1
	sh.store.pageCount++
	sh.store.residentPages++
	return p
}

// growGuard gives the guard room for n pages.
func (sh *shard) growGuard(n uint32) {
	grow(&sh.mask, n)
	grow(&sh.frozen, n)
	grow(&sh.gathered, (n+63)/64)
	grow(&sh.summary, (n+4095)/4096)
	grow(&sh.frozenSummary, (n+4095)/4096)
	grow(&sh.carried, (n+63)/64)
	grow(&sh.resident, (n+64*groupPages-1)/(64*groupPages))
	grow(&sh.used, (n+64*groupPages-1)/(64*groupPages))
	grow(&sh.ext, (n+extentPages-1)/extentPages)
}

func grow[T any](s *[]T, n uint32) {
	if have := uint32(len(*s)); have < n {
		*s = append(*s, make([]T, n-have)...)
	}
}

// back gives memory to the extent of a page, if it has none.
func (sh *shard) back(p uint32) {
	x := p / extentPages
	if sh.ext[x] != nil {
		return
	}
	if p < groupPages { // small shards take little
		b, err := sh.store.regions.extent()
		if err != nil {
			sh.store.fail(err)
		}
		sh.ext[x] = asExtent(b)
		return
	}
	b, err := sh.store.regions.block()
	if err != nil {
		sh.store.fail(err)
	}
	sh.hold(p/groupPages, b)
}
