package main

import (
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// pagetide is a cell map. Batched, it hashes 64 keys and hints at them before it works on them, as the engine does with a
// batch of records; else it looks up key by key. Both run on the same table.
type pagetide[K comparable, V any] struct {
	label string
	batch bool
	table *pagetideTable[K, V]
	views [64]mmapstate.Key
	found [64]mmapstate.Found
}

type pagetideTable[K comparable, V any] struct {
	store  *mmapstate.Store
	cells  *mmapstate.Cells
	keyer  *mmapstate.Keyer[K]
	loaded bool
	users  int
}

const pagetideSettings = "mmapstate.Cells, 128 key groups, values in place; batched: keys of 64 records hashed, Cells.Look, then RefAt each; single: Ref each"

func newPagetides[K comparable, V any]() []store[K] {
	t := newPagetideTable[K, V](mmapstate.Options{})
	t.users = 2
	return []store[K]{
		&pagetide[K, V]{label: "pagetide", batch: true, table: t},
		&pagetide[K, V]{label: "pagetide-single", table: t},
	}
}

func newPagetideTable[K comparable, V any](o mmapstate.Options) *pagetideTable[K, V] {
	t := &pagetideTable[K, V]{store: mmapstate.New(o)}
	var err error
	t.keyer, err = mmapstate.NewKeyer[K](t.store.HashSeed(), t.store.KeyGroups())
	check(err)
	var zero V
	t.cells, err = t.store.Cells("state", t.keyer.Shape(), int(unsafe.Sizeof(zero)), "benchmark")
	check(err)
	return t
}

func (p *pagetide[K, V]) name() string { return p.label }

func (p *pagetide[K, V]) load(keys []K) {
	if p.table.loaded {
		return
	}
	p.table.loaded = true
	p.insert(keys)
}

// hash makes the keys of a batch ready.
func (p *pagetide[K, V]) hash(keys []K) []mmapstate.Key {
	views := p.views[:len(keys)]
	for i := range keys {
		views[i] = p.table.keyer.Key(&keys[i])
	}
	p.table.cells.Look(views, p.found[:len(views)])
	return views
}

func (p *pagetide[K, V]) rmw(keys []K) {
	cells, keyer := p.table.cells, p.table.keyer
	if !p.batch {
		for i := range keys {
			*(*uint64)(cells.Ref(keyer.Key(&keys[i])))++
		}
		return
	}
	for ; len(keys) > 0; keys = keys[min(len(p.views), len(keys)):] {
		for i := range p.hash(keys[:min(len(p.views), len(keys))]) {
			*(*uint64)(cells.RefAt(&p.found[i], &p.views[i]))++
		}
	}
}

func (p *pagetide[K, V]) read(keys []K) (sum uint64) {
	cells, keyer := p.table.cells, p.table.keyer
	if !p.batch {
		for i := range keys {
			v := cells.Peek(keyer.Key(&keys[i]))
			if v == nil {
				missing(p.label, keys[i])
			}
			sum += *(*uint64)(v)
		}
		return sum
	}
	for ; len(keys) > 0; keys = keys[min(len(p.views), len(keys)):] {
		for i := range p.hash(keys[:min(len(p.views), len(keys))]) {
			v := cells.PeekAt(&p.found[i], &p.views[i])
			if v == nil {
				missing(p.label, keys[i])
			}
			sum += *(*uint64)(v)
		}
	}
	return sum
}

func (p *pagetide[K, V]) insert(keys []K) {
	var value V
	cells, keyer := p.table.cells, p.table.keyer
	if !p.batch {
		for i := range keys {
			*(*V)(cells.Ref(keyer.Key(&keys[i]))) = value
		}
		return
	}
	for ; len(keys) > 0; keys = keys[min(len(p.views), len(keys)):] {
		for i := range p.hash(keys[:min(len(p.views), len(keys))]) {
			*(*V)(cells.RefAt(&p.found[i], &p.views[i])) = value
		}
	}
}

func (p *pagetide[K, V]) remove(keys []K) {
	cells, keyer := p.table.cells, p.table.keyer
	if !p.batch {
		for i := range keys {
			if !cells.Delete(keyer.Key(&keys[i])) {
				missing(p.label, keys[i])
			}
		}
		return
	}
	for ; len(keys) > 0; keys = keys[min(len(p.views), len(keys)):] {
		for i, k := range p.hash(keys[:min(len(p.views), len(keys))]) {
			if !cells.Delete(k) {
				missing(p.label, keys[i])
			}
		}
	}
}

func (p *pagetide[K, V]) rest() {}

func (p *pagetide[K, V]) close() {
	if p.table.users--; p.table.users == 0 {
		check(p.table.store.Close())
	}
}
