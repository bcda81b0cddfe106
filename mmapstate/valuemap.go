package mmapstate

import (
	"fmt"
	"iter"
)

// ValueMap is a state from keys to values of any type: flat ones lie in place, strings and byte slices as they are,
// others go through a codec. A [CellMap] is better where all values are flat: it lends pointers.
type ValueMap[K comparable, V any] struct {
	keyer *Keyer[K]
	form  *Form[V]
	store *Store
	cells *Cells // of flat values
	bytes *Bytes // of others
	buf   *[]byte
}

// NewValueMap declares a value map. Errors name what is wrong with K, V or an option, or wrap meta.ErrIncompatible when
// the checkpoint has the name with another kind, type or codec.
func NewValueMap[K comparable, V any](s *Store, name string, o ...StateOption) (ValueMap[K, V], error) {
	var none ValueMap[K, V]
	keyer, form, err := typesOf[K, V](s, name, o)
	if err != nil {
		return none, err
	}
	m := ValueMap[K, V]{keyer: keyer, form: form, store: s, buf: new([]byte)}
	if form.Flat() {
		m.cells, err = s.Cells(name, keyer.Shape(), form.size, form.print, o...)
	} else {
		m.bytes, err = s.Bytes(name, keyer.Shape(), form.print, o...)
	}
	if err != nil {
		return none, err
	}
	return m, nil
}

// typesOf admits the types of a state.
func typesOf[K comparable, V any](s *Store, name string, o []StateOption) (*Keyer[K], *Form[V], error) {
	keyer, err := NewKeyer[K](s.HashSeed(), s.KeyGroups())
	if err != nil {
		return nil, nil, fmt.Errorf("state %q: %w", name, err)
	}
	form, err := NewForm[V](o...)
	if err != nil {
		return nil, nil, fmt.Errorf("state %q: %w", name, err)
	}
	return keyer, form, nil
}

// Get gives the value of a key and tells whether there is one. Bytes that the codec cannot read are a failed access:
// see [Failure].
func (m ValueMap[K, V]) Get(key K) (v V, ok bool) {
	if m.cells != nil {
		if p := (*V)(m.cells.Peek(m.keyer.Key(&key))); p != nil {
			return *p, true
		}
		return v, false
	}
	b, ok := m.bytes.Get(m.keyer.Key(&key), (*m.buf)[:0])
	*m.buf = b
	if !ok {
		return v, false
	}
	return m.form.must(m.store, b), true
}

// Set stores a value. A value that the codec refuses, or that is over 16 MiB encoded, is an error, and the old value
// stays. A flat value is never refused.
func (m ValueMap[K, V]) Set(key K, v V) error {
	if m.cells != nil {
		*(*V)(m.cells.Ref(m.keyer.Key(&key))) = v
		return nil
	}
	return m.encode(key, v)
}

// encode is apart because a value that a codec sees is on the heap.
//
//go:noinline
func (m ValueMap[K, V]) encode(key K, v V) error {
	b, err := m.form.Bytes(*m.buf, &v)
	if err != nil {
		return err
	}
	*m.buf = b
	return m.bytes.Put(m.keyer.Key(&key), b)
}

// Delete removes a key and tells whether it was there.
func (m ValueMap[K, V]) Delete(key K) bool {
	if m.cells != nil {
		return m.cells.Delete(m.keyer.Key(&key))
	}
	return m.bytes.Delete(m.keyer.Key(&key))
}

// Len counts the entries, those too that have expired and were not removed yet.
func (m ValueMap[K, V]) Len() int {
	if m.cells != nil {
		return m.cells.Len()
	}
	return m.bytes.Len()
}

// All gives every key with its value, in no order. The map must not gain or lose entries meanwhile.
func (m ValueMap[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.cells != nil {
			for k, p := range m.cells.All() {
				if !yield(m.keyer.Decode(k.Bytes), *(*V)(p)) {
					return
				}
			}
			return
		}
		for k, b := range m.bytes.All() {
			if !yield(m.keyer.Decode(k.Bytes), m.form.must(m.store, b)) {
				return
			}
		}
	}
}
