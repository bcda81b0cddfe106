package mmapstate

// A table that has lost most of its entries gives buckets back: two that a split made of one become one again if what
// they hold fills two thirds of a page. Then buckets in the last pages of the shard move to the first ones, so that its
// end empties. It happens between batches, a few buckets at a time, because entries move.

// What one call of Maintain does at most: it looks at that many places of a directory, or merges or moves that many
// buckets, or something of both. It takes tens of microseconds.
const (
	looksPerCall  = 512
	mergesPerCall = 16
)

// mergeHand is the head whose table is looked at next.
type mergeHand struct{ shard, state int }

// mergeSome goes on round the tables. It looks at one shard if there is nothing to do.
func (s *Store) mergeSome() {
	if s.merging.shard >= len(s.shards) {
		s.merging = mergeHand{}
	}
	sh := &s.shards[s.merging.shard]
	for ; s.merging.state < len(sh.heads); s.merging.state++ {
		h, t := &sh.heads[s.merging.state], s.tables[s.merging.state]
		if t != nil && t.thin(h) && !t.mergePart(s.look(s.merging.shard), h) {
			return
		}
	}
	s.merging = mergeHand{shard: s.merging.shard + 1}
}

// thin tells whether a table has lost half of its entries since it was last gone through, or fills a quarter of what its
// directory has grown to since then, or the hand is in the midst of it.
func (t *table) thin(h *head) bool {
	if n := uint32(len(h.dir)); n > h.merged {
		h.merged, h.thinAt = n, uint64(n)*uint64(t.capacity())/4
	}
	h.thinAt = max(h.thinAt, h.entries/2)
	return h.mergeAt > 0 || len(h.dir) > 1 && h.entries < h.thinAt
}

// mergePart goes through a part of a table's directory, downwards: so what is merged meets its next neighbour merged as
// well. Then it goes through the directory once more and moves buckets down. It is done at the end.
func (t *table) mergePart(sh *shard, h *head) (done bool) {
	n := uint32(len(h.dir))
	if h.mergeAt == 0 || h.mergeAt > 2*n {
		h.mergeAt = 2 * n
	}
	for budget := looksPerCall; budget > 0; budget-- {
		at := h.mergeAt - 1
		if at >= n && t.merge(sh, h, at-n) || at < n && t.move(sh, h, at) {
			budget -= looksPerCall / mergesPerCall
			continue // there may be more to do at this place
		}
		if h.mergeAt = at; at == 0 {
			h.thinAt = h.entries / 2
			return true
		}
	}
	return false
}

// merge makes one bucket of the one at low and the one that differs in its highest bit, which is clear at low. It is
// false if they are not two such, or are absent, or hold too much.
func (t *table) merge(sh *shard, h *head, low uint32) bool {
	if sh.isAbsent(h.dir[low] / groupPages) {
		return false
	}
	depth := t.bucket(sh, h.dir[low]).level()
	if depth == 0 || low >= 1<<(depth-1) || 1<<depth > len(h.dir) {
		return false
	}
	bit := uint32(1) << (depth - 1)
	stays, goes := h.dir[low], h.dir[low|bit]
	if sh.isAbsent(goes / groupPages) {
		return false
	}
	stays, goes = min(stays, goes), max(stays, goes)
	a, b := t.bucket(sh, stays), t.bucket(sh, goes)
	if a.level() != b.level() || a.link() != 0 || b.link() != 0 || stays == goes || a.count()+b.count() > t.capacity()*2/3 {
		return false
	}
	sh.edit(stays, 0, headSize)[offLevel] = depth - 1
	t.slots(b, func(off uint32) bool {
		t.copySlot(sh, stays, b, off)
		return true
	})
	for i := low; i < uint32(len(h.dir)); i += bit {
		t.setDirectory(sh, h, i, stays) // rule: merged-is-found
	}
	sh.free(goes)
	return true
}

// move puts a bucket into the lowest free page if its own is beyond the number of pages that the shard needs, else it is
// false.
func (t *table) move(sh *shard, h *head, low uint32) bool {
	p := h.dir[low]
	if sh.absent > 0 {
		return false
	}
	step := uint32(1) << t.bucket(sh, p).level()
	need := sh.pages - sh.page0().extra()
	if free := sh.freePage(); low >= step || p < need || free == 0 || free >= need {
		return false
	}
	to, pg := sh.alloc(pageBucket, t.no)
	*pg = *sh.page(p)
	for i := low; i < uint32(len(h.dir)); i += step {
		t.setDirectory(sh, h, i, to) // rule: moved-is-found
	}
	sh.free(p)
	return true
}
