package engine

import (
	"iter"

	"github.com/pagetide/pagetide/mmapstate"
)

// ListState is a list of values per key. Append reads no element; DropFirst forgets from the front.
type ListState[T any] struct {
	op    *keyedOp
	form  *mmapstate.Form[T]
	lists *mmapstate.Lists
}

// NewListState declares a list.
func NewListState[T any](s *Setup, name string, o ...StateOption) ListState[T] {
	s.declareState("list state", name, o, ".items")
	s.tellState("list state", name, "of "+typeOf[T](), o)
	form := formFor[T](s, "list state", name, o)
	if s.checking() {
		return ListState[T]{}
	}
	return ListState[T]{s.op, form, must(s.op.store.Lists(name, s.op.shape, form.Size(), form.Fingerprint(), o...))}
}

// Append adds an element at the end.
func (l ListState[T]) Append(ctx *Context, v T) {
	k := ctx.of(l.op)
	if l.form.Flat() {
		l.op.stored(l.lists.Append(k, l.form.View(&v)))
		return
	}
	l.append(k, v)
}

// append is apart because a value that a codec sees is on the heap.
//
//go:noinline
func (l ListState[T]) append(k mmapstate.Key, v T) {
	l.op.stored(l.lists.Append(k, encode(l.op, l.form, &v)))
}

// All goes through the elements, oldest first. The list may change meanwhile: the walk ends at the end that it had at
// its begin, and leaves out what is dropped before its turn.
func (l ListState[T]) All(ctx *Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		for b := range l.lists.All(ctx.of(l.op)) {
			if !yield(decode(l.op, l.form, b)) {
				return
			}
		}
	}
}

// Len is the number of elements.
func (l ListState[T]) Len(ctx *Context) int { return l.lists.Len(ctx.of(l.op)) }

// DropFirst removes the n oldest elements, or all if there are fewer.
func (l ListState[T]) DropFirst(ctx *Context, n int) { l.lists.DropFirst(ctx.of(l.op), n) }

// Clear removes all elements.
func (l ListState[T]) Clear(ctx *Context) { l.lists.Clear(ctx.of(l.op)) }
