package mmapstate

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

// Time in the random model. What has expired stays in the model, as it may stay in the store, because a restore with
// another TTL can bring it back.

// mortal is a value with the time that it had last.
type mortal[V any] struct {
	v  V
	at int64
}

type modelList struct {
	key   Key
	items []mortal[string]
	read  int64
}

// clockLead is how far processing time is ahead, so that times of the wrong clock show.
const clockLead = 1 << 40

func (m *modelSim) tick(d int64) {
	m.now += d
	m.s.SetTime(m.now, m.now+clockLead)
	record := m.someRecord()
	m.s.SetRecordTime(record)
	for _, t := range m.kinds {
		t.now, t.record = [2]int64{m.now, m.now + clockLead}, record
	}
}

// someRecord is the time of a record, or none. It may be late.
func (m *modelSim) someRecord() int64 {
	if m.r.IntN(4) == 0 {
		return math.MinInt64
	}
	return m.now + int64(m.r.IntN(60)) - 20
}

func (m *modelSim) someTTL() TTL {
	if m.r.IntN(3) == 0 {
		return TTL{}
	}
	return TTL{After: 1 + 1500>>m.r.IntN(6), Clock: Clock(m.r.IntN(2)), Renew: Renewal(m.r.IntN(2))}
}

// born is a value that begins its life now, in place of one with another time or none.
func born[V any](t *modelTables, v V, was int64) mortal[V] { return mortal[V]{v, t.stamp(was)} }

func (t *modelTables) stamp(was int64) int64 {
	if t.ttl.Clock == ProcessingTime {
		return t.now[ProcessingTime]
	}
	return max(t.now[EventTime], t.record, was)
}

// put has a value begin its life in a map.
func put[V any](t *modelTables, of map[string]mortal[V], id string, v V) {
	was := int64(math.MinInt64)
	if e, ok := of[id]; ok {
		was = e.at
	}
	of[id] = born(t, v, was)
}

func (t *modelTables) over(at int64) bool {
	return t.ttl.After != 0 && t.now[t.ttl.Clock]-at >= int64(t.ttl.After)
}

// alive reads an entry as the store does: reading may renew it.
func alive[V any](t *modelTables, of map[string]mortal[V], id string) (v V, ok bool) {
	e, ok := of[id]
	if !ok || t.over(e.at) {
		return v, false
	}
	if t.ttl.Renew == OnReadAndWrite {
		put(t, of, id, e.v)
	}
	return e.v, true
}

// living is everything that is alive, as All gives it, which is no renewal.
func living[V any](t *modelTables, of map[string]mortal[V]) map[string]V {
	all := map[string]V{}
	for id, e := range of {
		if !t.over(e.at) {
			all[id] = e.v
		}
	}
	return all
}

// elements reads a list as the store does.
func (t *modelTables) elements(k modelKey) []mortal[string] {
	items := t.trimmed(k)
	if len(items) > 0 && t.ttl.Renew == OnReadAndWrite {
		t.want.lists[k.id].read = t.stamp(t.want.lists[k.id].read)
	}
	return items
}

// trimmed drops what has expired.
func (t *modelTables) trimmed(k modelKey) []mortal[string] {
	l := t.want.lists[k.id]
	if l == nil {
		return nil
	}
	for len(l.items) > 0 && t.over(max(l.items[0].at, l.read)) {
		l.items = l.items[1:]
	}
	if len(l.items) == 0 {
		delete(t.want.lists, k.id)
		return nil
	}
	return l.items
}

func (t *modelTables) declareNested(s *Store, i int, shape KeyShape) (err error) {
	size, field := -1, KeyShape{Fingerprint: "string"}
	if i == 0 {
		size, field = 16, KeyShape{Fixed: 4, Fingerprint: "u32"}
	}
	if t.lists, err = s.Lists(fmt.Sprint("lists", i), shape, size, "element", t.ttl); err != nil {
		return err
	}
	t.maps, err = s.Maps(fmt.Sprint("maps", i), shape, field, size, "value", t.ttl)
	return err
}

// value makes one that fits the state.
func (t *modelTables) value(r *rand.Rand) []byte {
	n := 16
	if t.maps.size == refSize && t.maps.items.blob {
		n = r.IntN(60)
	}
	return slices.Repeat([]byte{byte(r.Uint32())}, n)
}

func (t *modelTables) someField(r *rand.Rand) []byte {
	f := fmt.Appendf(nil, "%04d", r.IntN(40))
	if t.maps.field.Fixed == 0 {
		f = append(f, slices.Repeat(f, int(f[3]-'0'))...)
	}
	return f
}

func (t *modelTables) stepLists(r *rand.Rand, k modelKey) error {
	switch r.IntN(10) {
	case 0:
		n := r.IntN(5)
		items := t.trimmed(k)
		t.lists.DropFirst(k.k, n)
		if n >= len(items) && len(items) > 0 {
			delete(t.want.lists, k.id)
		} else if len(items) > 0 {
			t.want.lists[k.id].items = items[n:]
		}
	case 1:
		t.lists.Clear(k.k)
		delete(t.want.lists, k.id)
	case 2:
		return t.setList(r, k)
	case 3, 4:
		return t.compareList(k)
	case 5:
		if got, want := t.lists.Len(k.k), len(t.elements(k)); got != want {
			return fmt.Errorf("list %q has %d elements, want %d", k.id, got, want)
		}
	default:
		v := t.value(r)
		l := t.want.lists[k.id]
		if l == nil {
			l = &modelList{key: ownKey(k), read: math.MinInt64}
			t.want.lists[k.id] = l
		}
		l.items = append(slices.Clip(l.items), born(t, string(v), math.MinInt64))
		return t.lists.Append(k.k, v)
	}
	return nil
}

func ownKey(k modelKey) Key { return Key{Hash: k.k.Hash, Group: k.k.Group, Bytes: []byte(k.id)} }

func (t *modelTables) setList(r *rand.Rand, k modelKey) error {
	l := &modelList{key: ownKey(k), read: math.MinInt64}
	if was := t.want.lists[k.id]; was != nil {
		l.read = was.read
	}
	var refused error
	if r.IntN(4) == 0 {
		refused = fmt.Errorf("refused")
	}
	err := t.lists.Set(k.k, func(yield func([]byte, error) bool) {
		for range r.IntN(4) {
			v := t.value(r)
			l.items = append(l.items, born(t, string(v), math.MinInt64))
			if !yield(v, nil) {
				return
			}
		}
		if refused != nil {
			yield(nil, refused)
		}
	})
	switch {
	case err != refused:
		return fmt.Errorf("set of a list: %v, want %v", err, refused)
	case err == nil && len(l.items) > 0:
		t.want.lists[k.id] = l
	case err == nil:
		delete(t.want.lists, k.id)
	}
	return nil
}

func (t *modelTables) compareList(k modelKey) error {
	var got, want []string
	for b := range t.lists.All(k.k) {
		got = append(got, string(b))
	}
	for _, e := range t.elements(k) {
		want = append(want, e.v)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("list %q has %d elements, want %d", k.id, len(got), len(want))
	}
	return nil
}

func (t *modelTables) stepMaps(r *rand.Rand, k modelKey) error {
	of := t.want.maps[k.id]
	if of == nil {
		of = map[string]mortal[string]{}
		t.want.maps[k.id] = of
		t.keys[k.id] = ownKey(k)
	}
	f := t.someField(r)
	switch r.IntN(12) {
	case 0:
		t.maps.Clear(k.k)
		clear(of)
	case 1:
		return t.compareMap(k)
	case 2:
		if got, want := t.maps.Len(k.k), len(living(t, of)); got != want {
			return fmt.Errorf("map %q has %d entries, want %d", k.id, got, want)
		}
	case 3:
		return t.deleteSome(r, k, of)
	case 4, 5:
		e, was := of[string(f)]
		was = was && !t.over(e.at)
		delete(of, string(f))
		if got := t.maps.Delete(k.k, f); got != was {
			return fmt.Errorf("delete of %q %s: %v, want %v", k.id, f, got, was)
		}
	case 6, 7:
		want, was := alive(t, of, string(f))
		if got, ok := t.maps.Get(k.k, f, nil); ok != was || string(got) != want {
			return fmt.Errorf("get of %q %s: %v, want %v", k.id, f, ok, was)
		}
	default:
		v := t.value(r)
		put(t, of, string(f), string(v))
		return t.maps.Put(k.k, f, v)
	}
	return nil
}

// deleteSome walks a map and deletes some of the entries in hand: each must be visited once.
func (t *modelTables) deleteSome(r *rand.Rand, k modelKey, of map[string]mortal[string]) error {
	seen := map[string]string{}
	want := living(t, of)
	for f, v := range t.maps.All(k.k) {
		if _, twice := seen[string(f)]; twice {
			return fmt.Errorf("map %q: %s comes twice", k.id, f)
		}
		seen[string(f)] = string(v)
		if r.IntN(2) == 0 {
			delete(of, string(f))
			if !t.maps.Delete(k.k, f) {
				return fmt.Errorf("map %q: the entry in hand, %s, is not there", k.id, f)
			}
		} else {
			alive(t, of, string(f))
		}
	}
	if !maps.Equal(seen, want) {
		return fmt.Errorf("map %q: %d entries were visited of %d", k.id, len(seen), len(want))
	}
	return nil
}

func (t *modelTables) compareMap(k modelKey) error {
	got, of := map[string]string{}, t.want.maps[k.id]
	for f, v := range t.maps.All(k.k) {
		got[string(f)] = string(v)
	}
	if want := living(t, of); !maps.Equal(got, want) {
		return fmt.Errorf("map %q has %d entries, want %d", k.id, len(got), len(want))
	}
	for f := range got {
		alive(t, of, f)
	}
	return nil
}

func (t *modelTables) compareNested() error {
	if t.maps == nil {
		return nil
	}
	for k := range t.lists.Keys() {
		if t.want.lists[string(k.Bytes)] == nil && t.ttl.After == 0 {
			return fmt.Errorf("there is a list %q", k.Bytes)
		}
	}
	for id, l := range maps.Clone(t.want.lists) {
		if err := t.compareList(modelKey{l.key, id}); err != nil {
			return err
		}
	}
	found := map[string]bool{}
	for k := range t.maps.Keys() {
		found[string(k.Bytes)] = true
	}
	for id, of := range t.want.maps {
		if n := len(living(t, of)); n > 0 != found[id] && (n > 0 || t.ttl.After == 0) {
			return fmt.Errorf("map %q of %d entries: found is %v", id, n, found[id])
		}
		if err := t.compareMap(modelKey{t.keys[id], id}); err != nil {
			return err
		}
	}
	return nil
}

// adopt asks the store, after a restore with new TTLs, which of the expired entries were still there. Then everything
// that has expired by the new TTLs is removed, so that no later restore brings it back.
func (m *modelSim) adopt(was []TTL) error {
	for i, t := range m.kinds {
		now, fresh := t.ttl, was[i].mark() != t.ttl.mark()
		there := map[string]bool{}
		for k := range t.cells.All() {
			there[string(k.Bytes)] = true
		}
		t.ttl = was[i]
		adoptEntries(t, t.want.cells, now, fresh, there)
		clear(there)
		t.ttl = now
		for k := range t.bytes.All() {
			there[string(k.Bytes)] = true
		}
		t.ttl = was[i]
		adoptEntries(t, t.want.bytes, now, fresh, there)
		err := t.adoptNested(now, fresh)
		if t.ttl = now; err != nil {
			return err
		}
	}
	calls := 3 // from the places of the sweeps to the ends, then from the begins
	for i := range m.s.shards {
		calls += int(m.s.shards[i].absent) // a call loads one group, of free pages too
	}
	for range calls {
		m.s.Expire(math.MaxInt)
	}
	return nil
}

// adoptEntries keeps, of the entries that have expired by the old TTL, those that are there. Entries with a fresh life
// begin it now.
func adoptEntries[V any](t *modelTables, of map[string]mortal[V], now TTL, fresh bool, there map[string]bool) {
	for id, e := range of {
		switch {
		case t.over(e.at) && !there[id]:
			delete(of, id)
		case fresh:
			of[id] = mortal[V]{e.v, t.now[now.Clock]}
		}
	}
}

func (t *modelTables) adoptNested(now TTL, fresh bool) error {
	if t.lists == nil {
		return nil
	}
	for id, l := range t.want.lists {
		span := t.lists.span(l.key)
		n := int(span.Next - span.First)
		old := 0
		for old < len(l.items) && t.over(max(l.items[old].at, l.read)) {
			old++
		}
		if n > len(l.items) || n < len(l.items)-old {
			return fmt.Errorf("list %q has %d elements, want %d of which %d have expired", id, n, len(l.items), old)
		}
		l.items = l.items[len(l.items)-n:]
		for i := range l.items {
			if fresh {
				l.items[i].at, l.read = t.now[now.Clock], math.MinInt64
			}
		}
		if n == 0 {
			delete(t.want.lists, id)
		}
	}
	for id, of := range t.want.maps {
		there := map[string]bool{}
		for f := range of {
			sh := t.maps.shard(t.keys[id])
			pg, _, off := t.maps.items.find(sh, t.keys[id].join([]byte(f), t.maps.key, t.maps.field, &t.maps.itemKey))
			there[f] = pg != nil && !t.maps.items.expired(pg, off)
		}
		adoptEntries(t, of, now, fresh, there)
	}
	return nil
}

func (t *modelTables) stepNested(r *rand.Rand, k modelKey) error {
	switch {
	case t.lists == nil:
		return nil
	case r.IntN(2) == 0:
		return t.stepLists(r, k)
	}
	return t.stepMaps(r, k)
}
