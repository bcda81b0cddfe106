package mmapstate

import (
	"fmt"
	"iter"
	"math"
	"unsafe"
)

// Lists is a state of keys with lists of elements, which are bytes: of one size, or any number. [ListMap] is its typed
// form. An element lies in a table of its own under (key, number), so an append moves nothing and reads no element.
//
//	name         key → first u64 │ next u64      the list has the elements numbered first <= n < next
//	name.items   (key, number) → element
//
// A list without elements has no entry.
type Lists struct {
	heads *Cells // with a TTL, an entry's time is that of the last read, if reads renew
	fixed *Cells // elements of one size
	blobs *Bytes // or of any
	items *table // of either
	buf   []byte // a key with a number
}

type listSpan struct{ First, Next uint64 }

const listSpanSize = uint32(unsafe.Sizeof(listSpan{}))

// Lists declares a state of lists, with elements of the given size, or of any size if it is negative. The fingerprint
// tells the element's type. Errors are those of [Store.Cells]. It takes two names: its own, and that with ".items".
func (s *Store) Lists(name string, key KeyShape, size int, typeFingerprint string, o ...StateOption) (*Lists, error) {
	opt, err := s.stateOptions(name, o)
	if err != nil {
		return nil, err
	}
	if err := key.extensible(name); err != nil {
		return nil, err
	}
	l := &Lists{}
	if l.heads, err = s.cells(name, key, int(listSpanSize), "list of "+typeFingerprint, opt.ttl); err != nil {
		return nil, err
	}
	if size > maxInline {
		return nil, errInline(name, size)
	}
	if size >= 0 {
		l.fixed, err = s.cells(name+".items", key.With(), size, typeFingerprint, opt.ttl)
	} else {
		l.blobs, err = s.bytes(name+".items", key.With(), typeFingerprint, opt.ttl)
	}
	if err != nil {
		return nil, err
	}
	if l.items = l.itemTable(); l.items.ttl != nil {
		l.heads.table.ttl.visit = l.visit
	}
	s.checks = append(s.checks, l.check)
	return l, nil
}

// extensible refuses keys that Key.With has extended already: their hash could not be computed from their bytes.
func (k KeyShape) extensible(name string) error {
	if k.Suffix != 0 {
		return fmt.Errorf("state %q: its keys %s are extended already", name, k.Fingerprint)
	}
	return nil
}

func (l *Lists) itemTable() *table {
	if l.fixed != nil {
		return l.fixed.table
	}
	return l.blobs.table
}

// Append adds a copy of an element at the end of a key's list. An element of more than 16 MiB is refused and nothing is
// changed; one of another size than declared panics.
func (l *Lists) Append(k Key, element []byte) error {
	if l.fixed == nil && len(element) > maxBlob {
		return errBlobSize(len(element))
	}
	if len(k.Bytes) > maxBlob-8 {
		return errBlobSize(len(k.Bytes))
	}
	sh := l.shard(k)
	pg, p, off := l.heads.table.lookup(sh, k)
	if pg == nil {
		p, off = l.heads.table.insert(sh, k)
		if l.items.ttl != nil {
			none := int64(noTime)
			sh.put64(p, off+l.heads.table.stamp, uint64(none)) // nobody has read it
		}
	}
	at := off + l.heads.table.value
	next := load64(sh.page(p), at+8)
	sh.put64(p, at+8, next+1)
	l.put(sh, k.With(next, &l.buf), element)
	return nil
}

// put makes the element of a key with a number, which has none.
func (l *Lists) put(sh *shard, at Key, element []byte) {
	t := l.items
	p, off := t.insert(sh, at)
	if t.blob {
		sh.putRef(&sh.heads[t.no], t.no, p, off+t.value, element)
		return
	}
	if len(element) != int(t.size) {
		panic(fmt.Sprintf("mmapstate: element of %d bytes in a list of %d", len(element), t.size))
	}
	copy(bytesOf(ptrAt(sh.page(p), off+t.value), int(t.size)), element)
}

// All gives the elements of a key's list, oldest first. An element's bytes are valid for one step and must not be
// written. The list may change meanwhile: the walk ends at the end that the list had at its begin, and leaves out what
// is dropped before its turn.
func (l *Lists) All(k Key) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		span := l.read(k)
		var buf, blob []byte
		for n := span.First; n < span.Next; n++ {
			b, ok := l.element(k, k.With(n, &buf), &blob)
			switch {
			case !ok && l.span(k).First <= n:
				sh := l.shard(k)
				sh.damaged(sh.heads[l.heads.table.no].root, "list misses its element %d", n)
			case ok && !yield(b):
				return
			}
		}
	}
}

// element views the element of an extended key.
func (l *Lists) element(k, at Key, blob *[]byte) ([]byte, bool) {
	t, sh := l.items, l.shard(k)
	pg, _, off := t.find(sh, at)
	if pg == nil {
		return nil, false
	}
	if !t.blob {
		return bytesOf(ptrAt(pg, off+t.value), int(t.size)), true
	}
	*blob = sh.refBytes(pg, off+t.value, t.no, (*blob)[:0])
	return *blob, true
}

// Len is the number of elements of a key's list.
func (l *Lists) Len(k Key) int {
	span := l.read(k)
	return int(span.Next - span.First)
}

// DropFirst removes the n oldest elements of a key's list, or all if there are fewer.
func (l *Lists) DropFirst(k Key, n int) {
	if l.items.ttl != nil {
		l.trim(k, math.MaxInt)
	}
	span := l.span(k)
	if n > 0 {
		l.drop(k, span, listSpan{span.First + min(uint64(n), span.Next-span.First), span.Next})
	}
}

// Set makes the elements a key's list, in place of those that it had. It ends with the first error, be it that an
// element is too long or one that came instead of an element; the list is then as it was.
func (l *Lists) Set(k Key, elements iter.Seq2[[]byte, error]) error {
	was := l.span(k)
	for e, err := range elements {
		if err == nil {
			err = l.Append(k, e)
		}
		if err != nil {
			now := l.span(k)
			l.drop(k, now, was)
			return err
		}
	}
	now := l.span(k)
	l.drop(k, now, listSpan{was.Next, now.Next})
	return nil
}

// Clear removes all elements of a key's list.
func (l *Lists) Clear(k Key) {
	span := l.span(k)
	l.drop(k, span, listSpan{span.Next, span.Next})
}

// Keys gives every key that has a list, in no order. The state must not gain or lose lists meanwhile. Lists whose
// elements have all expired and were not removed yet are among them.
func (l *Lists) Keys() iter.Seq[Key] { return l.heads.keys() }

// Lists counts the keys that have a list.
func (l *Lists) Lists() int { return l.heads.Len() }

// drop removes the elements of a list that are not within the span to keep. The two overlap, or keep is empty.
func (l *Lists) drop(k Key, span, keep listSpan) {
	sh := l.shard(k)
	for n := span.First; n < span.Next; n++ {
		if n >= keep.First && n < keep.Next {
			n = keep.Next - 1
			continue
		}
		l.items.delete(sh, k.With(n, &l.buf))
	}
	h := l.heads.table
	switch {
	case span.First == span.Next || span == keep:
	case keep.First == keep.Next:
		h.delete(sh, k)
	default:
		_, p, off := h.lookup(sh, k)
		sh.put64(p, off+h.value, keep.First)
		sh.put64(p, off+h.value+8, keep.Next)
	}
}

func (l *Lists) shard(k Key) *shard { return l.heads.store.shard(k.Group) }

// span is what a key's head says; it is empty if there is none.
func (l *Lists) span(k Key) listSpan {
	h, sh := l.heads.table, l.shard(k)
	pg, p, off := h.lookup(sh, k)
	if pg == nil {
		return listSpan{}
	}
	return l.spanAt(sh, p, off)
}

func (l *Lists) spanAt(sh *shard, p, off uint32) listSpan {
	pg, at := sh.page(p), off+l.heads.table.value
	s := listSpan{load64(pg, at), load64(pg, at+8)}
	if items := sh.heads[l.items.no].entries; s.First >= s.Next || s.Next-s.First > items {
		sh.damaged(p, "list of elements %d up to %d where all lists have %d", s.First, s.Next, items)
	}
	return s
}
