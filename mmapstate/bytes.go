package mmapstate

import (
	"iter"

	"github.com/pagetide/pagetide/meta"
)

// Bytes is a state of keys with byte strings: values that a codec made.
type Bytes struct {
	store *Store
	table *table
}

// Bytes declares a state of byte strings. The fingerprint tells what they encode. Errors are those of [Store.Cells].
func (s *Store) Bytes(name string, key KeyShape, typeFingerprint string, o ...StateOption) (*Bytes, error) {
	opt, err := s.stateOptions(name, o)
	if err != nil {
		return nil, err
	}
	b, err := s.bytes(name, key, typeFingerprint, opt.ttl)
	if err != nil {
		return nil, err
	}
	b.table.sweepPlain()
	return b, nil
}

// bytes declares without having the entries swept one by one.
func (s *Store) bytes(name string, key KeyShape, typeFingerprint string, ttl TTL) (*Bytes, error) {
	t, err := s.declareTable(meta.KindBytes, name, key, refSize, typeFingerprint, ttl)
	if err != nil {
		return nil, err
	}
	return &Bytes{store: s, table: t}, nil
}

// Put stores a copy of the value under a key, in place of what was there. A value of more than 16 MiB is refused and
// nothing is changed.
func (b *Bytes) Put(k Key, value []byte) error {
	if len(value) > maxBlob {
		return errBlobSize(len(value))
	}
	if len(k.Bytes) > maxBlob {
		return errBlobSize(len(k.Bytes))
	}
	t, sh := b.table, b.store.shard(k.Group)
	pg, p, off := t.find(sh, k)
	if pg == nil {
		p, off = t.insert(sh, k)
		sh.putRef(&sh.heads[t.no], t.no, p, off+t.value, value)
		return nil
	}
	sh.replaceRef(&sh.heads[t.no], t.no, p, off+t.value, value)
	if t.ttl != nil {
		t.renew(sh, p, off)
	}
	return nil
}

// Get appends the value of a key to buf, so that a buffer can be reused. It tells whether there is one. It is a read to
// a [TTL].
func (b *Bytes) Get(k Key, buf []byte) ([]byte, bool) {
	t, sh := b.table, b.store.shard(k.Group)
	pg, p, off := t.find(sh, k)
	if pg == nil || t.ttl != nil && !t.readAlive(sh, p, off) {
		return buf, false
	}
	return sh.refBytes(pg, off+t.value, t.no, buf), true
}

// Delete removes a key and tells whether it was there.
func (b *Bytes) Delete(k Key) bool { return b.table.remove(b.store.shard(k.Group), k) }

// Len counts the entries, those too that have expired and were not removed yet.
func (b *Bytes) Len() int { return b.store.entries(b.table.no) }

// All gives every key with its value, in no order. Both are valid for one step; the state must not be changed
// meanwhile.
func (b *Bytes) All() iter.Seq2[Key, []byte] {
	return func(yield func(Key, []byte) bool) {
		var key, value []byte
		b.table.all(&key, func(k Key, pg *page, off uint32) bool {
			sh := b.store.shard(k.Group)
			value = sh.refBytes(pg, off+b.table.value, b.table.no, value[:0])
			return yield(k, value)
		})
	}
}

// replaceRef stores another byte string behind a reference, in the old one's slot if it is of the same class.
func (sh *shard) replaceRef(h *head, no uint16, p, off uint32, b []byte) {
	pg := sh.page(p)
	n, at, slot := load32(pg, off), load32(pg, off+8), load32(pg, off+12)
	if !sameSlab(n, uint32(len(b))) {
		sh.freeRef(h, no, pg, off)
		sh.putRef(h, no, p, off, b)
		return
	}
	size := slabClass[classOf(n)]
	sl := sh.slab(no, at, classOf(n))
	sh.checkSlot(at, sl, classOf(n), slot)
	sh.touch(at, lineBits(offSlots+slot*size, size))
	copy(bytesOf(ptrAt(sl, offSlots+slot*size), int(size)), b)
	sh.touch(p, lineBits(off, refSize))
	store32(pg, off, uint32(len(b)))
	copy(bytesOf(ptrAt(pg, off+4), 4), b)
}

func sameSlab(a, b uint32) bool {
	return a > maxShort && b > maxShort && a <= maxSlab && b <= maxSlab && classOf(a) == classOf(b)
}
