package engine

import (
	"iter"
	"reflect"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// Cell is one flat value per key, kept in a page and updated in place. T must be free of pointers: integers, floats,
// bools, arrays and structs of those; at most 512 bytes. Anything else is a mistake that names the field.
type Cell[T any] struct {
	op    *keyedOp
	cells *mmapstate.Cells
}

// NewCell declares a cell.
func NewCell[T any](s *Setup, name string) Cell[T] {
	s.declare("state", name)
	print, err := mmapstate.FlatFingerprint(reflect.TypeFor[T]())
	if err != nil && s.checking() {
		s.mistake("cell %q: %v", name, err)
	}
	if s.checking() {
		return Cell[T]{}
	}
	c := must(s.op.store.Cells(name, s.op.shape, int(unsafe.Sizeof(*new(T))), print))
	s.op.hinted = append(s.op.hinted, c)
	return Cell[T]{s.op, c}
}

// Ref is the value of the key in hand, made of zeros if there is none. The pointer leads into the page: it is valid
// until the callback returns or the cell is cleared, whatever other state the callback touches.
func (c Cell[T]) Ref(ctx *Context) *T { return (*T)(c.cells.Ref(ctx.of(c.op))) }

// Get returns a copy of the value, and whether there is one.
func (c Cell[T]) Get(ctx *Context) (v T, ok bool) {
	if p := c.cells.Peek(ctx.of(c.op)); p != nil {
		return *(*T)(p), true
	}
	return v, false
}

// Set replaces the value.
func (c Cell[T]) Set(ctx *Context, v T) { *c.Ref(ctx) = v }

// Clear removes the value.
func (c Cell[T]) Clear(ctx *Context) { c.cells.Delete(ctx.of(c.op)) }

// ValueState is one value of any type per key. Flat types are kept as they are, others go through CBOR, so that fields
// may be added and removed over time.
type ValueState[T any] struct {
	cell  Cell[T] // if flat
	op    *keyedOp
	bytes *mmapstate.Bytes // if not
}

// NewValueState declares a value.
func NewValueState[T any](s *Setup, name string) ValueState[T] {
	if isFlat[T]() {
		return ValueState[T]{cell: NewCell[T](s, name)}
	}
	s.declare("state", name)
	if s.checking() {
		if err := encodable[T](); err != nil {
			s.mistake("value state %q: %v", name, err)
		}
		return ValueState[T]{}
	}
	return ValueState[T]{op: s.op, bytes: must(s.op.store.Bytes(name, s.op.shape, codecFingerprint[T]()))}
}

// Get returns the value, and whether there is one.
func (v ValueState[T]) Get(ctx *Context) (value T, ok bool) {
	if v.bytes == nil {
		return v.cell.Get(ctx)
	}
	op := v.op
	if op.buf, ok = v.bytes.Get(ctx.of(op), op.buf[:0]); ok {
		decode(op, op.buf, &value)
	}
	return value, ok
}

// Set replaces the value.
func (v ValueState[T]) Set(ctx *Context, value T) {
	if v.bytes == nil {
		v.cell.Set(ctx, value)
		return
	}
	put(v.op, v.bytes, ctx.of(v.op), encode(v.op, &value))
}

// Clear removes the value.
func (v ValueState[T]) Clear(ctx *Context) {
	if v.bytes == nil {
		v.cell.Clear(ctx)
		return
	}
	v.bytes.Delete(ctx.of(v.op))
}

// ListState is a list of values per key. Append reads nothing; DropFirst forgets from the front.
type ListState[T any] struct {
	op    *keyedOp
	spans *mmapstate.Cells // key to listSpan
	cells *mmapstate.Cells // (key, number) to a flat element
	bytes *mmapstate.Bytes // or to an encoded one
}

// listSpan says which elements a list has: those numbered First <= n < Next.
type listSpan struct{ First, Next uint64 }

// NewListState declares a list.
func NewListState[T any](s *Setup, name string) ListState[T] {
	s.declare("state", name)
	s.declare("state", name+".items")
	if s.checking() {
		if err := encodable[T](); err != nil {
			s.mistake("list state %q: %v", name, err)
		}
		return ListState[T]{}
	}
	span := must(mmapstate.FlatFingerprint(reflect.TypeFor[listSpan]()))
	l := ListState[T]{op: s.op}
	l.spans = must(s.op.store.Cells(name, s.op.shape, int(unsafe.Sizeof(listSpan{})), span))
	shape := s.op.shape.With()
	if isFlat[T]() {
		print := must(mmapstate.FlatFingerprint(reflect.TypeFor[T]()))
		l.cells = must(s.op.store.Cells(name+".items", shape, int(unsafe.Sizeof(*new(T))), print))
	} else {
		l.bytes = must(s.op.store.Bytes(name+".items", shape, codecFingerprint[T]()))
	}
	return l
}

// Append adds an element at the end.
func (l ListState[T]) Append(ctx *Context, v T) {
	k := ctx.of(l.op)
	span := (*listSpan)(l.spans.Ref(k))
	at := k.With(span.Next, &l.op.scratch)
	span.Next++
	if l.bytes == nil {
		*(*T)(l.cells.Ref(at)) = v
		return
	}
	put(l.op, l.bytes, at, encode(l.op, &v))
}

// All goes through the elements, oldest first. The list must not be changed meanwhile.
func (l ListState[T]) All(ctx *Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		k := ctx.of(l.op)
		span := l.span(k)
		for n := span.First; n < span.Next; n++ {
			if !yield(l.at(k, n)) {
				return
			}
		}
	}
}

func (l ListState[T]) at(k mmapstate.Key, n uint64) (v T) {
	at := k.With(n, &l.op.scratch)
	if l.bytes == nil {
		return *(*T)(l.cells.Peek(at))
	}
	l.op.buf, _ = l.bytes.Get(at, l.op.buf[:0])
	decode(l.op, l.op.buf, &v)
	return v
}

// Len is the number of elements.
func (l ListState[T]) Len(ctx *Context) int {
	span := l.span(ctx.of(l.op))
	return int(span.Next - span.First)
}

func (l ListState[T]) span(k mmapstate.Key) listSpan {
	if p := l.spans.Peek(k); p != nil {
		return *(*listSpan)(p)
	}
	return listSpan{}
}

// DropFirst removes the n oldest elements, or all if there are fewer.
func (l ListState[T]) DropFirst(ctx *Context, n int) {
	k := ctx.of(l.op)
	span := l.span(k)
	if n <= 0 || span.First == span.Next {
		return
	}
	end := min(span.First+uint64(n), span.Next)
	for i := span.First; i < end; i++ {
		at := k.With(i, &l.op.scratch)
		if l.bytes == nil {
			l.cells.Delete(at)
		} else {
			l.bytes.Delete(at)
		}
	}
	if end == span.Next {
		l.spans.Delete(k)
		return
	}
	(*listSpan)(l.spans.Ref(k)).First = end
}

// Clear removes all elements.
func (l ListState[T]) Clear(ctx *Context) { l.DropFirst(ctx, l.Len(ctx)) }

func isFlat[T any]() bool {
	_, err := mmapstate.FlatFingerprint(reflect.TypeFor[T]())
	return err == nil
}

// put stores an encoded value; one that is too long is the user's error.
func put(op *keyedOp, b *mmapstate.Bytes, k mmapstate.Key, value []byte) {
	if err := b.Put(k, value); err != nil {
		op.fail(err)
	}
}
