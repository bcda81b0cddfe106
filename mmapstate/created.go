package mmapstate

import "unsafe"

// RefOrCreate is [Cells.Ref] and tells whether the key had no value before.
func (c *Cells) RefOrCreate(k Key) (value unsafe.Pointer, created bool) {
	if c.table.ttl != nil {
		return c.table.refAlive(c.store.shard(k.Group), k)
	}
	sh := c.store.shard(k.Group)
	pg, p, off := c.table.lookup(sh, k)
	if pg == nil {
		p, off = c.table.insert(sh, k)
		pg, created = sh.page(p), true
	}
	off += c.table.value
	if c.table.size > 0 {
		sh.touch(p, lineBits(off, c.table.size))
	}
	return ptrAt(pg, off), created
}

// Bytes views a key as a [Key] does, for a caller that has its hash and group already.
func (k *Keyer[K]) Bytes(key *K) []byte { return k.view(key) }
