package engine

import "github.com/pagetide/pagetide/mmapstate"

// ValueState is one value of any type per key. Flat types are kept as they are, strings and byte slices too, others go
// through CBOR, so that fields may be added and removed over time.
type ValueState[T any] struct {
	cell  Cell[T] // if flat
	op    *keyedOp
	form  *mmapstate.Form[T]
	bytes *mmapstate.Bytes // if not
}

// NewValueState declares a value.
func NewValueState[T any](s *Setup, name string, o ...StateOption) ValueState[T] {
	form := formFor[T](s, "value state", name, o)
	if form != nil && form.Flat() {
		return ValueState[T]{cell: NewCell[T](s, name, o...)}
	}
	s.declareState("value state", name, o)
	s.tellState("value state", name, typeOf[T](), o)
	if s.checking() {
		return ValueState[T]{}
	}
	return ValueState[T]{op: s.op, form: form, bytes: must(s.op.store.Bytes(name, s.op.shape, form.Fingerprint(), o...))}
}

// Get returns the value, and whether there is one.
func (v ValueState[T]) Get(ctx *Context) (value T, ok bool) {
	if v.bytes == nil {
		return v.cell.Get(ctx)
	}
	op := v.op
	if op.buf, ok = v.bytes.Get(ctx.of(op), op.buf[:0]); ok {
		value = decode(op, v.form, op.buf)
	}
	return value, ok
}

// Set replaces the value.
func (v ValueState[T]) Set(ctx *Context, value T) {
	if v.bytes == nil {
		v.cell.Set(ctx, value)
		return
	}
	v.set(ctx, value)
}

// set is apart because a value that a codec sees is on the heap.
//
//go:noinline
func (v ValueState[T]) set(ctx *Context, value T) {
	k := ctx.of(v.op)
	v.op.stored(v.bytes.Put(k, encode(v.op, v.form, &value)))
}

// Clear removes the value.
func (v ValueState[T]) Clear(ctx *Context) {
	if v.bytes == nil {
		v.cell.Clear(ctx)
		return
	}
	v.bytes.Delete(ctx.of(v.op))
}
