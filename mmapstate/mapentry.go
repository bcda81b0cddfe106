package mmapstate

import (
	"fmt"
	"iter"
)

// Get appends the value of a key's field to buf and tells whether there is one. It is a read to a [TTL].
func (m *Maps) Get(k Key, field []byte, buf []byte) ([]byte, bool) {
	sh := m.shard(k)
	p, off, ok := m.find(sh, k, field)
	if !ok {
		return buf, false
	}
	return m.value(sh, p, off, buf), true
}

// find looks a living entry up.
func (m *Maps) find(sh *shard, k Key, field []byte) (p, off uint32, ok bool) {
	pg, p, off := m.items.find(sh, k.join(field, m.key, m.field, &m.itemKey))
	if pg == nil || m.items.ttl != nil && !m.items.readAlive(sh, p, off) {
		return 0, 0, false
	}
	return p, off, true
}

// value appends the value in a slot.
func (m *Maps) value(sh *shard, p, off uint32, buf []byte) []byte {
	t := m.items
	if t.blob {
		return sh.refBytes(sh.page(p), off+t.value, t.no, buf)
	}
	return append(buf, bytesOf(ptrAt(sh.page(p), off+t.value), int(m.size))...)
}

// Peek gives the value of a key's field for reading only, nil if there is none, in a state with values of one size. It
// is valid until the state gains or loses an entry, or the store freezes. It is a read to a [TTL].
func (m *Maps) Peek(k Key, field []byte) ptr {
	sh := m.shard(k)
	p, off, ok := m.find(sh, k, field)
	if !ok {
		return nil
	}
	return ptrAt(sh.page(p), off+m.items.value)
}

// Ref gives the value of a key's field for reading and writing, a zero one if there was none, in a state with values
// of one size. It is valid as long as a Peek.
func (m *Maps) Ref(k Key, field []byte) ptr {
	sh := m.shard(k)
	p, off, old := m.entry(sh, k, field)
	at := off + m.items.value
	if m.size > 0 {
		sh.touch(p, lineBits(at, m.size))
	}
	pg := sh.page(p)
	if !old {
		clear(bytesOf(ptrAt(pg, at), int(m.size)))
	}
	return ptrAt(pg, at)
}

// Put stores a copy of the value under a key's field. A field or value of more than 16 MiB is refused and nothing is
// changed; a value of another size than declared panics.
func (m *Maps) Put(k Key, field, value []byte) error {
	if n := max(len(k.Bytes)+len(field)+8, len(value)); n > maxBlob {
		return errBlobSize(n)
	}
	if !m.items.blob {
		if len(value) != int(m.size) {
			panic(fmt.Sprintf("mmapstate: value of %d bytes in a map of %d", len(value), m.size))
		}
		copy(bytesOf(m.Ref(k, field), int(m.size)), value)
		return nil
	}
	t, sh := m.items, m.shard(k)
	p, off, _ := m.entry(sh, k, field)
	sh.replaceRef(&sh.heads[t.no], t.no, p, off+t.value, value)
	return nil
}

// entry finds the entry of a field, or makes one with a zero value. It is old if it was there and alive; its time is
// now.
func (m *Maps) entry(sh *shard, k Key, field []byte) (p, off uint32, old bool) {
	t := m.items
	item := k.join(field, m.key, m.field, &m.itemKey)
	pg, p, off := t.find(sh, item)
	if pg == nil {
		n := m.append(k, field)
		p, off = t.insert(sh, item)
		sh.put64(p, off+m.num, n)
		return p, off, false
	}
	if old = !t.expired(pg, off); t.ttl != nil {
		t.renew(sh, p, off)
	}
	return p, off, old
}

// Delete removes a key's field and tells whether it was there.
func (m *Maps) Delete(k Key, field []byte) bool {
	sh := m.shard(k)
	item := k.join(field, m.key, m.field, &m.itemKey)
	pg, _, off := m.items.find(sh, item)
	if pg == nil {
		return false
	}
	alive := !m.items.expired(pg, off)
	n, free := m.count(k), load64(pg, off+m.num)
	m.items.delete(sh, item)
	m.close(sh, k, n, free)
	return alive
}

// All gives the fields of a key with their values, in no order. Both are valid for one step and must not be written.
// The entry in hand may be deleted or put anew, and the map cleared. Entries that are put meanwhile are not visited; if
// another entry is deleted, one that was visited may come again.
func (m *Maps) All(k Key) iter.Seq2[[]byte, []byte] {
	return func(yield func(field, value []byte) bool) {
		var field, value []byte
		// Downwards: what takes the number of a deleted entry in hand was visited.
		for n := m.count(k); n > 0; n = min(n-1, m.count(k)) {
			sh := m.shard(k)
			field = m.fieldAt(sh, k, n-1, field[:0])
			pg, p, off := m.items.find(sh, k.join(field, m.key, m.field, &m.itemKey))
			if pg == nil {
				m.damaged(sh, "map misses its entry %d", n-1)
			}
			if m.items.ttl != nil && !m.items.readAlive(sh, p, off) {
				continue
			}
			value = m.value(sh, p, off, value[:0])
			if !yield(field, value) {
				return
			}
		}
	}
}

// Len counts the entries of a key. With a TTL it looks at each of them.
func (m *Maps) Len(k Key) int {
	count := m.count(k)
	if m.items.ttl == nil {
		return int(count)
	}
	alive, sh := 0, m.shard(k)
	for n := range count {
		m.last = m.fieldAt(sh, k, n, m.last[:0])
		pg, _, off := m.items.find(sh, k.join(m.last, m.key, m.field, &m.itemKey))
		if pg != nil && !m.items.expired(pg, off) {
			alive++
		}
	}
	return alive
}

// visit is what a sweep does with an entry.
func (m *Maps) visit(sh *shard, p, off uint32, _ int) int {
	t := m.items
	if !t.expired(sh.page(p), off) {
		t.begin(sh, p, off)
		return 0
	}
	k, field, ok := m.split(t.keyOf(sh, sh.page(p), off))
	if !ok {
		sh.damaged(p, "key of a map's entry is too short")
	}
	m.Delete(k, field)
	return 1
}
