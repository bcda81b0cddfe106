package engine

import (
	"reflect"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// Cell is one flat value per key, kept in a page and updated in place. T must be free of pointers: integers, floats,
// bools, arrays and structs of those; at most 512 bytes. Anything else is a mistake that names the field.
type Cell[T any] struct {
	op *keyedOp
	*lookahead
}

// NewCell declares a cell.
func NewCell[T any](s *Setup, name string, o ...StateOption) Cell[T] {
	s.declareState("cell", name, o)
	s.tellState("cell", name, typeOf[T](), o)
	print := flatPrint[T](s, "cell", name, o)
	if s.checking() {
		return Cell[T]{}
	}
	c := must(s.op.store.Cells(name, s.op.shape, int(unsafe.Sizeof(*new(T))), print, o...))
	return Cell[T]{s.op, s.op.ahead(c)}
}

// flatPrint is the fingerprint of a flat type; any other type is a mistake, and so is a codec.
func flatPrint[T any](s *Setup, what, name string, o []StateOption) string {
	print, err := mmapstate.FlatFingerprint(reflect.TypeFor[T]())
	if err != nil && s.checking() {
		s.mistake("%s %q: %v", what, name, err)
	} else if f, err := mmapstate.NewForm[T](codecOf(o)...); s.checking() && (err != nil || !f.Flat()) {
		s.mistake("%s %q is kept in place: it takes no codec", what, name)
	}
	return print
}

// Ref is the value of the key in hand, made of zeros if there is none. The pointer leads into the page: it is valid
// until the callback returns or the cell is cleared, whatever other state the callback touches.
func (c Cell[T]) Ref(ctx *Context) *T {
	ctx.check(c.op)
	return (*T)(c.cells.RefAt(&c.found[c.op.place], ctx.key))
}

// Get returns a copy of the value, and whether there is one.
func (c Cell[T]) Get(ctx *Context) (v T, ok bool) {
	ctx.check(c.op)
	if p := c.cells.PeekAt(&c.found[c.op.place], ctx.key); p != nil {
		return *(*T)(p), true
	}
	return v, false
}

// Set replaces the value.
func (c Cell[T]) Set(ctx *Context, v T) { *c.Ref(ctx) = v }

// Clear removes the value.
func (c Cell[T]) Clear(ctx *Context) { c.cells.Delete(ctx.of(c.op)) }
