package mmapstate

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// viewReader reads one key group of a state.
type viewReader struct {
	s     *StateView
	store *Store
	sh    *shard
	table *table // of values; the heads of a list or nested map
	tree  *tree  // of an index
	lists *Lists
	maps  *Maps

	refs []viewRef // in order
	keys []byte    // of all refs
	buf  []byte
}

// viewRef is an entry that was found.
type viewRef struct {
	pg       *page
	off      uint32
	from, to int      // in keys
	at       int64    // the time of an index entry
	n        [2]int64 // the numbers that extend the key
}

// open makes a store of one key group and declares the state in it.
func (s *StateView) open(g meta.KeyGroup) (*viewReader, error) {
	switch {
	case s.value == nil && s.Kind != ViewIndex:
		return nil, fmt.Errorf("only the program knows its values of type %q: %w", s.Type, meta.ErrIncompatible)
	case !s.key.known() || s.Kind == ViewMap && !s.field.known():
		return nil, fmt.Errorf("only the program knows its keys of type %q: %w", s.Key, meta.ErrIncompatible)
	}
	store, err := Open(Options{Operator: s.view.op, From: g, To: g + 1, Lazy: true, CheckOnly: true}, s.view.from)
	if err != nil {
		return nil, err
	}
	r := &viewReader{s: s, store: store, sh: store.shard(g)}
	if err := r.declare(); err != nil {
		store.Close()
		return nil, err
	}
	return r, nil
}

func (r *viewReader) declare() (err error) {
	s, key := r.s, r.s.key.shape
	_, print := cutMark(s.main.Type)
	if s.items.Name != "" {
		_, print = cutMark(s.items.Type)
	}
	switch s.numbers {
	case 1:
		key = key.With()
	case 2:
		key = key.WithPair()
	}
	switch {
	case s.Kind == ViewIndex:
		x, err := r.store.Index(s.Name, key)
		if err != nil {
			return err
		}
		r.tree = x.tree
	case s.Kind == ViewList:
		if r.lists, err = r.store.Lists(s.Name, key, s.valueSize, print, s.ttl); err == nil {
			r.table = r.lists.heads.table
		}
	case s.Kind == ViewMap:
		if r.maps, err = r.store.Maps(s.Name, key, s.field.shape, s.valueSize, print, s.ttl); err == nil {
			r.table = r.maps.heads.table
		}
	default:
		r.table, err = r.store.declareTable(s.main.Kind, s.Name, key, max(s.valueSize, 0)+blobRoom(s.valueSize), print, s.ttl)
	}
	return err
}

// blobRoom is what a slot has of a value that is not flat.
func blobRoom(size int) int {
	if size < 0 {
		return refSize
	}
	return 0
}

// collect finds the entries of the group, or of one key, and puts them in order.
func (r *viewReader) collect(only *Key) (err error) {
	defer catch(&err)
	switch {
	case r.sh.pages == 0:
		return nil
	case r.tree != nil:
		r.collectIndex(only)
	case only != nil && r.s.numbers == 0:
		if pg, _, off := r.table.find(r.sh, *only); pg != nil {
			r.add(viewRef{pg: pg, off: off}, r.table.keyAt(r.sh, pg, off, nil), nil)
		}
	default:
		most := uint64(r.sh.pages) * pageSize / 8 // slots in as many pages
		r.table.walk(r.sh, func(pg *page, off uint32) bool {
			if most--; most == 0 {
				r.sh.damaged(r.sh.heads[r.table.no].root, "buckets are named more than once")
			}
			r.buf = r.table.keyAt(r.sh, pg, off, r.buf[:0])
			r.add(viewRef{pg: pg, off: off}, r.buf, only)
			return true
		})
	}
	r.sort()
	return nil
}

func (r *viewReader) collectIndex(only *Key) {
	h := &r.sh.heads[r.tree.no]
	if !r.tree.open(r.sh, h) {
		return
	}
	last := least
	for w := r.tree.seek(r.sh, h, least); r.tree.settle(r.sh, &w); w.pos[w.last]++ {
		pg, off := r.tree.here(r.sh, &w)
		at := rankAt(pg, off)
		if at.compare(last) < 0 { // what does not ascend could go on for ever
			r.sh.damaged(w.page[w.last], "index is out of order")
		}
		last = rank{at: at.at, hash: at.hash, seq: at.seq + 1}
		r.buf = r.tree.keyAt(r.sh, pg, off, r.buf[:0])
		r.add(viewRef{pg: pg, off: off, at: at.at}, r.buf, only)
	}
}

// add notes an entry with the key that it has in the state.
func (r *viewReader) add(ref viewRef, key []byte, only *Key) {
	base := len(key) - 8*r.s.numbers
	if base < 0 {
		r.sh.damaged(0, "key of %d bytes ends in %d numbers of 8", len(key), r.s.numbers)
	}
	for i := range r.s.numbers {
		ref.n[i] = int64(binary.LittleEndian.Uint64(key[base+8*i:]))
	}
	if key = key[:base]; only == nil || bytes.Equal(only.Bytes, key) {
		ref.from = len(r.keys)
		r.keys = append(r.keys, key...)
		ref.to = len(r.keys)
		r.refs = append(r.refs, ref)
	}
}

func (r *viewReader) sort() {
	slices.SortFunc(r.refs, func(a, b viewRef) int {
		return cmp.Or(cmp.Compare(a.at, b.at), bytes.Compare(r.keys[a.from:a.to], r.keys[b.from:b.to]), slices.Compare(a.n[:], b.n[:]))
	})
}

// entry makes the i-th entry.
func (r *viewReader) entry(i int) (e Entry, err error) {
	defer catch(&err)
	ref := r.refs[i]
	key := r.keys[ref.from:ref.to]
	e = Entry{Group: r.sh.id.Group(), Key: r.s.key.text(nil, key), sort: key, at: ref.at, n: ref.n}
	if r.s.numbers > 0 {
		e.Start = &ref.n[0]
	}
	switch {
	case r.tree != nil:
		e.Time, e.timeFirst = &ref.at, true
	case r.lists != nil:
		r.list(&e, r.key(key))
	case r.maps != nil:
		r.nested(&e, r.key(key))
	default:
		e.Value = r.valueAt(nil, r.table, ref.pg, ref.off)
		e.Time = r.stamp(r.table, ref.pg, ref.off)
	}
	return e, nil
}

func (r *viewReader) key(b []byte) Key {
	return Key{Hash: hashKey(b, r.s.key.shape.Fixed != 0, r.store.HashSeed()), Group: r.sh.id.Group(), Bytes: b}
}

// valueAt appends the text of the value in a slot.
func (r *viewReader) valueAt(text []byte, t *table, pg *page, off uint32) []byte {
	if t.blob {
		r.buf = r.sh.refBytes(pg, off+t.value, t.no, r.buf[:0])
		return r.s.value(text, r.buf)
	}
	return r.s.value(text, bytesOf(ptrAt(pg, off+t.value), r.s.valueSize))
}

// stamp is when a slot was written last, nil without a TTL or if there was no time then.
func (r *viewReader) stamp(t *table, pg *page, off uint32) *int64 {
	if t.ttl == nil || t.stampAt(pg, off) == noTime {
		return nil
	}
	at := t.stampAt(pg, off)
	return &at
}

// list makes the elements of a key's list. The entry's time is that of the last read.
func (r *viewReader) list(e *Entry, k Key) {
	t := r.lists.items
	pg, p, off := r.table.find(r.sh, k)
	span := r.lists.spanAt(r.sh, p, off)
	e.Time = r.stamp(r.table, pg, off)
	e.Value = append(e.Value, '[')
	for n := span.First; n < span.Next; n++ {
		p, off := r.lists.item(r.sh, k, n)
		pg := r.sh.page(p)
		e.Value = r.valueAt(comma(e.Value), t, pg, off)
		e.Times = r.appendTime(e.Times, "", t, pg, off)
	}
	e.Value = append(e.Value, ']')
	e.Times = closed(e.Times, ']')
}

// nested makes the fields of a key's map, by the bytes of the field.
func (r *viewReader) nested(e *Entry, k Key) {
	t, fields := r.maps.items, [][]byte(nil)
	for n := range r.maps.count(k) {
		fields = append(fields, r.maps.fieldAt(r.sh, k, n, nil))
	}
	slices.SortFunc(fields, bytes.Compare)
	e.Value = append(e.Value, '{')
	for _, f := range fields {
		pg, _, off := t.find(r.sh, k.join(f, r.maps.key, r.maps.field, &r.maps.itemKey))
		if pg == nil {
			r.maps.damaged(r.sh, "map misses an entry")
		}
		name := string(r.s.field.name(f))
		e.Value = append(append(comma(e.Value), name...), ':')
		e.Value = r.valueAt(e.Value, t, pg, off)
		e.Times = r.appendTime(e.Times, name, t, pg, off)
	}
	e.Value = append(e.Value, '}')
	e.Times = closed(e.Times, '}')
}

// appendTime adds the time of a list's element or a map's field.
func (r *viewReader) appendTime(text []byte, name string, t *table, pg *page, off uint32) []byte {
	if t.ttl == nil {
		return text
	}
	switch {
	case name == "":
		text = comma(opened(text, '['))
	default:
		text = append(append(comma(opened(text, '{')), name...), ':')
	}
	if at := r.stamp(t, pg, off); at != nil {
		return appendTime(text, *at)
	}
	return append(text, "null"...)
}

func opened(text []byte, bracket byte) []byte {
	if text == nil {
		return []byte{bracket}
	}
	return text
}

func closed(text []byte, bracket byte) []byte {
	if text == nil {
		return nil
	}
	return append(text, bracket)
}

// comma appends one unless a bracket was just opened.
func comma(text []byte) []byte {
	if c := text[len(text)-1]; c == '[' || c == '{' {
		return text
	}
	return append(text, ',')
}
