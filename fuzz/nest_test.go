package fuzz

import (
	"fmt"
	"maps"

	"github.com/pagetide/pagetide/mmapstate"
)

// nest is a table of maps, beside Go maps.
type nest[K, F, V comparable] struct {
	life
	name  string
	key   func(int) K
	field func(int) F
	value func(seq uint64, size int) V
	door  mmapstate.NestedMap[K, F, V]
	want  map[K]map[F]mortal[V]
}

func (t *nest[K, F, V]) declare(s *mmapstate.Store, ttl mmapstate.TTL) (err error) {
	t.ttl = ttl
	t.door, err = mmapstate.NewNestedMap[K, F, V](s, t.name, ttl)
	return err
}

func (t *nest[K, F, V]) step(o op) error {
	k, f := t.key(int(o.a)), t.field(int(o.b))
	switch o.action() {
	default:
		return t.put(k, f, int(o.c))
	case 3, 4:
		return t.get(k, f)
	case 5, 6:
		return t.delete(k, f)
	case 7:
		t.door.Clear(k)
		delete(t.want, k)
	case 8:
		return t.all(k, t.want[k])
	case 9:
		return t.compare()
	case 10:
		if got, want := t.door.Len(k), len(living(&t.life, t.want[k])); got != want {
			return fmt.Errorf("map %v has %d entries, want %d", k, got, want)
		}
	case 11:
		return t.deleteSome(k, o.c)
	case 12, 13:
		t.w.work += int(o.b)
		for i := range int(o.b) {
			if o.action() == 12 { // many fields of one key, or one of many
				f = t.field(i)
			} else {
				k = t.key(int(o.a) + i)
			}
			if err := t.put(k, f, int(o.c)/8); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *nest[K, F, V]) put(k K, f F, size int) error {
	v := t.value(t.w.next(), size)
	if t.want[k] == nil {
		t.want[k] = map[F]mortal[V]{}
	}
	t.want[k][f] = mortal[V]{v, t.stamp()}
	return t.door.Put(k, f, v)
}

func (t *nest[K, F, V]) get(k K, f F) error {
	want, was := read(&t.life, t.want[k], f)
	if got, ok := t.door.Get(k, f); ok != was || got != want {
		return fmt.Errorf("get of %v %v: %v %v, want %v %v", k, f, short(got), ok, short(want), was)
	}
	return nil
}

func (t *nest[K, F, V]) delete(k K, f F) error {
	e, was := t.want[k][f]
	was = was && !t.over(e.at)
	delete(t.want[k], f)
	if got := t.door.Delete(k, f); got != was {
		return fmt.Errorf("delete of %v %v: %v, want %v", k, f, got, was)
	}
	return nil
}

func (t *nest[K, F, V]) all(k K, of map[F]mortal[V]) error {
	got, want := maps.Collect(t.door.All(k)), living(&t.life, of)
	if t.w.work += len(of); !maps.Equal(got, want) {
		return fmt.Errorf("map %v: %w", k, differ(got, want))
	}
	for f := range got {
		read(&t.life, of, f)
	}
	return nil
}

// deleteSome deletes entries in hand: each must be visited once.
func (t *nest[K, F, V]) deleteSome(k K, which byte) error {
	seen, of := map[F]V{}, t.want[k]
	want := living(&t.life, of)
	for f, v := range t.door.All(k) {
		if _, twice := seen[f]; twice {
			return fmt.Errorf("map %v: %v comes twice", k, f)
		}
		seen[f] = v
		if read(&t.life, of, f); (which>>(len(seen)%8))&1 != 0 {
			if err := t.delete(k, f); err != nil {
				return fmt.Errorf("entry in hand: %w", err)
			}
		}
	}
	if !maps.Equal(seen, want) {
		return fmt.Errorf("walk of map %v: %w", k, differ(seen, want))
	}
	return nil
}

func (t *nest[K, F, V]) compare() error {
	there := map[K]bool{}
	for k := range t.door.Keys() {
		there[k] = true
	}
	for k, of := range t.want {
		if n := len(living(&t.life, of)); n > 0 != there[k] && (n > 0 || t.ttl.After == 0) {
			return fmt.Errorf("map %v of %d entries: among the keys is %v", k, n, there[k])
		}
		if err := t.all(k, of); err != nil {
			return err
		}
		delete(there, k)
	}
	for k := range there {
		if n := t.door.Len(k); n > 0 || t.ttl.After == 0 {
			return fmt.Errorf("there is a map %v of %d entries", k, n)
		}
	}
	return nil
}

func (t *nest[K, F, V]) adopt(old mmapstate.TTL) error {
	for k, of := range t.want {
		there := maps.Collect(t.door.All(k))
		adoptEntries(&t.life, of, old, there)
		for f := range there {
			read(&t.life, of, f)
		}
	}
	return nil
}

func (t *nest[K, F, V]) save() any {
	all := maps.Clone(t.want)
	for k, of := range all {
		all[k] = maps.Clone(of)
	}
	return all
}

func (t *nest[K, F, V]) load(was any) {
	t.want = map[K]map[F]mortal[V]{}
	if was == nil {
		return
	}
	for k, of := range was.(map[K]map[F]mortal[V]) {
		t.want[k] = maps.Clone(of)
	}
}
