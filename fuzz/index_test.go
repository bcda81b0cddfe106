package fuzz

import (
	"fmt"
	"maps"

	"github.com/pagetide/pagetide/mmapstate"
)

type timed[K any] struct {
	k  K
	at int64
}

// index is an ordered table, beside a Go set.
type index[K comparable] struct {
	w     *world
	key   func(int) K
	keyer *mmapstate.Keyer[K]
	door  *mmapstate.Index
	want  map[timed[K]]bool
	buf   []byte
}

func (t *index[K]) declare(s *mmapstate.Store, _ mmapstate.TTL) (err error) {
	if t.keyer, err = mmapstate.NewKeyer[K](s.HashSeed(), s.KeyGroups()); err != nil {
		return err
	}
	t.door, err = s.Index("index", t.keyer.Shape())
	return err
}

func (t *index[K]) step(o op) error {
	k, at := t.key(int(o.a)), int64(o.b%16)-4
	switch o.action() {
	default:
		return t.insert(k, at)
	case 4, 5:
		e := timed[K]{k, at}
		was := t.want[e]
		delete(t.want, e)
		if got := t.door.Delete(t.keyer.Key(&k), at); got != was {
			return fmt.Errorf("delete of %v: %v, want %v", e, got, was)
		}
	case 6, 7:
		return t.pop(at, 1)
	case 8:
		return t.pop(at, int(o.c))
	case 9:
		return t.compare()
	case 10:
		return t.span(at, at+int64(o.c%8))
	case 11:
		return t.peek()
	case 12, 13, 14, 15:
		t.w.work += 2 * int(o.b)
		for i := range 2 * int(o.b) {
			if err := t.insert(t.key(int(o.a)+i), int64(i*int(o.c)%97)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *index[K]) insert(k K, at int64) error {
	e := timed[K]{k, at}
	was := t.want[e]
	t.want[e] = true
	if got := t.door.Insert(t.keyer.Key(&k), at); got == was {
		return fmt.Errorf("insert of %v: %v", e, got)
	}
	return nil
}

// first is the earliest time of the model.
func (t *index[K]) first() (at int64, ok bool) {
	t.w.work += len(t.want)
	for e := range t.want {
		if !ok || e.at < at {
			at, ok = e.at, true
		}
	}
	return at, ok
}

func (t *index[K]) peek() error {
	first, some := t.first()
	if at, ok := t.door.Min(); ok != some || at != first && ok {
		return fmt.Errorf("min is %d %v, want %d %v", at, ok, first, some)
	}
	at, k, ok := t.door.Peek(t.buf)
	if ok != some || ok && (at != first || !t.want[timed[K]{t.keyer.Decode(k.Bytes), at}]) {
		return fmt.Errorf("peek at %d %v, want %d %v", at, ok, first, some)
	}
	return nil
}

func (t *index[K]) pop(limit int64, n int) error {
	for range n {
		first, some := t.first()
		at, k, ok := t.door.Pop(limit, t.buf)
		if ok != (some && first <= limit) || ok && at != first {
			return fmt.Errorf("pop up to %d: %d %v, but the earliest is %d %v", limit, at, ok, first, some)
		}
		if !ok {
			return nil
		}
		e := timed[K]{t.keyer.Decode(k.Bytes), at}
		if !t.want[e] {
			return fmt.Errorf("pop gave %v, which is not there", e)
		}
		delete(t.want, e)
		t.buf = k.Bytes
	}
	return nil
}

func (t *index[K]) span(from, to int64) error {
	t.w.work += len(t.want)
	want := map[timed[K]]bool{}
	for e := range t.want {
		if e.at >= from && e.at < to {
			want[e] = true
		}
	}
	last := from
	for at, k := range t.door.Range(from, to) {
		e := timed[K]{t.keyer.Decode(k.Bytes), at}
		if !want[e] || at < last {
			return fmt.Errorf("range %d to %d gave %v after %d", from, to, e, last)
		}
		delete(want, e)
		last = at
	}
	if len(want) > 0 {
		return fmt.Errorf("range %d to %d misses %d entries", from, to, len(want))
	}
	return nil
}

func (t *index[K]) compare() error {
	left, last := maps.Clone(t.want), int64(-1<<63)
	t.w.work += len(left)
	for at, k := range t.door.All() {
		e := timed[K]{t.keyer.Decode(k.Bytes), at}
		if !left[e] || at < last {
			return fmt.Errorf("walk gave %v after %d", e, last)
		}
		delete(left, e)
		last = at
	}
	if n := t.door.Len(); len(left) > 0 || n != len(t.want) {
		return fmt.Errorf("walk misses %d entries, %d are counted, want %d", len(left), n, len(t.want))
	}
	return t.peek()
}

func (t *index[K]) adopt(mmapstate.TTL) error { return nil }

func (t *index[K]) save() any { return maps.Clone(t.want) }

func (t *index[K]) load(was any) {
	t.want = map[timed[K]]bool{}
	if was != nil {
		t.want = maps.Clone(was.(map[timed[K]]bool))
	}
}
