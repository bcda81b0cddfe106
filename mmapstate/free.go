package mmapstate

import "math/bits"

// The free list of a shard links the free pages both ways, so that any of them can be taken: the lowest one is, and the
// ends of a shard empty.

// noteFree remembers that a page is free. Group 0 is never vacant: a shard's header is in it.
func (sh *shard) noteFree(p uint32) {
	g := p / groupPages
	grow(&sh.vacant, g+1)
	sh.vacant[g] |= 1 << (p % groupPages)
	sh.lowest = min(sh.lowest, g)
	if sh.vacant[g] == vacantGroup && !sh.shrinks {
		sh.shrinks = true
		sh.store.shrinking = append(sh.store.shrinking, sh.index())
	}
}

// freePage gives the lowest free page, 0 if there is none. While page groups are absent it is the first of the list: to
// look for another would load them.
func (sh *shard) freePage() uint32 {
	if sh.absent > 0 {
		return sh.page0().link()
	}
	for ; sh.lowest < uint32(len(sh.vacant)); sh.lowest++ {
		if v := sh.vacant[sh.lowest]; v != 0 {
			return sh.lowest*groupPages + uint32(bits.TrailingZeros16(v))
		}
	}
	return 0
}

// free puts a page in the free list. The touch saves what an open cut still needs of it.
func (sh *shard) free(p uint32) {
	next := sh.page0().link()
	pg := sh.at(p) // a root can have been evicted
	if pg.kind() == pageFree {
		sh.damaged(p, "page is freed that is free already")
	}
	sh.store.moves++
	sh.touch(p, lineBits(0, headSize)) // rule: gather-before-free
	pg.setFree(next, 0)
	if p < sh.chained { // rule: new-pages-stay-whole
		sh.mask[p] = lineBits(0, headSize) // what else was written means nothing any more
	}
	sh.noteFree(p)
	if next != 0 {
		sh.relink(next, offExtra, 0, p)
	}
	h := sh.edit(0, 0, headSize)
	store32(h, offLink, p)
	store32(h, offExtra, h.extra()+1)
}

// unlinkFree takes a page out of the free list, to be made new.
func (sh *shard) unlinkFree(p uint32) {
	sh.see(p, pageFree, 0)
	g := p / groupPages
	if h := sh.husks[g]; h != nil {
		sh.revive(g, h) // rule: husk-revives
	}
	next, prev := sh.page(p).link(), sh.page(p).extra()
	if next != 0 {
		sh.relink(next, offExtra, p, prev)
	}
	h := sh.edit(0, 0, headSize)
	switch {
	case prev != 0:
		sh.relink(prev, offLink, p, next)
	case h.link() != p:
		sh.damaged(p, "free page is not in the free list")
	default:
		store32(h, offLink, next)
	}
	store32(h, offExtra, h.extra()-1)
	sh.vacant[g] &^= 1 << (p % groupPages) // rule: used-is-not-vacant
}

// relink changes one link of a free page from was to now.
func (sh *shard) relink(p, off, was, now uint32) {
	sh.see(p, pageFree, 0)
	if load32(sh.image(p), off) != was {
		sh.damaged(p, "free list is torn")
	}
	sh.touch(p, lineBits(0, headSize)) // rule: gather-before-relink
	if h := sh.husks[p/groupPages]; h != nil {
		h.relink(p%groupPages, off, now)
		return
	}
	store32(sh.page(p), off, now)
}

// setFree writes the header of a free page.
func (pg *page) setFree(next, prev uint32) {
	clear(pg[:headSize])
	pg[offKind] = pageFree
	store32(pg, offLink, next)
	store32(pg, offExtra, prev)
}
