package mmapstate

// A husk is a page group without memory: all its pages are in the free list, and nothing of a free page matters but the
// links of the list. Those stay on the heap, 128 bytes for 64 KiB; the block goes to whoever needs one, or to the system
// (region.go).
//
// A husk counts as resident. Lookups never come to a free page, so they need not ask; where its pages were lies an
// extent of free pages that all husks share, for references that a damaged page makes up. Only what reads the list
// itself asks for the real link: image. Whether the pages are dirty, frozen or saved does not matter: whatever lines of a
// free page a cut wants can be made up at any time.
type husk [groupPages]struct{ next, prev uint32 }

const vacantGroup = 1<<groupPages - 1

// letVacantGo takes the memory of vacant groups, in the shards where some have come about since the last call.
func (s *Store) letVacantGo() {
	for _, i := range s.shrinking {
		sh := &s.shards[i]
		sh.shrinks = false
		sh.forget() // no page of theirs is a bucket, if all is well
		for g, v := range sh.vacant {
			if v == vacantGroup && g > 0 && sh.husks[uint32(g)] == nil && !sh.isAbsent(uint32(g)) {
				sh.hollow(uint32(g))
			}
		}
	}
	s.shrinking = s.shrinking[:0]
}

// hollow makes a vacant resident group a husk.
func (sh *shard) hollow(g uint32) {
	s, h := sh.store, new(husk)
	first, _ := sh.group(g)
	for i := range h {
		p := first + uint32(i)
		sh.unlearn(p)
		h[i].next, h[i].prev = sh.page(p).link(), sh.page(p).extra() // rule: husk-keeps-links
	}
	if sh.husks == nil {
		sh.husks = map[uint32]*husk{}
	}
	sh.husks[g] = h
	s.regions.giveBack(sh.letGo(g))
	if s.hollows == nil {
		s.hollows = new(extent)
		for i := range s.hollows {
			s.hollows[i][offKind] = pageFree
		}
	}
	for x := first / extentPages; x < (first+groupPages)/extentPages; x++ {
		sh.ext[x] = s.hollows
	}
	s.residentPages -= groupPages
}

// revive gives a husk memory again. What its pages hold behind their headers means nothing.
func (sh *shard) revive(g uint32, h *husk) {
	b, err := sh.store.regions.block()
	if err != nil {
		sh.store.fail(err)
	}
	sh.hold(g, b)
	for i, l := range h {
		sh.page(g*groupPages+uint32(i)).setFree(l.next, l.prev)
	}
	delete(sh.husks, g)
	sh.store.residentPages += groupPages
}

// relink changes one link of the i-th page.
func (h *husk) relink(i, off, to uint32) {
	if off == offLink {
		h[i].next = to
	} else {
		h[i].prev = to
	}
}

// image gives a resident page as a checkpoint should have it. That of a husk's page holds until the next call.
func (sh *shard) image(p uint32) *page {
	h := sh.husks[p/groupPages]
	if h == nil {
		return sh.page(p)
	}
	if sh.store.made == nil {
		sh.store.made = new(page)
	}
	sh.store.made.setFree(h[p%groupPages].next, h[p%groupPages].prev) // rule: husk-has-an-image
	return sh.store.made
}
