package mmapstate

import "unsafe"

// RefOrCreate is [Cells.Ref] and tells whether the key had no value before.
func (c *Cells) RefOrCreate(k Key) (value unsafe.Pointer, created bool) {
	sh := c.store.shard(k.Group)
	p, off, ok := c.table.find(sh, k)
	if !ok {
		p, off = c.table.insert(sh, k)
	}
	off += c.table.value
	if c.table.size > 0 {
		sh.touch(p, lineBits(off, c.table.size))
	}
	return ptrAt(sh.page(p), off), !ok
}

// Bytes views a key as a [Key] does, for a caller that has its hash and group already.
func (k *Keyer[K]) Bytes(key *K) []byte { return k.view(key) }
