package fuzz

import (
	"github.com/pagetide/pagetide/mmapstate"
)

// world is what all tables of one run share.
type world struct {
	now  [2]int64 // by mmapstate.Clock
	seq  uint64   // of writes, so that no value is written twice
	work int      // entries touched so far: a run ends when it has done enough
}

const maxWork = 40_000

func (w *world) next() uint64 { w.seq++; return w.seq }

// mortal is a value with the time that it had last. What has expired stays in the model, as it may stay in the store,
// because a restore with another TTL can bring it back.
type mortal[V any] struct {
	v  V
	at int64
}

// life is a table's TTL as the model sees it.
type life struct {
	w   *world
	ttl mmapstate.TTL
}

func (l *life) stamp() int64       { return l.w.now[l.ttl.Clock] }
func (l *life) over(at int64) bool { return l.overBy(l.ttl, at) }
func (l *life) reads() bool        { return l.ttl.After != 0 && l.ttl.Renew == mmapstate.OnReadAndWrite }

func (l *life) overBy(t mmapstate.TTL, at int64) bool {
	return t.After != 0 && l.w.now[t.Clock]-at >= int64(t.After)
}

// anew tells whether entries begin their life anew when one TTL takes another's place.
func anew(old, now mmapstate.TTL) bool {
	return (old.After == 0) != (now.After == 0) || old.Clock != now.Clock
}

// read takes an entry out of a map as the store does: reading may renew it.
func read[K comparable, V any](l *life, of map[K]mortal[V], k K) (v V, ok bool) {
	e, ok := of[k]
	if !ok || l.over(e.at) {
		return v, false
	}
	if l.reads() {
		of[k] = mortal[V]{e.v, l.stamp()}
	}
	return e.v, true
}

// living is everything that is alive.
func living[K comparable, V any](l *life, of map[K]mortal[V]) map[K]V {
	all := make(map[K]V, len(of))
	for k, e := range of {
		if !l.over(e.at) {
			all[k] = e.v
		}
	}
	return all
}

// adoptEntries takes over what a restore with another TTL has kept: of the entries that had expired by the old one,
// which the store may have removed, those that are there.
func adoptEntries[K comparable, V any](l *life, of map[K]mortal[V], old mmapstate.TTL, there map[K]V) {
	for k, e := range of {
		if anew(old, l.ttl) {
			of[k] = mortal[V]{e.v, l.stamp()}
		}
		if _, ok := there[k]; !ok && l.overBy(old, e.at) && !l.over(of[k].at) {
			delete(of, k)
		}
	}
}
