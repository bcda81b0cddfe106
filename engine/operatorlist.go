package engine

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"slices"

	"github.com/pagetide/pagetide/mmapstate"
)

// OperatorList is a list of values that belongs to a subtask, not to a key. Its elements lie spread over the subtask's key
// groups: at another parallelism the subtasks share them out, each about as many. All operators with a constructor may
// have one. Memory goes by whole pages: values that are not flat take about ten of 4 KiB in each key group that has any, so a few
// of them in a job of many key groups take more than their length.
type OperatorList[T any] struct {
	form *mmapstate.Form[T]
	l    *operatorList
}

// NewOperatorList declares a list of the operator's. Of the options, it takes [Encoded].
func NewOperatorList[T any](s *Setup, name string, o ...StateOption) OperatorList[T] {
	const what = "operator list"
	for _, part := range []string{"", ".items", ".order", ".order.items"} {
		s.declare("state", name+part)
	}
	s.tellState(what, name, "of "+typeOf[T](), o)
	form := formFor[T](s, what, name, o)
	if s.checking() {
		if slices.ContainsFunc(o, func(opt StateOption) bool { _, is := opt.(mmapstate.TTL); return is }) {
			s.mistake("%s %q takes no TTL", what, name)
		}
		return OperatorList[T]{}
	}
	l := &operatorList{op: s.op, keyer: keyerFor[uint32](s.op.st.a), number: must(mmapstate.NewForm[uint64]())}
	l.items = must(s.op.store.Lists(name, l.keyer.Shape(), form.Size(), form.Fingerprint(), o...))
	l.order = must(s.op.store.Lists(name+".order", l.keyer.Shape(), l.number.Size(), l.number.Fingerprint()))
	return OperatorList[T]{form, l}
}

// operatorList is an operator's list in one subtask. A part of it lies in each key group, under a number that is hashed to
// it. Elements are numbered, so that a list that is put together from the parts of several has an order.
type operatorList struct {
	op    *keyedOp
	keyer *mmapstate.Keyer[uint32]
	items *mmapstate.Lists
	order *mmapstate.Lists // the numbers of the items, part by part

	number *mmapstate.Form[uint64]

	read bool
	len  int
	next uint64   // the number of the next element
	to   []uint32 // where elements are appended in turn: one part for each key group
	buf  uint64   // a number in hand
}

// ready looks at what was restored before the list is used for the first time.
func (l *operatorList) ready(ctx *Context) {
	ctx.checkAny(l.op)
	if l.read {
		return
	}
	l.read = true
	for _, k := range l.parts() {
		l.len += l.items.Len(k)
		for _, n := range l.numbers(k) {
			l.next = max(l.next, n+1)
		}
	}
	st := l.op.st
	first, end := groupsOf(st.index, st.a.keyGroups, st.plan.subtasks)
	found := make([]bool, end-first)
	for i := uint32(0); len(l.to) < end-first; i++ {
		if g := int(l.keyer.Key(&i).Group); first <= g && g < end && !found[g-first] {
			found[g-first] = true
			l.to = append(l.to, i)
		}
	}
}

// parts are the parts that have elements, by key group.
func (l *operatorList) parts() (keys []mmapstate.Key) {
	for k := range l.items.Keys() {
		k.Bytes = bytes.Clone(k.Bytes)
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b mmapstate.Key) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), bytes.Compare(a.Bytes, b.Bytes))
	})
	return keys
}

func (l *operatorList) numbers(part mmapstate.Key) (all []uint64) {
	for b := range l.order.All(part) {
		all = append(all, decode(l.op, l.number, b))
	}
	return all
}

// Append adds an element behind all that there are.
func (o OperatorList[T]) Append(ctx *Context, v T) {
	l := o.l
	l.ready(ctx)
	if o.form.Flat() {
		l.append(o.form.View(&v))
		return
	}
	o.append(v)
}

// append is apart because a value that a codec sees is on the heap.
//
//go:noinline
func (o OperatorList[T]) append(v T) { o.l.append(encode(o.l.op, o.form, &v)) }

func (l *operatorList) append(element []byte) {
	k := l.keyer.Key(&l.to[l.next%uint64(len(l.to))])
	l.op.stored(l.items.Append(k, element))
	l.buf = l.next
	l.op.stored(l.order.Append(k, l.number.View(&l.buf)))
	l.next++
	l.len++
}

// All goes through the elements in the order in which they were appended. After a restore at another parallelism those of
// several subtasks are in one list: each one's are in order among themselves, and what is appended now comes behind them.
// The list is read into memory first; it may change meanwhile.
func (o OperatorList[T]) All(ctx *Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, e := range o.elements(ctx) {
			if !yield(e.v) {
				return
			}
		}
	}
}

type numbered[T any] struct {
	n uint64
	v T
}

func (o OperatorList[T]) elements(ctx *Context) []numbered[T] {
	l := o.l
	l.ready(ctx)
	all := make([]numbered[T], 0, l.len)
	for _, k := range l.parts() {
		numbers := l.numbers(k)
		if len(numbers) != l.items.Len(k) {
			l.op.fail(errors.New("the parts of an operator list do not have as many numbers as elements"))
		}
		for b := range l.items.All(k) {
			all = append(all, numbered[T]{numbers[0], decode(l.op, o.form, b)})
			numbers = numbers[1:]
		}
	}
	slices.SortStableFunc(all, func(a, b numbered[T]) int { return cmp.Compare(a.n, b.n) })
	return all
}

// Len is the number of elements.
func (o OperatorList[T]) Len(ctx *Context) int {
	o.l.ready(ctx)
	return o.l.len
}

// Clear removes all elements.
func (o OperatorList[T]) Clear(ctx *Context) {
	l := o.l
	l.ready(ctx)
	for _, k := range l.parts() {
		l.items.Clear(k)
		l.order.Clear(k)
	}
	l.len = 0
}
