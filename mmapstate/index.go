package mmapstate

import (
	"container/heap"
	"iter"
	"math"

	"github.com/pagetide/pagetide/meta"
)

// Index is an ordered state: keys by time. A key can be there at several times. Timers and windows are made of it.
type Index struct {
	store *Store
	tree  *tree
	first tournament // of the shards' earliest times
}

// Index declares an ordered state. Errors are those of [Store.Cells].
func (s *Store) Index(name string, key KeyShape) (*Index, error) {
	no, err := s.declare(meta.KindIndex, name, key, "")
	if err != nil {
		return nil, err
	}
	x := &Index{store: s, tree: newTree(s, no, key)}
	s.trees[no] = x.tree
	x.first.init(s, no)
	return x, nil
}

// Insert adds a key at a time in nanoseconds. It is false if the key is there already at that time.
func (x *Index) Insert(k Key, at int64) bool {
	ok := x.tree.insert(x.store.shard(k.Group), k, at)
	if ok {
		x.first.update(int(k.Group) - x.store.first)
	}
	return ok
}

// Delete removes a key at a time and tells whether it was there.
func (x *Index) Delete(k Key, at int64) bool {
	ok := x.tree.delete(x.store.shard(k.Group), k, at)
	if ok {
		x.first.update(int(k.Group) - x.store.first)
	}
	return ok
}

// Min gives the earliest time of all key groups. It reads no page.
func (x *Index) Min() (at int64, ok bool) {
	i := x.first.winner()
	if i < 0 {
		return 0, false
	}
	return x.store.look(i).heads[x.tree.no].earliest, true
}

// Peek gives the earliest entry and leaves it there. The key's bytes are copied into buf, from its start.
func (x *Index) Peek(buf []byte) (at int64, k Key, ok bool) {
	i := x.first.winner()
	if i < 0 {
		return 0, Key{}, false
	}
	sh := x.store.look(i)
	h := &sh.heads[x.tree.no]
	x.tree.open(sh, h)
	w := x.tree.seek(sh, h, least)
	x.tree.settle(sh, &w)
	at, k = x.entry(sh, &w, buf[:0])
	return at, k, true
}

// Pop removes and returns the earliest entry if its time is not after limit. The key's bytes are copied into buf, from
// its start, so that a buffer can be reused.
func (x *Index) Pop(limit int64, buf []byte) (at int64, k Key, ok bool) {
	i := x.first.winner()
	if i < 0 {
		return 0, Key{}, false
	}
	sh := x.store.look(i)
	h := &sh.heads[x.tree.no]
	if h.earliest > limit {
		return 0, Key{}, false
	}
	x.tree.open(sh, h)
	w := x.tree.seek(sh, h, least)
	x.tree.settle(sh, &w)
	at, k = x.entry(sh, &w, buf[:0])
	x.tree.remove(sh, h, &w)
	x.first.update(i)
	return at, k, true
}

func (x *Index) entry(sh *shard, w *path, buf []byte) (int64, Key) {
	pg, off := x.tree.here(sh, w)
	r := rankAt(pg, off)
	return r.at, Key{Hash: r.hash, Group: sh.id.Group(), Bytes: x.tree.keyAt(sh, pg, off, buf)}
}

// Len counts the entries.
func (x *Index) Len() int { return x.store.entries(x.tree.no) }

// All gives every entry in order of time. A key's bytes are valid for one step; the index must not be changed
// meanwhile.
func (x *Index) All() iter.Seq2[int64, Key] { return x.walk(math.MinInt64, math.MaxInt64) }

// Range gives the entries with from <= time < to, in order of time: O(log n) for the first of each shard, then in
// proportion to their number. A key's bytes are valid for one step; the index must not be changed meanwhile.
func (x *Index) Range(from, to int64) iter.Seq2[int64, Key] {
	if from >= to {
		return func(func(int64, Key) bool) {}
	}
	return x.walk(from, to-1)
}

// walk gives the entries with from <= time <= last.
func (x *Index) walk(from, last int64) iter.Seq2[int64, Key] {
	return func(yield func(int64, Key) bool) {
		m := merge{tree: x.tree}
		for i := range x.store.shards {
			sh := x.store.look(i)
			if h := &sh.heads[x.tree.no]; x.tree.open(sh, h) && h.earliest <= last {
				m.add(sh, x.tree.seek(sh, h, rank{at: from}))
			}
		}
		heap.Init(&m)
		var buf []byte
		for len(m.at) > 0 && m.at[0].r.at <= last {
			c := &m.at[0]
			at, k := x.entry(c.sh, &c.w, buf[:0])
			buf = k.Bytes
			if !yield(at, k) {
				return
			}
			m.advance()
		}
	}
}

// merge reads the trees of all shards side by side: a heap of places by time.
type merge struct {
	tree *tree
	at   []place
}

type place struct {
	sh *shard
	w  path
	r  rank
}

func (m *merge) add(sh *shard, w path) {
	if m.tree.settle(sh, &w) {
		pg, off := m.tree.here(sh, &w)
		m.at = append(m.at, place{sh: sh, w: w, r: rankAt(pg, off)})
	}
}

func (m *merge) advance() {
	c := &m.at[0]
	c.w.pos[c.w.last]++
	if !m.tree.settle(c.sh, &c.w) {
		heap.Pop(m)
		return
	}
	pg, off := m.tree.here(c.sh, &c.w)
	r := rankAt(pg, off)
	if r.compare(c.r) <= 0 {
		c.sh.damaged(c.w.page[c.w.last], "index is out of order")
	}
	c.r = r
	heap.Fix(m, 0)
}

func (m *merge) Len() int           { return len(m.at) }
func (m *merge) Less(i, j int) bool { return m.at[i].r.compare(m.at[j].r) < 0 }
func (m *merge) Swap(i, j int)      { m.at[i], m.at[j] = m.at[j], m.at[i] }
func (m *merge) Push(v any)         { m.at = append(m.at, v.(place)) }
func (m *merge) Pop() any {
	last := m.at[len(m.at)-1]
	m.at = m.at[:len(m.at)-1]
	return last
}
