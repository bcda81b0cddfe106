package mmapstate

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
)

// CellMap is a state from keys to flat values, which are used in place through typed pointers.
//
//	counts.Ref(user).N++
type CellMap[K comparable, V any] struct {
	cells *Cells
	keyer *Keyer[K]
}

// NewCellMap declares a cell map. Errors name the part of K or V that cannot lie in pages, or wrap meta.ErrIncompatible
// when the checkpoint has the name with another kind or type.
func NewCellMap[K comparable, V any](s *Store, name string, o ...StateOption) (CellMap[K, V], error) {
	var none CellMap[K, V]
	keyer, err := NewKeyer[K](s.HashSeed(), s.KeyGroups())
	if err != nil {
		return none, fmt.Errorf("state %q: %w", name, err)
	}
	if opt, err := s.stateOptions(name, o); err != nil || opt.codec != nil {
		return none, cmp.Or(err, fmt.Errorf("state %q: a cell is kept in place: it takes no codec", name))
	}
	t := reflect.TypeFor[V]()
	print, err := FlatFingerprint(t)
	if err != nil {
		return none, fmt.Errorf("state %q: value: %w", name, err)
	}
	cells, err := s.Cells(name, keyer.Shape(), int(t.Size()), print, o...)
	if err != nil {
		return none, err
	}
	return CellMap[K, V]{cells: cells, keyer: keyer}, nil
}

// Ref gives the value of a key, a zero one if it had none, for reading and writing in place. It is valid until the map
// gains or loses an entry, or the store freezes.
func (m CellMap[K, V]) Ref(key K) *V { return (*V)(m.cells.Ref(m.keyer.Key(&key))) }

// Get gives a copy of the value of a key and tells whether there is one.
func (m CellMap[K, V]) Get(key K) (v V, ok bool) {
	p := (*V)(m.cells.Peek(m.keyer.Key(&key)))
	if p == nil {
		return v, false
	}
	return *p, true
}

// Set stores a value.
func (m CellMap[K, V]) Set(key K, v V) { *m.Ref(key) = v }

// Delete removes a key and tells whether it was there.
func (m CellMap[K, V]) Delete(key K) bool { return m.cells.Delete(m.keyer.Key(&key)) }

// Len counts the entries, those too that have expired and were not removed yet.
func (m CellMap[K, V]) Len() int { return m.cells.Len() }

// All gives copies of every key and value, in no order. The map must not gain or lose entries meanwhile.
func (m CellMap[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, p := range m.cells.All() {
			if !yield(m.keyer.Decode(k.Bytes), *(*V)(p)) {
				return
			}
		}
	}
}
