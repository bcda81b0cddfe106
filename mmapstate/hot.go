package mmapstate

import (
	"math/bits"
	"unsafe"
)

// The shortest ways through a table, for keys of one word, which most programs have; and the hint that lets the misses
// of a batch overlap.

// lookup is find by the shortest way.
func (t *table) lookup(sh *shard, k Key) (p, off uint32, ok bool) {
	if t.key.Fixed == 8 && len(k.Bytes) == 8 {
		return t.findWord(sh, k)
	}
	return t.find(sh, k)
}

// findWord is find for 8-byte keys: the same probe with nothing to call.
func (t *table) findWord(sh *shard, k Key) (p, off uint32, ok bool) {
	h := &sh.heads[t.no]
	if len(h.dir) == 0 && !t.open(sh, h) {
		return 0, 0, false
	}
	hash, key := k.Hash, load64At(unsafe.Pointer(unsafe.SliceData(k.Bytes)))
	p = h.dir[hash&uint64(len(h.dir)-1)]
	pg := sh.at(p)
	tag := (hash>>25&0x7f | 0x80) * ones
	stride, slot, end := t.stride, t.slot, t.end
	base := headSize + uint32(hash>>32*uint64(t.groups)>>32)*stride
	for range t.groups {
		ctrl := load64(pg, base)
		x := ctrl ^ tag
		for m := (x - ones) &^ x & highs; m != 0; m &= m - 1 {
			off := base + 8 + uint32(bits.TrailingZeros64(m)>>3)*slot
			if load64(pg, off) == key {
				return p, off, true
			}
		}
		if (ctrl-ones)&^ctrl&highs != 0 {
			break
		}
		if base += stride; base == end {
			base = headSize
		}
	}
	if pg.link() == 0 {
		return 0, 0, false
	}
	return t.findFurther(sh, pg.link(), k)
}

// Hint reads what a lookup of the key will read first. Called for all keys of a batch before the batch is worked on, it
// lets their cache misses overlap. It marks nothing, loads nothing and promises nothing; the result means nothing, and
// should be used, so that the read is not optimised away.
func (c *Cells) Hint(k Key) uint64 { return c.table.hint(c.store.shard(k.Group), k.Hash) }

// Hint is [Cells.Hint].
func (b *Bytes) Hint(k Key) uint64 { return b.table.hint(b.store.shard(k.Group), k.Hash) }

func (t *table) hint(sh *shard, hash uint64) uint64 {
	h := &sh.heads[t.no]
	if len(h.dir) == 0 {
		return 0
	}
	p := h.dir[hash&uint64(len(h.dir)-1)]
	if !sh.allResident && !sh.isResident(p/groupPages) {
		return 0
	}
	base := headSize + uint32(hash>>32*uint64(t.groups)>>32)*t.stride
	return load64(sh.page(p), base) ^ load64(sh.page(p), base+t.stride-8) ^ uint64(sh.mask[p])
}
