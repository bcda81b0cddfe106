package mmapstate

import (
	"math/bits"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
)

// A batch of keys is looked up at once, before any work on it: the cache misses of many lookups overlap, where those of one
// after the other wait for each other.

// looksFrom is how much state there must be before looking ahead pays: less stays in the caches that are near.
const looksFrom = 8 << 20

// LooksPay says whether there is so much state that [Cells.Look] is worth its cost.
func (s *Store) LooksPay() bool { return s.pageCount*pageSize >= looksFrom }

// lookBatch is how many keys are looked at together: about as many misses as a core can have under way.
const lookBatch = 32

// Found is where [Cells.Look] has found a key's value.
type Found struct {
	value unsafe.Pointer // nil if it was not found
	moves uint64         // of the store: where it stood
	sh    *shard
	p     uint32
	lines meta.LineMask // of the value
}

// Look finds keys that are about to be looked up; [Cells.RefAt] and [Cells.PeekAt] with what it finds are then short. It marks
// nothing and loads nothing, and finds only what is at hand. What it finds holds until an entry of any state goes or moves.
// A key without its bytes is not found, but the lookup of the whole key is faster, too. The slices have the same length.
func (c *Cells) Look(keys []Key, found []Found) {
	t := c.table
	for len(keys) > 0 {
		n := min(lookBatch, len(keys))
		t.look(keys[:n], found[:n])
		keys, found = keys[n:], found[n:]
	}
}

// RefAt is [Cells.Ref] of a key that Look was given.
func (c *Cells) RefAt(f *Found, k *Key) unsafe.Pointer {
	if f.value == nil || f.moves != c.store.moves { // rule: found-may-have-moved
		return c.Ref(*k)
	}
	f.sh.touch(f.p, f.lines)
	return f.value
}

// PeekAt is [Cells.Peek] of a key that Look was given.
func (c *Cells) PeekAt(f *Found, k *Key) unsafe.Pointer {
	if f.value == nil || f.moves != c.store.moves {
		return c.Peek(*k)
	}
	return f.value
}

// look works in steps, because a core overlaps the misses of one only if little stands between them: find the bucket, read
// its control bytes, read the slot that they point to, compare the key in it.
func (t *table) look(keys []Key, found []Found) {
	var batch [lookBatch]looked
	n := 0
	for i := range keys {
		found[i].value = nil
		if t.aim(&batch[n], &keys[i]) {
			batch[n].i = i
			n++
		}
	}
	sum := uint64(0)
	for i := range batch[:n] {
		sum ^= *(*uint64)(batch[i].group)
	}
	for i := range batch[:n] {
		h := &batch[i]
		x := *(*uint64)(h.group) ^ h.tag
		m := (x - ones) &^ x & highs
		to, second := int32(8+uint32(bits.TrailingZeros64(m)>>3)*t.slot), h.second
		if h.slot = m != 0; !h.slot { // a choice between two numbers is no branch to the compiler
			to = second
		}
		h.group = unsafe.Add(h.group, to)
	}
	for i := range batch[:n] {
		sum ^= *(*uint64)(batch[i].group) ^ uint64(*batch[i].mask)
	}
	if t.slot > meta.LineSize || t.key.Fixed == 0 {
		sum ^= t.lookWide(batch[:n])
	}
	t.store.looked = sum // so that the reads are not optimised away
	if t.ttl != nil {
		return
	}
	for i := range batch[:n] {
		h := &batch[i]
		if !h.slot { // it is in the second group, if anywhere near
			x := *(*uint64)(h.group) ^ h.tag
			m := (x - ones) &^ x & highs
			if m == 0 {
				continue
			}
			h.group = unsafe.Add(h.group, 8+uint32(bits.TrailingZeros64(m)>>3)*t.slot)
		}
		t.compare(h, &keys[h.i], &found[h.i])
	}
}

// compare takes what was looked at for found if it is the key.
func (t *table) compare(h *looked, k *Key, to *Found) {
	switch {
	case t.key.Fixed == 8 && len(k.Bytes) == 8:
		if *(*uint64)(h.group) != load64At(unsafe.Pointer(unsafe.SliceData(k.Bytes))) {
			return
		}
	case t.key.Fixed != 0:
		if string(bytesOf(h.group, t.key.Fixed)) != string(k.Bytes) {
			return
		}
	default:
		if n := *(*byte)(h.group); n > varShort || string(bytesOf(unsafe.Add(h.group, offVarBytes), int(n))) != string(k.Bytes) {
			return
		}
	}
	*to = Found{value: unsafe.Add(h.group, t.value), moves: t.store.moves, sh: h.sh, p: h.p}
	if t.size > 0 {
		to.lines = lineBits(h.off()+t.value, t.size)
	}
}

// lookWide reads the second line of slots that are longer than one, or where the value begins if that is further; and
// the slabs of long keys.
func (t *table) lookWide(batch []looked) (sum uint64) {
	second := min(max(t.value, meta.LineSize), t.slot-8)
	for i := range batch {
		h := &batch[i]
		if !h.slot {
			continue
		}
		sum ^= *(*uint64)(unsafe.Add(h.group, second))
		if t.key.Fixed == 0 && *(*byte)(h.group) > varShort {
			h.page, h.at = h.sh.lookRef(unsafe.Add(h.group, offVarRef))
		}
	}
	for i := range batch {
		if h := &batch[i]; h.slot && h.page != nil {
			sum ^= load64(h.page, 0) ^ load64(h.page, h.at)
		}
	}
	return sum
}

// lookRef finds what a reference names, nil if it does not lie in a slab or cannot be told. It believes nothing, because
// the page of the reference may be damaged.
func (sh *shard) lookRef(ref unsafe.Pointer) (*page, uint32) {
	n, p, slot := *(*uint32)(ref), *(*uint32)(unsafe.Add(ref, 8)), *(*uint32)(unsafe.Add(ref, 12))
	if n <= maxShort || n > maxSlab || p >= sh.pages || !sh.allResident {
		return nil, 0
	}
	class := classOf(n)
	if slot >= slabSlots(class) {
		return nil, 0
	}
	return sh.page(p), offSlots + slot*slabClass[class]
}

// looked is a key on its way through look.
type looked struct {
	group  unsafe.Pointer // control bytes of the home group, then the slot or those of the second group
	second int32          // how far from there those of the group after it lie
	mask   *meta.LineMask
	tag    uint64
	sh     *shard
	p      uint32 // the bucket
	i      int    // of the key
	slot   bool   // group points to a slot whose tag fits
	page   *page  // slab of the key, if it has one
	at     uint32
}

// off is where in its page the slot lies: pages are aligned.
func (h *looked) off() uint32 { return uint32(uintptr(h.group) % pageSize) }

// aim finds a key's home group, if its bucket is at hand.
func (t *table) aim(to *looked, k *Key) bool {
	sh := t.store.shard(k.Group)
	h := &sh.heads[t.no]
	if len(h.dir) == 0 {
		return false
	}
	i := k.Hash & uint64(len(h.dir)-1)
	pg := h.at[i]
	if pg == nil {
		return false
	}
	base := t.home(k.Hash)
	to.sh, to.p, to.slot, to.page = sh, h.dir[i], false, nil
	to.group, to.second = ptrAt(pg, base), int32(t.next(base, 0, k.Hash)-base)
	to.mask, to.tag = &sh.mask[to.p], (k.Hash>>25&0x7f|0x80)*ones
	return true
}
