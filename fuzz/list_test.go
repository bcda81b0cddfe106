package fuzz

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/pagetide/pagetide/mmapstate"
)

// list is a key's elements in the model. Elements expire oldest first; what reading renews is the whole list.
type list[E any] struct {
	items []mortal[E]
	read  int64
}

// lists is a table of lists, beside Go slices.
type lists[K, E comparable] struct {
	life
	name  string
	key   func(int) K
	value func(seq uint64, size int) E
	door  mmapstate.ListMap[K, E]
	want  map[K]list[E] // slices in it are never written, so a shallow clone is a snapshot
}

func (t *lists[K, E]) declare(s *mmapstate.Store, ttl mmapstate.TTL) (err error) {
	t.ttl = ttl
	t.door, err = mmapstate.NewListMap[K, E](s, t.name, ttl)
	return err
}

func (t *lists[K, E]) step(o op) error {
	k := t.key(int(o.a))
	switch o.action() {
	default:
		return t.append(k, size(o))
	case 4, 5:
		return t.all(k)
	case 6, 7:
		t.dropFirst(k, int(o.b)%8)
	case 8:
		t.door.Clear(k)
		delete(t.want, k)
	case 9:
		return t.compare()
	case 10, 11:
		return t.set(k, int(o.b)%6, int(o.c)%64)
	case 12:
		if got, want := t.door.Len(k), len(t.elements(k)); got != want {
			return fmt.Errorf("list %v has %d elements, want %d", k, got, want)
		}
	case 13:
		t.w.work += int(o.b)
		for range o.b {
			if err := t.append(k, int(o.c)/8); err != nil {
				return err
			}
		}
	case 14:
		t.w.work += int(o.b)
		for i := range int(o.b) {
			if err := t.append(t.key(int(o.a)+i), int(o.c)/8); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *lists[K, E]) append(k K, size int) error {
	v := t.value(t.w.next(), size)
	l, ok := t.want[k]
	if !ok {
		l.read = math.MinInt64
	}
	l.items = append(slices.Clip(l.items), mortal[E]{v, t.stamp()})
	t.want[k] = l
	return t.door.Append(k, v)
}

func (t *lists[K, E]) set(k K, n, size int) error {
	l := list[E]{read: math.MinInt64}
	if was, ok := t.want[k]; ok {
		l.read = was.read
	}
	var values []E
	for range n {
		v := t.value(t.w.next(), size)
		values = append(values, v)
		l.items = append(l.items, mortal[E]{v, t.stamp()})
	}
	if t.want[k] = l; n == 0 {
		delete(t.want, k)
	}
	return t.door.Set(k, values)
}

func (t *lists[K, E]) dropFirst(k K, n int) {
	t.door.DropFirst(k, n)
	l, items := t.want[k], t.trim(k)
	if l.items = items[min(n, len(items)):]; len(l.items) > 0 {
		t.want[k] = l
		return
	}
	delete(t.want, k)
}

// trim drops what has expired, as the store does when it looks at a list.
func (t *lists[K, E]) trim(k K) []mortal[E] {
	l, ok := t.want[k]
	if !ok {
		return nil
	}
	for len(l.items) > 0 && t.over(max(l.items[0].at, l.read)) {
		l.items = l.items[1:]
	}
	if t.want[k] = l; len(l.items) == 0 {
		delete(t.want, k)
	}
	return l.items
}

// elements reads a list, which may renew it.
func (t *lists[K, E]) elements(k K) (all []E) {
	for _, e := range t.trim(k) {
		all = append(all, e.v)
	}
	if len(all) > 0 && t.reads() {
		t.want[k] = list[E]{t.want[k].items, t.stamp()}
	}
	return all
}

func (t *lists[K, E]) all(k K) error {
	got, want := slices.Collect(t.door.All(k)), t.elements(k)
	t.w.work += len(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("list %v is %v of %d elements, want %v of %d", k, short(got), len(got), short(want), len(want))
	}
	return nil
}

func (t *lists[K, E]) compare() error {
	there := map[K]bool{}
	for k := range t.door.Keys() {
		if _, ok := t.want[k]; !ok && t.ttl.After == 0 {
			return fmt.Errorf("there is a list %v", k)
		}
		there[k] = true
	}
	for k := range maps.Clone(t.want) {
		if n := len(t.trim(k)); n > 0 && !there[k] {
			return fmt.Errorf("list %v of %d elements is not among the keys", k, n)
		}
		if err := t.all(k); err != nil {
			return err
		}
	}
	return nil
}

// adopt finds out how many of the oldest elements, which had expired by the old TTL, are gone.
func (t *lists[K, E]) adopt(old mmapstate.TTL) error {
	for k, l := range maps.Clone(t.want) {
		gone := 0
		for gone < len(l.items) && t.overBy(old, max(l.items[gone].at, l.read)) {
			gone++
		}
		items := slices.Clone(l.items)
		if anew(old, t.ttl) {
			l.read = math.MinInt64
			for i := range items {
				items[i].at = t.stamp()
			}
		}
		first := 0
		for first < len(items) && t.over(max(items[first].at, l.read)) {
			first++
		}
		got := len(slices.Collect(t.door.All(k)))
		if got > len(items)-first || got < len(items)-max(first, gone) {
			return fmt.Errorf("list %v has %d elements, want %d, of which %d had expired, %d of them again", k, got, len(items), gone, first)
		}
		if got > 0 && t.reads() {
			l.read = t.stamp()
		}
		if t.want[k] = (list[E]{items[len(items)-got:], l.read}); got == 0 {
			delete(t.want, k)
		}
	}
	return nil
}

func (t *lists[K, E]) save() any { return maps.Clone(t.want) }

func (t *lists[K, E]) load(was any) {
	t.want = map[K]list[E]{}
	if was != nil {
		t.want = maps.Clone(was.(map[K]list[E]))
	}
}
