package mmapstate

import (
	"math/bits"
	"unsafe"
)

// The shortest ways through a table, for keys of one word and short strings, which most programs have.

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
