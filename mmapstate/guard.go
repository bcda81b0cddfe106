package mmapstate

import (
	"math/bits"

	"github.com/pagetide/pagetide/meta"
)

// The guard. For each page, at any time:
//
//	mask      lines written since the last freeze
//	frozen    lines of the open cut; kept, gathered or not, until its verdict
//	gathered  the frozen lines are saved (or nobody will want them)
//
// After a freeze all masks are empty, so the first write to a line is exactly the write that must first save the page.

// noEpoch is the epoch of a store that must not be used.
const noEpoch = ^uint64(0)

// touch marks lines that are about to be written. Every write in the package comes through here; the page is resident.
func (sh *shard) touch(p uint32, lines meta.LineMask) {
	if sh.mask[p]&lines != lines { // rule: all-lines-of-a-value
		sh.firstTouch(p, lines)
	}
}

// firstTouch is the slow branch of touch: it alone knows that cuts exist.
//
//go:noinline
func (sh *shard) firstTouch(p uint32, lines meta.LineMask) {
	if sh.frozen[p] != 0 && !sh.isGathered(p) {
		sh.save(p) // rule: gather-before-write
	}
	sh.mask[p] |= lines
	sh.summary[p>>12] |= 1 << (p >> 6 & 63) // rule: summary
}

func (sh *shard) isGathered(p uint32) bool { return sh.gathered[p>>6]>>(p&63)&1 != 0 }
func (sh *shard) setGathered(p uint32)     { sh.gathered[p>>6] |= 1 << (p & 63) }

// save copies the frozen lines of a resident page or a husk's to the open cut. Pages of an aborted cut are not worth saving: their
// frozen bits go back to the mask when the verdict is taken in.
func (sh *shard) save(p uint32) { sh.saveFrom(p, sh.image(p)) }

// saveFrom is save for a page that is the same as the absent one.
func (sh *shard) saveFrom(p uint32, pg *page) {
	c := sh.store.cut
	if c == nil || !c.room() {
		return
	}
	c.add(sh.id, p, sh.frozen[p], pg)
	sh.setGathered(p)
}

// catchUp brings a shard to the store's epoch: it swaps mask and frozen. It runs at the first lookup after a freeze, so
// before the shard's first write, and what it records is as of the barrier.
//
//go:noinline
func (s *Store) catchUp(sh *shard) {
	if s.err != nil {
		panic(&Failure{Err: s.err})
	}
	sh.verifyAll()
	sh.swap()
	if s.cut.whole {
		sh.freezeAll() // rule: whole-is-all-lines
	}
	sh.grant(s.cut.wishes[sh.id])
	sh.epoch = s.epoch
	s.cut.describe(sh)
}

func (sh *shard) swap() {
	sh.clearFrozen() // rule: clear-committed
	sh.mask, sh.frozen = sh.frozen, sh.mask
	sh.summary, sh.frozenSummary = sh.frozenSummary, sh.summary
	sh.chained, sh.wasChained = sh.pages, sh.chained
}

// clearFrozen empties the frozen set of the previous cut, whose verdict has been taken in.
func (sh *shard) clearFrozen() {
	for i, word := range sh.frozenSummary {
		for ; word != 0; word &= word - 1 {
			first := i<<12 + bits.TrailingZeros64(word)<<6
			clear(sh.frozen[first:min(first+64, len(sh.frozen))])
			sh.gathered[first>>6], sh.carried[first>>6] = 0, 0
		}
		sh.frozenSummary[i] = 0
	}
}

// freezeAll freezes every line of every page, absent ones too: they are loaded when gathered.
func (sh *shard) freezeAll() {
	for p := range sh.pages {
		sh.carry(p, meta.AllLines)
	}
}

// carry freezes lines beyond those that were written.
func (sh *shard) carry(p uint32, lines meta.LineMask) {
	if sh.frozen[p] == 0 { // rule: carried-was-not-written
		sh.carried[p>>6] |= 1 << (p & 63)
	}
	sh.frozen[p] |= lines
	sh.frozenSummary[p>>12] |= 1 << (p >> 6 & 63)
}

func (sh *shard) isCarried(p uint32) bool { return sh.carried[p>>6]>>(p&63)&1 != 0 }

// thaw takes an abort in: what was frozen, gathered or not, is dirty again. The leftovers are cleared at the next
// catchUp, as after a commit.
func (sh *shard) thaw() {
	if sh.epoch != sh.store.epoch { // rule: unswapped-keeps-mask
		sh.epoch = sh.store.epoch
		return
	}
	sh.chained = sh.wasChained // rule: abort-unchains
	for i, word := range sh.frozenSummary {
		for w := word; w != 0; w &= w - 1 {
			first := i<<12 + bits.TrailingZeros64(w)<<6
			for p := first; p < min(first+64, len(sh.frozen)); p++ {
				sh.mask[p] |= sh.frozen[p] // rule: abort-merges
			}
		}
		sh.summary[i] |= word // rule: abort-merges-summary
	}
}
