package fuzz

import (
	"fmt"
	"iter"
	"maps"

	"github.com/pagetide/pagetide/mmapstate"
)

// door is what cell maps, value maps and byte strings have in common.
type door[K, V any] interface {
	Get(K) (V, bool)
	Set(K, V) error
	Delete(K) bool
	Len() int
	All() iter.Seq2[K, V]
}

// book is a table from keys to values, beside a Go map.
type book[K, V comparable] struct {
	life
	open  func(*mmapstate.Store, mmapstate.TTL) (door[K, V], error)
	key   func(int) K
	value func(seq uint64, size int) V
	door  door[K, V]
	want  map[K]mortal[V]
}

func (t *book[K, V]) declare(s *mmapstate.Store, ttl mmapstate.TTL) (err error) {
	t.ttl = ttl
	t.door, err = t.open(s, ttl)
	return err
}

func (t *book[K, V]) step(o op) error {
	k := t.key(int(o.a))
	switch o.action() {
	default:
		return t.set(k, size(o))
	case 4, 5:
		return t.get(k)
	case 6:
		return t.delete(k)
	case 7, 8:
		return t.ref(k)
	case 9:
		return t.compare()
	case 10, 11, 12, 13, 14, 15:
		return t.bulk(o)
	}
}

// bulk uses many keys, from one on.
func (t *book[K, V]) bulk(o op) error {
	n := 2 * int(o.b)
	t.w.work += n
	for i := range n {
		var err error
		switch k := t.key(int(o.a) + i); o.action() {
		case 10, 11:
			err = t.set(k, int(o.c)/8)
		case 12, 13:
			err = t.delete(k)
		case 14:
			err = t.get(k)
		case 15:
			err = t.ref(k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// size is of the values that a step writes; a few are long enough for runs of pages.
func size(o op) int {
	if o.b%4 == 3 {
		return 40 * int(o.c)
	}
	return int(o.c)
}

func (t *book[K, V]) set(k K, size int) error {
	v := t.value(t.w.next(), size)
	t.want[k] = mortal[V]{v, t.stamp()}
	return t.door.Set(k, v)
}

func (t *book[K, V]) get(k K) error {
	want, was := read(&t.life, t.want, k)
	if got, ok := t.door.Get(k); ok != was || got != want {
		return fmt.Errorf("get of %v: %v %v, want %v %v", k, short(got), ok, short(want), was)
	}
	return nil
}

func (t *book[K, V]) delete(k K) error {
	e, was := t.want[k]
	was = was && !t.over(e.at)
	delete(t.want, k)
	if got := t.door.Delete(k); got != was {
		return fmt.Errorf("delete of %v: %v, want %v", k, got, was)
	}
	return nil
}

// ref updates a value in place where the door lends one.
func (t *book[K, V]) ref(k K) error {
	lender, ok := t.door.(interface{ Ref(K) *V })
	if !ok {
		return t.get(k)
	}
	want := living(&t.life, map[K]mortal[V]{k: t.want[k]})[k]
	p := lender.Ref(k)
	if *p != want {
		return fmt.Errorf("ref of %v: %v, want %v", k, *p, want)
	}
	*p = t.value(t.w.next(), 0)
	t.want[k] = mortal[V]{*p, t.stamp()}
	return nil
}

func (t *book[K, V]) compare() error {
	t.w.work += len(t.want)
	got, want := maps.Collect(t.door.All()), living(&t.life, t.want)
	if !maps.Equal(got, want) {
		return differ(got, want)
	}
	if n := t.door.Len(); n < len(got) || n > len(got) && t.ttl.After == 0 {
		return fmt.Errorf("%d entries are counted, there are %d", n, len(got))
	}
	return nil
}

// differ names a key that is not as it should be.
func differ[K, V comparable](got, want map[K]V) error {
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			return fmt.Errorf("%v is %v (there: %v), want %v", k, short(g), ok, short(v))
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			return fmt.Errorf("%v is %v, want none", k, short(v))
		}
	}
	return nil
}

// short keeps long values out of reports.
func short(v any) string {
	s := fmt.Sprint(v)
	return s[:min(len(s), 60)]
}

func (t *book[K, V]) adopt(old mmapstate.TTL) error {
	adoptEntries(&t.life, t.want, old, maps.Collect(t.door.All()))
	return nil
}

func (t *book[K, V]) save() any { return maps.Clone(t.want) }

func (t *book[K, V]) load(was any) {
	t.want = map[K]mortal[V]{}
	if was != nil {
		t.want = maps.Clone(was.(map[K]mortal[V]))
	}
}
