package mmapstate

import "iter"

// ListMap is a state from keys to lists of elements of any type. An append reads no element; elements leave from the
// front.
type ListMap[K comparable, V any] struct {
	lists *Lists
	keyer *Keyer[K]
	form  *Form[V]
	store *Store
	buf   *[]byte
}

// NewListMap declares a list map. Errors are those of [NewValueMap]. It takes two names: its own, and that with
// ".items".
func NewListMap[K comparable, V any](s *Store, name string, o ...StateOption) (ListMap[K, V], error) {
	var none ListMap[K, V]
	keyer, form, err := typesOf[K, V](s, name, o)
	if err != nil {
		return none, err
	}
	lists, err := s.Lists(name, keyer.Shape(), form.size, form.print, o...)
	if err != nil {
		return none, err
	}
	return ListMap[K, V]{lists: lists, keyer: keyer, form: form, store: s, buf: new([]byte)}, nil
}

// Append adds an element at the end of a key's list. Errors are those of [ValueMap.Set].
func (m ListMap[K, V]) Append(key K, v V) error {
	if m.form.codec == nil {
		return m.lists.Append(m.keyer.Key(&key), m.form.View(&v))
	}
	return m.encode(key, v)
}

//go:noinline
func (m ListMap[K, V]) encode(key K, v V) error {
	b, err := m.form.Bytes(*m.buf, &v)
	if err != nil {
		return err
	}
	*m.buf = b
	return m.lists.Append(m.keyer.Key(&key), b)
}

// All gives the elements of a key's list, oldest first. The list may change meanwhile: the walk ends at the end that it
// had at its begin, and leaves out what is dropped before its turn.
func (m ListMap[K, V]) All(key K) iter.Seq[V] {
	return func(yield func(V) bool) {
		for b := range m.lists.All(m.keyer.Key(&key)) {
			if !yield(m.form.must(m.store, b)) {
				return
			}
		}
	}
}

// Len is the number of elements of a key's list.
func (m ListMap[K, V]) Len(key K) int { return m.lists.Len(m.keyer.Key(&key)) }

// DropFirst removes the n oldest elements of a key's list, or all if there are fewer.
func (m ListMap[K, V]) DropFirst(key K, n int) { m.lists.DropFirst(m.keyer.Key(&key), n) }

// Set makes the elements a key's list, in place of those that it had. Errors are those of [ValueMap.Set]; the list is
// then as it was.
func (m ListMap[K, V]) Set(key K, elements []V) error {
	return m.lists.Set(m.keyer.Key(&key), func(yield func([]byte, error) bool) {
		for i := range elements {
			b, err := m.form.Bytes(*m.buf, &elements[i])
			if m.form.codec != nil && err == nil {
				*m.buf = b
			}
			if !yield(b, err) {
				return
			}
		}
	})
}

// Clear removes all elements of a key's list.
func (m ListMap[K, V]) Clear(key K) { m.lists.Clear(m.keyer.Key(&key)) }

// Keys gives every key that has a list, in no order. The map must not gain or lose lists meanwhile. Lists whose elements
// have all expired and were not removed yet are among them.
func (m ListMap[K, V]) Keys() iter.Seq[K] { return decoded(m.keyer, m.lists.Keys()) }

func decoded[K any](keyer *Keyer[K], keys iter.Seq[Key]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range keys {
			if !yield(keyer.Decode(k.Bytes)) {
				return
			}
		}
	}
}
