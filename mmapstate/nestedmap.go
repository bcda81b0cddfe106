package mmapstate

import (
	"fmt"
	"iter"
)

// NestedMap is a state from keys to maps of their own, from fields to values of any type. A field is found with one
// lookup, and a key's entries are walked in time proportional to their number.
type NestedMap[K, F comparable, V any] struct {
	maps  *Maps
	keyer *Keyer[K]
	field *Keyer[F]
	form  *Form[V]
	store *Store
	buf   *[]byte
}

// NewNestedMap declares a nested map. Errors are those of [NewValueMap]. It takes three names: its own, and that with
// ".items" and ".order".
func NewNestedMap[K, F comparable, V any](s *Store, name string, o ...StateOption) (NestedMap[K, F, V], error) {
	var none NestedMap[K, F, V]
	keyer, form, err := typesOf[K, V](s, name, o)
	if err != nil {
		return none, err
	}
	field, err := NewKeyer[F](s.HashSeed(), s.KeyGroups())
	if err != nil {
		return none, fmt.Errorf("state %q: field: %w", name, err)
	}
	maps, err := s.Maps(name, keyer.Shape(), field.Shape(), form.size, form.print, o...)
	if err != nil {
		return none, err
	}
	return NestedMap[K, F, V]{maps: maps, keyer: keyer, field: field, form: form, store: s, buf: new([]byte)}, nil
}

// Get gives the value of a key's field and tells whether there is one. Bytes that the codec cannot read are a failed
// access: see [Failure].
func (m NestedMap[K, F, V]) Get(key K, field F) (v V, ok bool) {
	if m.form.codec == nil {
		if p := (*V)(m.maps.Peek(m.keyer.Key(&key), m.field.view(&field))); p != nil {
			return *p, true
		}
		return v, false
	}
	b, ok := m.maps.Get(m.keyer.Key(&key), m.field.view(&field), (*m.buf)[:0])
	*m.buf = b
	if !ok {
		return v, false
	}
	return m.form.must(m.store, b), true
}

// Put stores a value under a key's field. Errors are those of [ValueMap.Set].
func (m NestedMap[K, F, V]) Put(key K, field F, v V) error {
	if m.form.codec == nil {
		*(*V)(m.maps.Ref(m.keyer.Key(&key), m.field.view(&field))) = v
		return nil
	}
	return m.encode(key, field, v)
}

//go:noinline
func (m NestedMap[K, F, V]) encode(key K, field F, v V) error {
	b, err := m.form.Bytes(*m.buf, &v)
	if err != nil {
		return err
	}
	*m.buf = b
	return m.maps.Put(m.keyer.Key(&key), m.field.view(&field), b)
}

// Delete removes a key's field and tells whether it was there.
func (m NestedMap[K, F, V]) Delete(key K, field F) bool {
	return m.maps.Delete(m.keyer.Key(&key), m.field.view(&field))
}

// All gives the fields of a key with their values, in no order. The entry in hand may be deleted or put anew, and the
// map cleared. Entries that are put meanwhile are not visited; if another entry is deleted, one that was visited may
// come again.
func (m NestedMap[K, F, V]) All(key K) iter.Seq2[F, V] {
	return func(yield func(F, V) bool) {
		for field, b := range m.maps.All(m.keyer.Key(&key)) {
			if !yield(m.field.Decode(field), m.form.must(m.store, b)) {
				return
			}
		}
	}
}

// Len counts the entries of a key. With a [TTL] it looks at each of them.
func (m NestedMap[K, F, V]) Len(key K) int { return m.maps.Len(m.keyer.Key(&key)) }

// Clear removes all entries of a key.
func (m NestedMap[K, F, V]) Clear(key K) { m.maps.Clear(m.keyer.Key(&key)) }

// Keys gives every key that has entries, in no order. The map must not gain or lose keys meanwhile. Keys whose entries
// have all expired and were not removed yet are among them.
func (m NestedMap[K, F, V]) Keys() iter.Seq[K] { return decoded(m.keyer, m.maps.Keys()) }
