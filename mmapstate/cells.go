package mmapstate

import (
	"fmt"
	"iter"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
)

// Cells is a state of keys with flat values that are updated in place. [CellMap] is its typed form.
type Cells struct {
	store *Store
	table *table
}

// Cells declares a state of flat values of the given size. The fingerprint tells the value's type; see
// [FlatFingerprint]. Errors wrap meta.ErrIncompatible when the checkpoint has the name with another kind or type. The
// state is rewritten entry by entry, which [Store.Rewrites] tells, if the checkpoint has it without a [TTL] or on another
// clock, or with a type that the program's has grown out of: fields were added at the end, became wider, or have another
// name and the tag `pagetide:"was=Old"`.
func (s *Store) Cells(name string, key KeyShape, size int, typeFingerprint string, o ...StateOption) (*Cells, error) {
	if size < 0 || size > maxInline {
		return nil, errInline(name, size)
	}
	opt, err := s.stateOptions(name, o)
	if err != nil {
		return nil, err
	}
	c, err := s.cells(name, key, size, typeFingerprint, opt.ttl)
	if err != nil {
		return nil, err
	}
	c.table.sweepPlain()
	return c, nil
}

func errInline(name string, size int) error {
	return fmt.Errorf("state %q: a value of %d bytes does not fit in place, at most %d do: use a codec state for larger values", name, size, maxInline)
}

// cells declares without having the entries swept one by one.
func (s *Store) cells(name string, key KeyShape, size int, typeFingerprint string, ttl TTL) (*Cells, error) {
	t, err := s.declareTable(meta.KindCell, name, key, size, typeFingerprint, ttl)
	if err != nil {
		return nil, err
	}
	return &Cells{store: s, table: t}, nil
}

// declareTable declares a state that is kept in hash tables.
func (s *Store) declareTable(kind meta.StateKind, name string, key KeyShape, size int, typeFingerprint string, ttl TTL) (*table, error) {
	if key.Fixed < 0 || key.Fixed > maxInline {
		return nil, fmt.Errorf("state %q: keys of %d bytes do not fit in place, at most %d do", name, key.Fixed, maxInline)
	}
	want := meta.State{Kind: kind, Name: name, Key: key.Fingerprint, Type: ttl.mark() + canonical(typeFingerprint)}
	was, err := s.change(want, typeFingerprint, size)
	if err != nil {
		return nil, err
	}
	no, err := s.declare(kind, name, key, want.Type)
	if err != nil {
		return nil, err
	}
	t := newTable(s, no, key, size, kind == meta.KindBytes, s.lifetime(ttl))
	if was != nil && !s.opt.CheckOnly {
		old := newTable(s, no, key, was.size, kind == meta.KindBytes, s.lifetime(was.ttl))
		if err := t.relayout(old, was); err != nil {
			return nil, fmt.Errorf("state %q: rewrite it: %w", name, err)
		}
	}
	s.tables[no] = t
	return t, nil
}

// Ref gives the value of a key for reading and writing, a zero one if the key had none. All lines of the value are
// marked: it may be written until this state gains or loses an entry, or the store freezes.
func (c *Cells) Ref(k Key) unsafe.Pointer {
	v, _ := c.RefOrCreate(k)
	return v
}

// Peek gives the value of a key for reading only, nil if it has none. It marks nothing: a write through it is lost. It
// is valid as long as a Ref. It is a read to a [TTL].
func (c *Cells) Peek(k Key) unsafe.Pointer {
	if c.table.ttl != nil {
		return c.table.peekAlive(c.store.shard(k.Group), k)
	}
	sh := c.store.shard(k.Group)
	pg, _, off := c.table.lookup(sh, k)
	if pg == nil {
		return nil
	}
	return ptrAt(pg, off+c.table.value)
}

// Delete removes a key and tells whether it was there.
func (c *Cells) Delete(k Key) bool { return c.table.remove(c.store.shard(k.Group), k) }

// Len counts the entries, those too that have expired and were not removed yet.
func (c *Cells) Len() int { return c.store.entries(c.table.no) }

// All gives every key, in no order, with its value for reading. Key bytes and value are valid for one step; the state
// must not gain or lose entries meanwhile.
func (c *Cells) All() iter.Seq2[Key, unsafe.Pointer] {
	return func(yield func(Key, unsafe.Pointer) bool) {
		var buf []byte
		c.table.all(&buf, func(k Key, pg *page, off uint32) bool { return yield(k, ptrAt(pg, off+c.table.value)) })
	}
}

// all walks every entry of a table in all shards that has not expired; the key's bytes lie in buf.
func (t *table) all(buf *[]byte, f func(k Key, pg *page, off uint32) bool) {
	t.allEntries(buf, func(k Key, pg *page, off uint32) bool { return t.expired(pg, off) || f(k, pg, off) })
}

// allEntries is all, with those that have expired.
func (t *table) allEntries(buf *[]byte, f func(k Key, pg *page, off uint32) bool) {
	s := t.store
	for i := range s.shards {
		sh := s.look(i)
		more := t.walk(sh, func(pg *page, off uint32) bool {
			*buf = t.keyAt(sh, pg, off, (*buf)[:0])
			return f(Key{Hash: t.slotHash(pg, off), Group: sh.id.Group(), Bytes: *buf}, pg, off)
		})
		if !more {
			return
		}
	}
}

// entries counts a state's entries in all shards.
func (s *Store) entries(no uint16) int {
	n := uint64(0)
	for i := range s.shards {
		n += s.look(i).heads[no].entries
	}
	return int(n)
}

// keys gives every key, in no order.
func (c *Cells) keys() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		var buf []byte
		c.table.allEntries(&buf, func(k Key, _ *page, _ uint32) bool { return yield(k) })
	}
}
