package mmapstate

import (
	"math/bits"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
)

// The shortest ways through a table, for keys of one word and short strings, which most programs have; and the hint that lets the misses
// of a batch overlap.

// lookup is find by the shortest way.
func (t *table) lookup(sh *shard, k Key) (pg *page, p, off uint32) {
	switch {
	case t.key.Fixed == 8 && len(k.Bytes) == 8:
		return t.findWord(sh, k)
	case t.key.Fixed == 0 && len(k.Bytes) <= varShort:
		return t.findText(sh, k)
	}
	return t.find(sh, k)
}

// findText is find for keys of varying length that lie in their slots: the same probe with little to call.
func (t *table) findText(sh *shard, k Key) (pg *page, p, off uint32) {
	h := &sh.heads[t.no]
	if len(h.dir) == 0 && !t.open(sh, h) {
		return nil, 0, 0
	}
	hash := k.Hash
	i := hash & uint64(len(h.dir)-1)
	pg, p = h.at[i], h.dir[i]
	if pg == nil {
		pg = sh.resolve(h, i)
	}
	base := t.home(hash)
	tag := (hash>>25&0x7f | 0x80) * ones
	slot := t.slot
	for i := range t.groups + 1 {
		ctrl := load64(pg, base)
		x := ctrl ^ tag
		for m := (x - ones) &^ x & highs; m != 0; m &= m - 1 {
			off := base + 8 + uint32(bits.TrailingZeros64(m)>>3)*slot
			if int(pg[off]) == len(k.Bytes) && string(inlineKey(pg, off)) == string(k.Bytes) {
				return pg, p, off
			}
		}
		if (ctrl-ones)&^ctrl&highs != 0 {
			break
		}
		base = t.next(base, i, hash)
	}
	if pg.link() == 0 {
		return nil, 0, 0
	}
	return t.findFurther(sh, pg.link(), k)
}

// findWord is find for 8-byte keys: the same probe with nothing to call.
func (t *table) findWord(sh *shard, k Key) (pg *page, p, off uint32) {
	h := &sh.heads[t.no]
	if len(h.dir) == 0 && !t.open(sh, h) {
		return nil, 0, 0
	}
	hash, key := k.Hash, load64At(unsafe.Pointer(unsafe.SliceData(k.Bytes)))
	i := hash & uint64(len(h.dir)-1)
	pg, p = h.at[i], h.dir[i]
	if pg == nil {
		pg = sh.resolve(h, i)
	}
	base := t.home(hash)
	tag := (hash>>25&0x7f | 0x80) * ones
	slot := t.slot
	for i := range t.groups + 1 {
		ctrl := load64(pg, base)
		x := ctrl ^ tag
		for m := (x - ones) &^ x & highs; m != 0; m &= m - 1 {
			off := base + 8 + uint32(bits.TrailingZeros64(m)>>3)*slot
			if load64(pg, off) == key {
				return pg, p, off
			}
		}
		if (ctrl-ones)&^ctrl&highs != 0 {
			break
		}
		base = t.next(base, i, hash)
	}
	if pg.link() == 0 {
		return nil, 0, 0
	}
	return t.findFurther(sh, pg.link(), k)
}

// hintFrom is how much state there must be before hints pay: less stays in the caches that are near.
const hintFrom = 8 << 20

// Hints says whether there is so much state that [Cells.Hint] is worth its own cost.
func (s *Store) Hints() bool { return s.pageCount*pageSize >= hintFrom }

// hintBatch is how many keys are looked at together: about as many misses as a core can have under way.
const hintBatch = 32

// Hint reads what lookups of these keys will read first. Called for the keys of a batch before the batch is worked on, it
// lets their cache misses overlap. It marks nothing, loads nothing and promises nothing; the result means nothing, and
// should be used, so that the reads are not optimised away.
func (c *Cells) Hint(keys []Key) uint64 { return c.table.hint(keys) }

// Hint is [Cells.Hint].
func (b *Bytes) Hint(keys []Key) uint64 { return b.table.hint(keys) }

// hint works in steps, because a core overlaps the misses of one only if little stands between them: find the bucket,
// read its control bytes, read the slot that they point to.
func (t *table) hint(keys []Key) (sum uint64) {
	var batch [hintBatch]hinted
	for len(keys) > 0 {
		n := 0
		for i := range keys[:min(hintBatch, len(keys))] {
			if t.aim(&batch[n], &keys[i]) {
				n++
			}
		}
		keys = keys[min(hintBatch, len(keys)):]
		for i := range batch[:n] {
			h := &batch[i]
			x := *(*uint64)(h.group) ^ h.tag
			if m := (x - ones) &^ x & highs; m != 0 {
				h.group = unsafe.Add(h.group, 8+uint32(bits.TrailingZeros64(m)>>3)*t.slot)
				h.slot = true
			} else {
				h.group = h.second
			}
		}
		for i := range batch[:n] {
			sum ^= *(*uint64)(batch[i].group) ^ *(*uint64)(batch[i].mask)
		}
		if t.slot > meta.LineSize || t.key.Fixed == 0 {
			sum ^= t.hintWide(batch[:n])
		}
	}
	return sum
}

// hintWide reads the second line of slots that are longer than one, or where the value begins if that is further; and
// the slabs of long keys.
func (t *table) hintWide(batch []hinted) (sum uint64) {
	second := min(max(t.value, meta.LineSize), t.slot-8)
	for i := range batch {
		h := &batch[i]
		if !h.slot {
			continue
		}
		sum ^= *(*uint64)(unsafe.Add(h.group, second))
		if t.key.Fixed == 0 && *(*byte)(h.group) > varShort {
			h.page, h.at = h.sh.hintRef(unsafe.Add(h.group, offVarRef))
		}
	}
	for i := range batch {
		if h := &batch[i]; h.slot && h.page != nil {
			sum ^= load64(h.page, 0) ^ load64(h.page, h.at)
		}
	}
	return sum
}

// hintRef finds what a reference names, nil if it does not lie in a slab or cannot be told. It believes nothing, because
// the page of the reference may be damaged.
func (sh *shard) hintRef(ref unsafe.Pointer) (*page, uint32) {
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

// hinted is a key on its way through hint.
type hinted struct {
	group  unsafe.Pointer // control bytes of the home group, then the slot
	second unsafe.Pointer // control bytes of the group after it
	mask   *meta.LineMask
	tag    uint64
	sh     *shard
	slot   bool  // group points to a slot whose tag fits
	page   *page // slab of the key, if it has one
	at     uint32
}

// aim finds a key's home group, if its bucket is at hand.
func (t *table) aim(to *hinted, k *Key) bool {
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
	to.sh, to.slot, to.page = sh, false, nil
	to.group, to.second = ptrAt(pg, base), ptrAt(pg, t.next(base, 0, k.Hash))
	to.mask, to.tag = &sh.mask[h.dir[i]], (k.Hash>>25&0x7f|0x80)*ones
	return true
}
