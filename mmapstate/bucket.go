package mmapstate

import "math/bits"

// One page of a table: lanes, their control bytes, and the counts in the header.

// bucket follows a reference to a bucket of this table.
func (t *table) bucket(sh *shard, p uint32) *page {
	pg := sh.see(p, pageBucket, t.no)
	if !t.fits(pg) {
		sh.damaged(p, "bucket of another layout")
	}
	return pg
}

// fits tells whether a page is a bucket of this table with its layout. inspect has checked that the layout fits a page.
func (t *table) fits(pg *page) bool {
	return pg.is(pageBucket, t.no) && pg.size() == t.slot && uint32(pg[offLanes]) == t.lanes && uint32(pg[offGroups]) == t.groups
}

// newBucket allocates an empty bucket of a local depth.
func (t *table) newBucket(sh *shard, depth byte) uint32 {
	p, _ := sh.alloc(pageBucket, t.no)
	t.empty(sh, p, depth)
	return p
}

// empty makes a page an empty bucket.
func (t *table) empty(sh *shard, p uint32, depth byte) {
	pg := sh.init(p, pageBucket, t.no)
	pg[offLevel] = depth
	store16(pg, offSize, uint16(t.slot))
	pg[offLanes], pg[offGroups] = byte(t.lanes), byte(t.groups)
	for base := uint32(headSize); base < t.end; base += t.stride {
		store64(pg, base, t.emptyGroup())
	}
}

// claim takes a lane for a hash in a page that is not full and returns its slot, zeroed and marked.
func (t *table) claim(sh *shard, p uint32, hash uint64) uint32 {
	pg := sh.page(p)
	if tombs := uint32(load16(pg, offTombs)); tombs > t.capacity()/8 {
		t.rebuild(sh, p) // tombstones make misses slow
	}
	base := t.home(hash)
	for i := range t.groups + 1 {
		free := ^load64(pg, base) & highs
		lane := uint32(bits.TrailingZeros64(free) >> 3)
		if free != 0 && lane < t.lanes {
			return t.fill(sh, p, base, lane, hash)
		}
		base = t.next(base, i, hash)
	}
	sh.damaged(p, "bucket counts %d of %d entries and is full", pg.count(), t.capacity())
	return 0
}

func (t *table) fill(sh *shard, p, base, lane uint32, hash uint64) uint32 {
	off := base + 8 + lane*t.slot
	sh.touch(p, lineBits(0, headSize)|lineBits(base, 8)|lineBits(off, t.slot))
	pg := sh.page(p)
	if pg[base+lane] == laneDeleted {
		store16(pg, offTombs, load16(pg, offTombs)-1)
	}
	pg[base+lane] = byte(hash>>25&0x7f | 0x80)
	clear(bytesOf(ptrAt(pg, off), int(t.slot)))
	store16(pg, offCount, uint16(pg.count()+1))
	return off
}

// vacate empties a slot's lane. A tombstone is needed only where probes had to go on past a full group.
func (t *table) vacate(sh *shard, p, off uint32) {
	t.store.moves++
	g := (off - headSize) / t.stride
	base := headSize + g*t.stride
	lane := (off - base - 8) / t.slot
	sh.touch(p, lineBits(0, headSize)|lineBits(base, 8))
	pg := sh.page(p)
	store16(pg, offCount, uint16(pg.count()-1))
	if ctrl := load64(pg, base); (ctrl-ones)&^ctrl&highs != 0 {
		pg[base+lane] = laneEmpty
		return
	}
	pg[base+lane] = laneDeleted
	store16(pg, offTombs, load16(pg, offTombs)+1)
}

// rebuild puts a page's entries anew, without tombstones.
func (t *table) rebuild(sh *shard, p uint32) {
	old := &t.store.scratch[0]
	*old = *sh.page(p)
	t.empty(sh, p, old.level())
	store32(sh.page(p), offLink, old.link())
	t.slots(old, func(off uint32) bool {
		t.copySlot(sh, p, old, off)
		return true
	})
}

// copySlot adds an entry from another page's image. References move along: what they refer to stays.
func (t *table) copySlot(sh *shard, p uint32, from *page, off uint32) {
	to := t.claim(sh, p, t.slotHash(from, off))
	copy(bytesOf(ptrAt(sh.page(p), to), int(t.slot)), bytesOf(ptrAt(from, off), int(t.slot)))
}
