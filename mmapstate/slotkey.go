package mmapstate

// The key in a slot. Keys of one size are their bytes. A key of varying length takes 32 bytes:
//
//	0 length u8 │ 1 up to 31 bytes                  its hash is computed again from them
//	0 255 u8    │ 8 hash u64 │ 16 reference 16      if it is longer
//
// Bytes behind a key are zero. Whatever a page says, no length leads out of its slot: a reader takes every first byte
// above 31 for that of a longer key, and follows the reference as carefully as any.
const (
	varKey   = 32
	varShort = varKey - 1 // bytes of a key that lies in its slot
	varLong  = 255        // in place of a length

	offVarBytes = 1
	offVarHash  = 8
	offVarRef   = 16
)

func (t *table) keyBytes() uint32 {
	if t.key.Fixed == 0 {
		return varKey
	}
	return uint32(t.key.Fixed)
}

// longKey tells whether a slot of a table with keys of varying length refers to its key.
func longKey(pg *page, off uint32) bool { return pg[off] > varShort }

// inlineKey views a key that is not long.
func inlineKey(pg *page, off uint32) []byte { return bytesOf(ptrAt(pg, off+offVarBytes), int(pg[off])) }

// equal compares a slot's key.
func (t *table) equal(sh *shard, pg *page, off uint32, k Key) bool {
	switch t.key.Fixed {
	case 8:
		return load64(pg, off) == word(k.Bytes)
	case 0:
		if len(k.Bytes) <= varShort {
			return int(pg[off]) == len(k.Bytes) && string(inlineKey(pg, off)) == string(k.Bytes)
		}
		return longKey(pg, off) && load64(pg, off+offVarHash) == k.Hash && sh.refEqual(pg, off+offVarRef, t.no, k.Bytes)
	}
	return string(bytesOf(ptrAt(pg, off), t.key.Fixed)) == string(k.Bytes)
}

// putKey writes the key of a slot whose bytes are zero and marked.
func (t *table) putKey(sh *shard, h *head, p, off uint32, k Key) {
	pg := sh.page(p)
	switch {
	case t.key.Fixed != 0:
		copy(bytesOf(ptrAt(pg, off), t.key.Fixed), k.Bytes)
	case len(k.Bytes) <= varShort:
		pg[off] = byte(len(k.Bytes))
		copy(inlineKey(pg, off), k.Bytes)
	default:
		pg[off] = varLong
		store64(pg, off+offVarHash, k.Hash)
		sh.putRef(h, t.no, p, off+offVarRef, k.Bytes)
	}
}

// freeKey gives back what the key of a slot lies in outside of it.
func (t *table) freeKey(sh *shard, h *head, pg *page, off uint32) {
	if t.key.Fixed == 0 && longKey(pg, off) {
		sh.freeRef(h, t.no, pg, off+offVarRef)
	}
}

// keyAt appends the bytes of a slot's key.
func (t *table) keyAt(sh *shard, pg *page, off uint32, buf []byte) []byte {
	switch {
	case t.key.Fixed != 0:
		return append(buf, bytesOf(ptrAt(pg, off), t.key.Fixed)...)
	case longKey(pg, off):
		return sh.refBytes(pg, off+offVarRef, t.no, buf)
	}
	return append(buf, inlineKey(pg, off)...)
}

// slotHash is the hash of a slot's key.
func (t *table) slotHash(pg *page, off uint32) uint64 {
	seed := t.store.opt.HashSeed
	switch {
	case t.key.Fixed != 0:
		return t.key.rehash(bytesOf(ptrAt(pg, off), t.key.Fixed), seed)
	case longKey(pg, off):
		return load64(pg, off+offVarHash)
	}
	return t.key.rehash(inlineKey(pg, off), seed)
}
