package engine

import (
	"bytes"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// Count closes a window of a key when it has n records; n must be positive. Time has no part in it: the stream needs no
// event time, and no record is late. When bounded input ends, windows that are not full close with what they have. A
// window spans the times of its records, and its result carries the latest of them, or the operator's time if that has
// gone on since; both are zero in a stream without event time.
func Count(n int) Assigner { return Assigner{kind: kindCount, count: n} }

// counted is the open window of a key.
type counted[V any] struct {
	N           int64
	Due         Time // its entry in woken; zero if there is none
	First, Last Time // the least and the greatest of its records
	Value       V
}

// countWindows are the count windows of keys: each key has at most one that is open.
type countWindows[K comparable, V any] struct {
	*windowCore[K, V]
	timed bool
	open  *mmapstate.Cells // by key: counted
	last  *counted[V]      // placed last
}

func newCountWindows[K comparable, V any](c *windowCore[K, V]) *countWindows[K, V] {
	open := must(c.store.Cells("open", c.shape, int(unsafe.Sizeof(counted[V]{})), must(flatWindow[counted[V]]())))
	if c.early {
		c.woken = must(c.store.Index("woken", c.shape))
	}
	return &countWindows[K, V]{windowCore: c, timed: c.node.timed(), open: open}
}

func (c *countWindows[K, V]) place(k mmapstate.Key, own Span) (*V, Time) {
	p, created := c.open.RefOrCreate(k)
	w := (*counted[V])(p)
	if created {
		w.First, w.Last = own.Start, own.Start
	}
	w.N++
	w.First, w.Last = min(w.First, own.Start), max(w.Last, own.Start)
	c.last = w
	return &w.Value, 0
}

func (c *countWindows[K, V]) cells() *mmapstate.Cells { return c.open }

func (c *countWindows[K, V]) hint(k mmapstate.Key, _ Time) mmapstate.Key { return k }

func (c *countWindows[K, V]) placed(k mmapstate.Key) {
	switch {
	case c.last.N >= int64(c.assign.count):
		c.close(k, *c.last)
	case c.early && c.last.Due == 0:
		c.last.Due = c.tick()
		c.woken.Insert(k, int64(c.last.Due))
	}
}

// close fires a window and forgets it.
func (c *countWindows[K, V]) close(k mmapstate.Key, w counted[V]) {
	c.open.Delete(k)
	if w.Due != 0 {
		c.woken.Delete(k, int64(w.Due))
	}
	c.result(k, w)
	c.what.drop(k, w.Value)
}

func (c *countWindows[K, V]) result(k mmapstate.Key, w counted[V]) {
	if c.timed {
		c.fire(k, Span{w.First, w.Last.Add(1)}, max(w.Last, c.passed.Add(1)), w.Value)
	} else {
		c.fire(k, Span{}, 0, w.Value)
	}
}

func (c *countWindows[K, V]) wake(_ Time, k mmapstate.Key) {
	w := (*counted[V])(c.open.Ref(k))
	w.Due = 0
	c.result(k, *w)
}

func (c *countWindows[K, V]) end(Time, mmapstate.Key)    {}
func (c *countWindows[K, V]) retire(Time, mmapstate.Key) {}

// finish closes the windows that are not full.
func (c *countWindows[K, V]) finish() {
	for keys := c.some(); len(keys) > 0; keys = c.some() {
		for _, k := range keys {
			c.close(k, *(*counted[V])(c.open.Peek(k)))
			c.st.pause()
		}
	}
}

// some are keys with an open window, none if there are none.
func (c *countWindows[K, V]) some() (keys []mmapstate.Key) {
	const most = 1 << 16
	for k := range c.open.All() {
		k.Bytes = bytes.Clone(k.Bytes)
		if keys = append(keys, k); len(keys) == most {
			break
		}
	}
	return keys
}
