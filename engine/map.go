package engine

import (
	"iter"

	"github.com/pagetide/pagetide/mmapstate"
)

// MapState is a map per key, from fields to values of any type. A field is found with one lookup, and all entries of the
// key in hand are walked in time proportional to their number.
type MapState[K comparable, V any] struct {
	op    *keyedOp
	field *mmapstate.Keyer[K]
	form  *mmapstate.Form[V]
	maps  *mmapstate.Maps
}

// NewMapState declares a map. K is admitted as the keys of [KeyBy] are.
func NewMapState[K comparable, V any](s *Setup, name string, o ...StateOption) MapState[K, V] {
	s.declareState("map state", name, o, ".items", ".order")
	s.tellState("map state", name, "from "+typeOf[K]()+" to "+typeOf[V](), o)
	field, err := mmapstate.NewKeyer[K](1, 1) // only its bytes are used
	if err != nil && s.checking() {
		s.mistake("map state %q: %v", name, err)
	}
	form := formFor[V](s, "map state", name, o)
	if s.checking() {
		return MapState[K, V]{}
	}
	maps := must(s.op.store.Maps(name, s.op.shape, field.Shape(), form.Size(), form.Fingerprint(), o...))
	return MapState[K, V]{s.op, field, form, maps}
}

// Get returns the value of a field, and whether there is one.
func (m MapState[K, V]) Get(ctx *Context, field K) (v V, ok bool) {
	k, f := ctx.of(m.op), m.field.Bytes(&field)
	if m.form.Flat() {
		if p := (*V)(m.maps.Peek(k, f)); p != nil {
			return *p, true
		}
		return v, false
	}
	if m.op.buf, ok = m.maps.Get(k, f, m.op.buf[:0]); ok {
		v = decode(m.op, m.form, m.op.buf)
	}
	return v, ok
}

// Put replaces the value of a field.
func (m MapState[K, V]) Put(ctx *Context, field K, v V) {
	k := ctx.of(m.op)
	if m.form.Flat() {
		*(*V)(m.maps.Ref(k, m.field.Bytes(&field))) = v
		return
	}
	m.put(k, field, v)
}

// put is apart because a value that a codec sees is on the heap.
//
//go:noinline
func (m MapState[K, V]) put(k mmapstate.Key, field K, v V) {
	m.op.stored(m.maps.Put(k, m.field.Bytes(&field), encode(m.op, m.form, &v)))
}

// Delete removes a field. It reports whether it was there.
func (m MapState[K, V]) Delete(ctx *Context, field K) bool {
	return m.maps.Delete(ctx.of(m.op), m.field.Bytes(&field))
}

// All goes through the fields and their values, in no order. The entry in hand may be deleted or put anew, and the map
// cleared. Entries that are put meanwhile are not visited; if another entry is deleted, one that was visited may come
// again.
func (m MapState[K, V]) All(ctx *Context) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for f, b := range m.maps.All(ctx.of(m.op)) {
			if !yield(m.field.Decode(f), decode(m.op, m.form, b)) {
				return
			}
		}
	}
}

// Len is the number of entries. With a [TTL] it looks at each of them.
func (m MapState[K, V]) Len(ctx *Context) int { return m.maps.Len(ctx.of(m.op)) }

// Clear removes all entries.
func (m MapState[K, V]) Clear(ctx *Context) { m.maps.Clear(ctx.of(m.op)) }

// CellMap is a [MapState] of flat values, which are updated in place. V must be as the T of a [Cell].
type CellMap[K comparable, V any] struct{ MapState[K, V] }

// NewCellMap declares a cell map.
func NewCellMap[K comparable, V any](s *Setup, name string, o ...StateOption) CellMap[K, V] {
	flatPrint[V](s, "cell map", name, o)
	return CellMap[K, V]{NewMapState[K, V](s, name, o...)}
}

// Ref is the value of a field, made of zeros if there is none. The pointer leads into the page: it is valid until the
// callback returns or the map gains or loses an entry.
func (m CellMap[K, V]) Ref(ctx *Context, field K) *V {
	return (*V)(m.maps.Ref(ctx.of(m.op), m.field.Bytes(&field)))
}
