package mmapstate

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/pagetide/pagetide/meta"
)

// Maps is a state of keys with maps from fields to values. [NestedMap] is its typed form. Three tables keep it, so that
// a field is found with one lookup, and a key's entries are walked in time proportional to their number:
//
//	name         key → count u64                      numbers 0 <= n < count are in use
//	name.items   (key, field) → value │ number u64
//	name.order   (key, number) → field
//
// A delete gives the last entry the number that became free. A map without entries has no head.
type Maps struct {
	store *Store
	field KeyShape
	key   KeyShape
	heads *Cells
	items *table
	size  uint32 // of a value in a slot of items
	num   uint32 // offset of the number there
	fixed *Cells // order, of fields of one size
	blobs *Bytes // or of any

	itemKey, orderKey, last []byte
}

// Maps declares a state of maps, whose values have the given size, or any size if it is negative. The fingerprint tells
// the value's type. Errors are those of [Store.Cells]. It takes three names: its own, and that with ".items" and
// ".order".
func (s *Store) Maps(name string, key, field KeyShape, size int, typeFingerprint string, o ...StateOption) (*Maps, error) {
	opt, err := s.stateOptions(name, o)
	if err != nil {
		return nil, err
	}
	if err := key.extensible(name); err != nil {
		return nil, err
	}
	m := &Maps{store: s, key: key, field: field}
	about := fmt.Sprintf("map of %s to %s", field.Fingerprint, typeFingerprint)
	if m.heads, err = s.cells(name, key, 8, about, TTL{}); err != nil {
		return nil, err
	}
	if err := m.declareItems(name, size, typeFingerprint, opt.ttl); err != nil {
		return nil, err
	}
	if field.Fixed > 0 {
		m.fixed, err = s.cells(name+".order", key.With(), field.Fixed, field.Fingerprint, TTL{})
	} else {
		m.blobs, err = s.bytes(name+".order", key.With(), field.Fingerprint, TTL{})
	}
	if err != nil {
		return nil, err
	}
	s.checks = append(s.checks, m.check)
	return m, nil
}

func (m *Maps) declareItems(name string, size int, print string, ttl TTL) (err error) {
	kind, room := meta.KindCell, size
	if size < 0 {
		kind, room = meta.KindBytes, refSize
	}
	if room > maxInline {
		return errInline(name, size)
	}
	number := align8(uint32(room))
	m.items, err = m.store.declareTable(kind, name+".items", m.key.join(m.field), int(number)+8, print, ttl)
	if err != nil {
		return err
	}
	m.num = m.items.value + number
	m.size = uint32(room)
	if ttl.After != 0 {
		m.items.ttl.visit = m.visit
	}
	return nil
}

// join is the shape of keys extended by a field.
func (k KeyShape) join(field KeyShape) KeyShape {
	n := field.Fixed
	if n == 0 {
		n = -1
	}
	return k.extended(n, k.Fingerprint+"+"+field.Fingerprint)
}

// join extends a key by a field. The bytes lie in scratch.
func (k Key) join(field []byte, key, fields KeyShape, scratch *[]byte) Key {
	b := append((*scratch)[:0], k.Bytes...)
	b = append(b, field...)
	if key.Fixed == 0 && fields.Fixed == 0 { // where the field begins
		b = binary.LittleEndian.AppendUint32(b, uint32(len(k.Bytes)))
	}
	*scratch = b
	return Key{Hash: joinHash(k.Hash, hashSuffix(field)), Group: k.Group, Bytes: b}
}

// split undoes join.
func (m *Maps) split(item Key) (k Key, field []byte, ok bool) {
	key, field, ok := m.items.key.cut(item.Bytes)
	if !ok {
		return Key{}, nil, false
	}
	return Key{Hash: splitHash(item.Hash, hashSuffix(field)), Group: item.Group, Bytes: key}, field, true
}

func (m *Maps) shard(k Key) *shard { return m.store.shard(k.Group) }

// append gives a field the next number of its key.
func (m *Maps) append(k Key, field []byte) uint64 {
	count := (*uint64)(m.heads.Ref(k))
	n := *count
	*count++
	m.setField(k.With(n, &m.orderKey), field)
	return n
}

// close gives the number of a deleted entry to the last one of the n that its key had.
func (m *Maps) close(sh *shard, k Key, n, free uint64) {
	if free >= n {
		m.damaged(sh, "entry has number %d of %d", free, n)
	}
	if last := n - 1; free != last {
		m.last = m.fieldAt(sh, k, last, m.last[:0])
		m.setField(k.With(free, &m.orderKey), m.last)
		pg, p, off := m.items.find(sh, k.join(m.last, m.key, m.field, &m.itemKey))
		if pg == nil {
			m.damaged(sh, "map misses its entry %d", last)
		}
		sh.put64(p, off+m.num, free)
	}
	m.orderTable().delete(sh, k.With(n-1, &m.orderKey))
	if n == 1 {
		m.heads.Delete(k)
		return
	}
	*(*uint64)(m.heads.Ref(k)) = n - 1
}

func (m *Maps) orderTable() *table {
	if m.fixed != nil {
		return m.fixed.table
	}
	return m.blobs.table
}

func (m *Maps) setField(at Key, field []byte) {
	if m.fixed != nil {
		copy(bytesOf(m.fixed.Ref(at), m.field.Fixed), field)
		return
	}
	if err := m.blobs.Put(at, field); err != nil {
		m.store.fail(err) // the size was checked
	}
}

// fieldAt appends the field with a number.
func (m *Maps) fieldAt(sh *shard, k Key, n uint64, buf []byte) []byte {
	at := k.With(n, &m.orderKey)
	if m.fixed != nil {
		if p := m.fixed.Peek(at); p != nil {
			return append(buf, bytesOf(p, m.field.Fixed)...)
		}
	} else if b, ok := m.blobs.Get(at, buf); ok {
		return b
	}
	m.damaged(sh, "map misses the field with number %d", n)
	return buf
}

func (m *Maps) damaged(sh *shard, format string, args ...any) {
	sh.damaged(sh.heads[m.heads.table.no].root, format, args...)
}

// count is the number of a key's entries, those too that have expired.
func (m *Maps) count(k Key) uint64 {
	p := (*uint64)(m.heads.Peek(k))
	if p == nil {
		return 0
	}
	if all := m.shard(k).heads[m.items.no].entries; *p == 0 || *p > all {
		m.damaged(m.shard(k), "map of %d entries where all maps have %d", *p, all)
	}
	return *p
}

// Clear removes all entries of a key.
func (m *Maps) Clear(k Key) {
	sh := m.shard(k)
	for n := m.count(k); n > 0; n-- {
		m.last = m.fieldAt(sh, k, n-1, m.last[:0])
		m.items.delete(sh, k.join(m.last, m.key, m.field, &m.itemKey))
		m.orderTable().delete(sh, k.With(n-1, &m.orderKey))
	}
	m.heads.Delete(k)
}

// Keys gives every key that has entries, in no order. The state must not gain or lose keys meanwhile. Keys whose
// entries have all expired and were not removed yet are among them.
func (m *Maps) Keys() iter.Seq[Key] { return m.heads.keys() }

// Maps counts the keys that have entries.
func (m *Maps) Maps() int { return m.heads.Len() }
