//go:build invariants

package mmapstate

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/pagetide/pagetide/meta"
)

// shadow has the hash of every line of the pages that are known, as of the last freeze or load. A line whose bit is not
// set in mask must still have it.
type shadow struct {
	lines []([meta.PageLines]uint64) // by page
	known []uint64                   // bit by page
}

// learn notes how a page is now.
func (sh *shard) learn(p uint32) {
	grow(&sh.shadow.lines, sh.pages)
	grow(&sh.shadow.known, (sh.pages+63)/64)
	sh.relearn(p, meta.AllLines)
	sh.shadow.known[p>>6] |= 1 << (p & 63)
}

func (sh *shard) relearn(p uint32, lines meta.LineMask) {
	pg := sh.page(p)
	for l := range uint32(meta.PageLines) {
		if lines>>l&1 != 0 {
			sh.shadow.lines[p][l] = xxhash.Sum64(pg[l*meta.LineSize:][:meta.LineSize])
		}
	}
}

// unlearn forgets a page that leaves memory.
func (sh *shard) unlearn(p uint32) {
	if sh.isKnown(p) {
		sh.shadow.known[p>>6] &^= 1 << (p & 63)
	}
}

func (sh *shard) isKnown(p uint32) bool {
	return p < uint32(len(sh.shadow.lines)) && sh.shadow.known[p>>6]>>(p&63)&1 != 0
}

// verify panics if a line of a page was written without being marked. What a free page holds behind its header is of no
// interest.
func (sh *shard) verify(p uint32) {
	if !sh.isKnown(p) {
		return
	}
	pg := sh.page(p)
	if pg.kind() == pageFree {
		return
	}
	for l := range uint32(meta.PageLines) {
		if sh.mask[p]>>l&1 == 0 && xxhash.Sum64(pg[l*meta.LineSize:][:meta.LineSize]) != sh.shadow.lines[p][l] {
			panic(fmt.Sprintf("mmapstate: shard %s page %d line %d was written without being marked", sh.id, p, l))
		}
	}
}

// verifyAll is for the moment before a shard swaps its masks: what is in memory then is what the next epoch starts with.
func (sh *shard) verifyAll() {
	for p := range sh.pages {
		if g := p / groupPages; sh.isAbsent(g) || sh.husks[g] != nil {
			continue
		}
		sh.verify(p)
		if sh.isKnown(p) {
			sh.relearn(p, sh.mask[p])
		} else {
			sh.learn(p)
		}
	}
}
