package mmapstate

// Growth splits one bucket at a time: half of its hashes have the next bit set and move to a new page.

// separationBits is how far ahead a split looks: keys that so many more bits cannot tell apart get an overflow page.
const separationBits = 16

// split makes two buckets of the chain that starts at first and holds the hash's place. It is false if that would not
// help.
func (t *table) split(sh *shard, h *head, first uint32, hash uint64) bool {
	depth := sh.page(first).level()
	if !t.separable(sh, first, hash, depth) {
		return false
	}
	if 1<<depth > len(h.dir) {
		sh.damaged(first, "bucket is deeper than its directory")
	}
	if 1<<depth == len(h.dir) {
		t.double(sh, h)
	}
	old := t.takeChain(sh, first)
	t.empty(sh, first, depth+1)
	second := t.newBucket(sh, depth+1)
	bit := uint64(1) << depth
	for i := hash&(bit-1) | bit; i < uint64(len(h.dir)); i += 2 * bit {
		t.setDirectory(sh, h, uint32(i), second)
	}
	for i := range old {
		t.slots(&old[i], func(off uint32) bool {
			to := first
			if t.slotHash(&old[i], off)&bit != 0 {
				to = second
			}
			last, ok := t.roomIn(sh, to)
			if !ok {
				last = t.chain(sh, last)
			}
			t.copySlot(sh, last, &old[i], off)
			return true
		})
	}
	return true
}

// separable tells whether any entry of a chain differs from hash in the bits that a directory could still look at.
func (t *table) separable(sh *shard, p uint32, hash uint64, depth byte) bool {
	if depth >= maxDepth {
		return false
	}
	look := uint64(1)<<min(depth+separationBits, maxDepth) - uint64(1)<<depth
	for range sh.pages {
		pg := t.bucket(sh, p)
		same := t.slots(pg, func(off uint32) bool { return (t.slotHash(pg, off)^hash)&look == 0 })
		if !same {
			return true
		}
		if p = pg.link(); p == 0 {
			return false
		}
	}
	return false
}

// takeChain copies the pages of a chain and frees all but the first.
func (t *table) takeChain(sh *shard, first uint32) []page {
	pg := t.bucket(sh, first)
	if pg.link() == 0 {
		t.store.scratch[0] = *pg
		return t.store.scratch
	}
	old := []page{*pg}
	for p := pg.link(); p != 0; {
		pg := t.bucket(sh, p)
		old = append(old, *pg)
		next := pg.link()
		sh.free(p) // a circle ends here: the page is no bucket any more
		p = next
	}
	return old
}

// chain appends an overflow page to the last page of a chain.
func (t *table) chain(sh *shard, last uint32) uint32 {
	p := t.newBucket(sh, sh.page(last).level())
	sh.put32(last, offLink, p)
	return p
}

// unchain frees an empty overflow page. The first page of a chain stays.
func (t *table) unchain(sh *shard, first, p uint32) {
	if p == first {
		return
	}
	prev := first
	for range sh.pages {
		next := t.bucket(sh, prev).link()
		if next == p {
			sh.put32(prev, offLink, sh.page(p).link())
			sh.free(p)
			return
		}
		prev = next
	}
}
