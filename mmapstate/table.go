package mmapstate

import (
	"fmt"
	"math/bits"
)

// table is the layout of one state's hash table, the same in every shard. A shard's table is an extendible hash: a
// directory, indexed by the low bits of the hash, names buckets of one page each.
//
//	bucket: header 16 │ group │ group │ ...         group: control bytes 8 │ slot │ slot │ ... (up to 8)
//	slot:   key │ value │ with a TTL: the entry's time i64
//
// Groups begin at multiples of 8, keys of one size and values at multiples of what their types can need: see alignment.
// Control bytes stand beside their slots, so that finding a small entry reads one or two lines. A control byte is
// 0x80|tag for an entry, else one of the lane* constants.
type table struct {
	store  *Store
	key    KeyShape
	no     uint16
	blob   bool   // the value is a reference to bytes
	value  uint32 // offset of the value in a slot
	size   uint32 // bytes of the value
	stamp  uint32 // offset of the entry's time in a slot, 0 without a TTL
	slot   uint32 // bytes of a slot
	lanes  uint32 // slots in a group
	groups uint32
	stride uint32 // bytes of a group
	end    uint32 // offset behind the last group

	ttl *lifetime // nil if entries live for ever
}

// Control bytes of lanes without an entry.
const (
	laneEmpty   = 0 // ends a probe
	laneDeleted = 1 // does not
	laneNone    = 2 // there is no such slot
)

const (
	refSize = 16 // of a reference to bytes

	// maxInline bounds fixed-size keys and values.
	maxInline = 512

	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func newTable(s *Store, no uint16, key KeyShape, size int, blob bool, ttl *lifetime) *table {
	t := &table{store: s, key: key, no: no, blob: blob, size: uint32(size), ttl: ttl}
	t.value = alignTo(t.keyBytes(), alignment(t.size))
	t.slot = max(alignTo(t.value+t.size, alignment(uint32(key.Fixed))), 8)
	if ttl != nil {
		t.stamp = t.slot
		t.slot += 8
	}
	t.arrange()
	return t
}

// arrange finds how many slots a page has, and how wide its groups are.
func (t *table) arrange() {
	for lanes := uint32(8); lanes > 0; lanes-- { // the group width that wastes least; the widest of equals
		groups := (pageSize - headSize) / strideOf(lanes, t.slot)
		if lanes*groups > t.lanes*t.groups {
			t.lanes, t.groups = lanes, groups
		}
	}
	t.stride = strideOf(t.lanes, t.slot)
	t.end = headSize + t.groups*t.stride
}

// alignment is the largest that a type of n bytes can need: a size is a multiple of its alignment. Keys of varying
// length, whose Fixed is 0, need none.
func alignment(n uint32) uint32 {
	if n == 0 {
		return 1
	}
	return min(n&-n, 8)
}

// strideOf is the size of a group.
func strideOf(lanes, slot uint32) uint32 { return align8(8 + lanes*slot) }

// capacity is how many entries a bucket holds.
func (t *table) capacity() uint32 { return t.lanes * t.groups }

// home is the offset of the group that a hash names.
func (t *table) home(hash uint64) uint32 {
	return headSize + uint32(hash>>32*uint64(t.groups)>>32)*t.stride
}

// next is the group to look at after the i-th one: the second is named by other bits of the hash, so that full groups
// do not crowd their neighbours; from there it goes round the page.
func (t *table) next(base, i uint32, hash uint64) uint32 {
	if i == 0 {
		return headSize + uint32(uint64(uint32(hash>>16))*uint64(t.groups)>>32)*t.stride
	}
	if base += t.stride; base == t.end {
		return headSize
	}
	return base
}

// emptyGroup is the control word of a group without entries.
func (t *table) emptyGroup() uint64 {
	return laneNone * ones << (8 * t.lanes) // a shift by 64 gives zero: all eight lanes exist
}

// find looks a key up: its page, the page's number and the offset of its slot; a nil page if there is no entry. Nothing
// is marked.
func (t *table) find(sh *shard, k Key) (pg *page, p, off uint32) {
	h := &sh.heads[t.no]
	if len(h.dir) == 0 && !t.open(sh, h) {
		return nil, 0, 0
	}
	i := k.Hash & uint64(len(h.dir)-1)
	pg = h.at[i]
	if pg == nil {
		pg = sh.resolve(h, i)
	}
	if off, ok := t.probe(sh, pg, k); ok {
		return pg, h.dir[i], off
	}
	if pg.link() == 0 {
		return nil, 0, 0
	}
	return t.findFurther(sh, pg.link(), k)
}

// findFurther looks through overflow pages.
func (t *table) findFurther(sh *shard, p uint32, k Key) (*page, uint32, uint32) {
	for range sh.pages { // a chain that is longer goes in circles
		pg := t.bucket(sh, p)
		if off, ok := t.probe(sh, pg, k); ok {
			return pg, p, off
		}
		if p = pg.link(); p == 0 {
			return nil, 0, 0
		}
	}
	sh.damaged(p, "overflow pages go in circles")
	return nil, 0, 0
}

// probe looks a key up in one page: through the groups that the hash names, until one with an empty lane.
func (t *table) probe(sh *shard, pg *page, k Key) (uint32, bool) {
	tag := (k.Hash>>25&0x7f | 0x80) * ones
	base := t.home(k.Hash)
	for i := range t.groups + 1 {
		ctrl := load64(pg, base)
		x := ctrl ^ tag
		for m := (x - ones) &^ x & highs; m != 0; m &= m - 1 { // a false match is a full lane too
			off := base + 8 + uint32(bits.TrailingZeros64(m)>>3)*t.slot
			if t.equal(sh, pg, off, k) {
				return off, true
			}
		}
		if (ctrl-ones)&^ctrl&highs != 0 {
			return 0, false
		}
		base = t.next(base, i, k.Hash)
	}
	return 0, false
}

// insert makes an entry for a key that has none. Its value is zero.
func (t *table) insert(sh *shard, k Key) (p, off uint32) {
	if t.key.Fixed != 0 && len(k.Bytes) != t.key.Fixed {
		panic(fmt.Sprintf("mmapstate: key of %d bytes in a state with keys of %d", len(k.Bytes), t.key.Fixed))
	}
	h := &sh.heads[t.no]
	if len(h.dir) == 0 && !t.open(sh, h) {
		t.create(sh, h)
	}
	p, off = t.place(sh, h, k.Hash)
	t.putKey(sh, h, p, off, k)
	if t.ttl != nil {
		store64(sh.page(p), off+t.stamp, uint64(t.ttl.stamp(noTime)))
	}
	h.entries++
	sh.put64(h.root, offEntries, h.entries)
	return p, off
}

// place takes a slot for a hash, zeroed and marked, in a bucket that has room or is made to have some.
func (t *table) place(sh *shard, h *head, hash uint64) (p, off uint32) {
	for {
		first := h.dir[hash&uint64(len(h.dir)-1)]
		p, ok := t.roomIn(sh, first)
		if !ok {
			if t.split(sh, h, first, hash) {
				continue
			}
			p = t.chain(sh, p)
		}
		return p, t.claim(sh, p, hash)
	}
}

// roomIn gives the first page of a chain that is not full, or its last page.
func (t *table) roomIn(sh *shard, p uint32) (uint32, bool) {
	for range sh.pages {
		pg := t.bucket(sh, p)
		if pg.count() < t.capacity() {
			return p, true
		}
		if pg.link() == 0 {
			return p, false
		}
		p = pg.link()
	}
	sh.damaged(p, "overflow pages go in circles")
	return 0, false
}

// delete removes a key's entry and what it refers to.
func (t *table) delete(sh *shard, k Key) bool {
	pg, p, off := t.find(sh, k)
	if pg == nil {
		return false
	}
	h := &sh.heads[t.no]
	t.freeKey(sh, h, pg, off)
	if t.blob {
		sh.freeRef(h, t.no, pg, off+t.value)
	}
	t.vacate(sh, p, off)
	if pg.count() == 0 {
		t.unchain(sh, h.dir[k.Hash&uint64(len(h.dir)-1)], p)
	}
	if h.entries--; h.entries == 0 {
		t.release(sh, h)
		return true
	}
	sh.put64(h.root, offEntries, h.entries)
	return true
}

// slots calls f with the offset of every entry of a page.
func (t *table) slots(pg *page, f func(off uint32) bool) bool {
	for base := uint32(headSize); base < t.end; base += t.stride {
		for m := load64(pg, base) & highs; m != 0; m &= m - 1 {
			if !f(base + 8 + uint32(bits.TrailingZeros64(m)>>3)*t.slot) {
				return false
			}
		}
	}
	return true
}

// walk calls f with every entry of one shard.
func (t *table) walk(sh *shard, f func(pg *page, off uint32) bool) bool {
	h := &sh.heads[t.no]
	if len(h.dir) == 0 && !t.open(sh, h) {
		return true
	}
	for i, p := range h.dir {
		if i >= 1<<t.bucket(sh, p).level() {
			continue // a bucket is named first at its own low bits
		}
		for range sh.pages {
			pg := t.bucket(sh, p)
			if !t.slots(pg, func(off uint32) bool { return f(pg, off) }) {
				return false
			}
			if p = pg.link(); p == 0 {
				break
			}
		}
	}
	return true
}
