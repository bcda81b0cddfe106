package mmapstate

import "math/bits"

// A slab is a page of equally sized slots for byte strings of one size class and state:
//
//	header 16 │ bitmap of used slots 32 │ slots
//
// Slabs with room are listed from the state's root page, by class.
const (
	offBitmap = headSize
	offSlots  = offBitmap + 32
	slabSpace = pageSize - offSlots
)

// slabClass are the sizes of slots. They are part of the format.
var slabClass = [...]uint32{16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1008, 1344, 2024}

func slabSlots(class uint32) uint32 { return slabSpace / slabClass[class] }

// classOf is the smallest class with room for n bytes.
func classOf(n uint32) uint32 {
	c := uint32(0)
	for slabClass[c] < n {
		c++
	}
	return c
}

func slabList(class uint32) uint32 { return offSlabs + 4*class }

// slab follows a reference to a slab of a class.
func (sh *shard) slab(no uint16, p, class uint32) *page {
	pg := sh.see(p, pageSlab, no)
	if uint32(pg.level()) != class {
		sh.damaged(p, "slab of class %d where %d belongs", pg.level(), class)
	}
	return pg
}

// slabBytes views a stored byte string of n > maxShort bytes.
func (sh *shard) slabBytes(no uint16, p, slot, n uint32) []byte {
	class := classOf(n)
	pg := sh.slab(no, p, class)
	sh.checkSlot(p, pg, class, slot)
	return bytesOf(ptrAt(pg, offSlots+slot*slabClass[class]), int(n))
}

// checkSlot makes sure that a reference names a slot in use.
func (sh *shard) checkSlot(p uint32, pg *page, class, slot uint32) {
	if slot >= slabSlots(class) || load64(pg, offBitmap+slot/64*8)>>(slot%64)&1 == 0 {
		sh.damaged(p, "slot %d of the slab is not in use", slot)
	}
}

// putSlab stores b in a free slot of its class.
func (sh *shard) putSlab(h *head, no uint16, b []byte) (p, slot uint32) {
	class := classOf(uint32(len(b)))
	p = load32(sh.at(h.root), slabList(class))
	if p == 0 {
		p = sh.newSlab(h, no, class)
	}
	pg := sh.slab(no, p, class)
	if pg.count() >= slabSlots(class) {
		sh.damaged(p, "a full slab is listed as having room")
	}
	for i := range uint32(4) {
		if free := ^load64(pg, offBitmap+8*i); free != 0 { // the lowest one exists, because the count says so
			slot = 64*i + uint32(bits.TrailingZeros64(free))
			break
		}
	}
	off, w := offSlots+slot*slabClass[class], offBitmap+slot/64*8
	sh.touch(p, lineBits(0, headSize)|lineBits(w, 8)|lineBits(off, slabClass[class]))
	store64(pg, w, load64(pg, w)|1<<(slot%64))
	store16(pg, offCount, uint16(pg.count()+1))
	copy(bytesOf(ptrAt(pg, off), int(slabClass[class])), b)
	if pg.count() == slabSlots(class) {
		sh.unlistSlab(h, no, p, class)
	}
	return p, slot
}

// freeSlab gives a slot back, and its page when that was the last one.
func (sh *shard) freeSlab(h *head, no uint16, p, slot, n uint32) {
	class := classOf(n)
	pg := sh.slab(no, p, class)
	sh.checkSlot(p, pg, class, slot)
	w := offBitmap + slot/64*8
	sh.touch(p, lineBits(0, headSize)|lineBits(w, 8))
	store64(pg, w, load64(pg, w)&^(1<<(slot%64)))
	was := pg.count()
	store16(pg, offCount, uint16(was-1))
	if was == slabSlots(class) {
		sh.listSlab(h, no, p, class)
	}
	if was == 1 {
		sh.unlistSlab(h, no, p, class)
		sh.free(p)
	}
}

// newSlab allocates an empty slab and lists it.
func (sh *shard) newSlab(h *head, no uint16, class uint32) uint32 {
	p, pg := sh.alloc(pageSlab, no)
	pg[offLevel] = byte(class)
	sh.listSlab(h, no, p, class)
	return p
}

// listSlab puts a slab in front of its list. The header holds next in link and previous in extra.
func (sh *shard) listSlab(h *head, no uint16, p, class uint32) {
	next := load32(sh.at(h.root), slabList(class))
	pg := sh.edit(p, 0, headSize)
	store32(pg, offLink, next)
	store32(pg, offExtra, 0)
	if next != 0 {
		sh.slab(no, next, class)
		sh.put32(next, offExtra, p)
	}
	sh.put32(h.root, slabList(class), p)
}

// unlistSlab takes a slab out of its list.
func (sh *shard) unlistSlab(h *head, no uint16, p, class uint32) {
	pg := sh.edit(p, 0, headSize)
	next, prev := pg.link(), pg.extra()
	store32(pg, offLink, 0)
	store32(pg, offExtra, 0)
	if prev != 0 {
		sh.slab(no, prev, class)
		sh.put32(prev, offLink, next)
	} else {
		sh.put32(h.root, slabList(class), next)
	}
	if next != 0 {
		sh.slab(no, next, class)
		sh.put32(next, offExtra, prev)
	}
}
