package engine

import (
	"fmt"
	"iter"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// bag is what a window has of its records: where they lie. They lie in chains, one behind the other; a window has more
// than one if it is a session that others were joined to.
//
//	elements  (key, chain, 0 <= n < length) → record
//	chains    (key, chain) → length, next chain         of all chains but the last one of a window
type bag struct {
	First, Last Time  // names of chains
	Len         int64 // of the last
}

// link is a chain that another one follows.
type link struct {
	Len  int64
	Next Time
}

// elements are the records of windows in one subtask, of one type.
type elements[T any] struct {
	op           *keyedOp
	form         *mmapstate.Form[T]
	fixed        *mmapstate.Cells // records of one size
	blobs        *mmapstate.Bytes // or of any
	chains       *mmapstate.Cells // of sessions
	scratch, buf []byte
}

// newElements declares the records of windows. The prefix tells those of several inputs apart.
func newElements[T any](op *keyedOp, prefix string, sessions bool) *elements[T] {
	e := &elements[T]{op: op, form: must(mmapstate.NewForm[T]())}
	if name, shape := prefix+"elements", op.shape.WithPair(); e.form.Size() >= 0 {
		e.fixed = must(op.store.Cells(name, shape, e.form.Size(), e.form.Fingerprint()))
	} else {
		e.blobs = must(op.store.Bytes(name, shape, e.form.Fingerprint()))
	}
	if sessions {
		e.chains = must(op.store.Cells(prefix+"chains", op.shape.With(), int(unsafe.Sizeof(link{})), must(flatWindow[link]())))
	}
	return e
}

// checkElements reports a type that cannot be kept.
func checkElements[T any](n *node) {
	f, err := mmapstate.NewForm[T]()
	if err == nil && f.Size() > maxCell {
		err = fmt.Errorf("%s has %d bytes, at most %d fit in place", typeOf[T](), f.Size(), maxCell)
	}
	if err != nil {
		n.job.mistake("%s: records of its windows: %v", n.label(), err)
	}
}

// maxCell is the size of the largest value that lies in a page as it is.
const maxCell = 512

// add puts a record behind those of a bag. The id names a chain, if it needs one.
func (e *elements[T]) add(k mmapstate.Key, id Time, b *bag, v T) {
	if b.Len == 0 {
		b.First, b.Last = id, id
	}
	at := k.WithPair(uint64(b.Last), uint64(b.Len), &e.scratch)
	b.Len++
	if e.fixed != nil {
		*(*T)(e.fixed.Ref(at)) = v
		return
	}
	e.put(at, v)
}

// put is apart because a value that a codec sees is on the heap.
//
//go:noinline
func (e *elements[T]) put(at mmapstate.Key, v T) {
	b, err := e.form.Bytes(e.buf, &v)
	if err == nil {
		e.buf = b
		err = e.blobs.Put(at, b)
	}
	e.op.stored(err)
}

// merge puts the records of one bag behind those of another.
func (e *elements[T]) merge(k mmapstate.Key, into *bag, from bag) {
	switch {
	case from.Len == 0:
	case into.Len == 0:
		*into = from
	default:
		*(*link)(e.chains.Ref(k.With(uint64(into.Last), &e.scratch))) = link{into.Len, from.First}
		into.Last, into.Len = from.Last, from.Len
	}
}

// all goes through the records of some bags of a key, while a window fires.
func (e *elements[T]) all(k mmapstate.Key, bags ...bag) iter.Seq[T] {
	return func(yield func(T) bool) {
		e.op.ctx.of(e.op)
		for _, b := range bags {
			for c := b.First; b.Len > 0; {
				l, more := e.chain(k, c, b)
				for n := range l.Len {
					if !yield(e.at(k, c, n)) {
						return
					}
				}
				if c = l.Next; !more {
					break
				}
			}
		}
	}
}

// chain gives the length of a chain and the one that follows it, if there are more.
func (e *elements[T]) chain(k mmapstate.Key, c Time, b bag) (l link, more bool) {
	if c == b.Last {
		return link{Len: b.Len}, false
	}
	p := e.chains.Peek(k.With(uint64(c), &e.scratch))
	if p == nil {
		e.op.fail(fmt.Errorf("a window misses its chain %s", c))
	}
	return *(*link)(p), true
}

func (e *elements[T]) at(k mmapstate.Key, c Time, n int64) T {
	at := k.WithPair(uint64(c), uint64(n), &e.scratch)
	if e.fixed != nil {
		if p := e.fixed.Peek(at); p != nil {
			return *(*T)(p)
		}
	} else if b, ok := e.blobs.Get(at, e.buf[:0]); ok {
		e.buf = b
		return decode(e.op, e.form, b)
	}
	e.op.fail(fmt.Errorf("a window misses its record %d of chain %s", n, c))
	panic("unreachable")
}

// drop removes the records of a bag.
func (e *elements[T]) drop(k mmapstate.Key, b bag) {
	for c := b.First; b.Len > 0; {
		l, more := e.chain(k, c, b)
		for n := range l.Len {
			at := k.WithPair(uint64(c), uint64(n), &e.scratch)
			if e.fixed != nil {
				e.fixed.Delete(at)
			} else {
				e.blobs.Delete(at)
			}
		}
		if !more {
			return
		}
		e.chains.Delete(k.With(uint64(c), &e.scratch))
		c = l.Next
	}
}
