package engine

import "github.com/pagetide/pagetide/mmapstate"

// pane is the fold of one pane, and in a complete block of the panes behind it, too.
type pane[Acc any] struct {
	Before, After Time // where the panes begin that are its neighbours: MaxTime if none is after; what is before the first one is gone
	Acc           Acc
}

// panes is what a key's panes have in common, and the newest of them. There is at least one.
type panes[Acc any] struct {
	First, Last Time // where the oldest that a window may still need and the newest begin
	Next        Time // the first that is not folded yet; MaxTime if all are
	Folded      Time // panes before it are in the prefix or in the complete block
	End         Time // of the first window that is still to fire: its entry in ends
	Live        bool // there is one: new memory is zero
	Have        bool // the prefix has something
	Fresh       bool // the newest pane is in fresh
	Prefix      Acc  // of the current block
	Newest      pane[Acc]
}

// begin makes the first pane of a key. No window before a block's beginning has fired that could need what comes.
func (h *panes[Acc]) begin(start, block Time) {
	*h = panes[Acc]{First: start, Last: start, Next: start, Folded: block, End: MaxTime, Live: true}
	h.Newest.Before, h.Newest.After = MinTime, MaxTime
}

// unfolded says that no pane is folded, and that those to come are from a block on.
func (h *panes[Acc]) unfolded(block Time) {
	h.Folded, h.Have, h.Prefix = block, false, *new(Acc)
}

// unfold takes note of a new pane, which is to be folded if it is not behind.
func (h *panes[Acc]) unfold(start Time) {
	if start >= h.Folded {
		h.Next = min(h.Next, start)
	}
}

// newest says that a time falls into the newest pane, which is not folded yet.
func (h *panes[Acc]) newest(at, pane Time) bool {
	return uint64(at-h.Last) < uint64(pane) && h.Live && h.Last >= h.Folded
}

// at is a pane that exists, to be written. It is valid until a pane comes or goes.
func (t *slidingTask[K, In, Acc, O, A]) at(k mmapstate.Key, h *panes[Acc], start Time) *pane[Acc] {
	if start == h.Last {
		return &h.Newest
	}
	return (*pane[Acc])(t.older.Ref(k.With(uint64(start), &t.scratch)))
}

// peek is a pane that exists, to be read.
func (t *slidingTask[K, In, Acc, O, A]) peek(k mmapstate.Key, h *panes[Acc], start Time) *pane[Acc] {
	if start == h.Last {
		return &h.Newest
	}
	return (*pane[Acc])(t.older.Peek(k.With(uint64(start), &t.scratch)))
}

// open is the pane that begins at a time, in its place in the list. The key must have one, maybe that one, where it was
// just made.
func (t *slidingTask[K, In, Acc, O, A]) open(k mmapstate.Key, h *panes[Acc], start Time) (p *pane[Acc], created bool) {
	switch {
	case start > h.Last:
		t.append(k, h, start)
		return &h.Newest, true
	case start == h.Last:
		return &h.Newest, h.End == MaxTime
	}
	found, created := t.older.RefOrCreate(k.With(uint64(start), &t.scratch))
	p = (*pane[Acc])(found)
	if created {
		t.link(k, h, p, start)
	}
	return p, created
}

// append makes a pane behind the newest.
func (t *slidingTask[K, In, Acc, O, A]) append(k mmapstate.Key, h *panes[Acc], start Time) {
	was := (*pane[Acc])(t.older.Ref(k.With(uint64(h.Last), &t.scratch)))
	*was = h.Newest
	was.After = start
	h.Newest = pane[Acc]{Before: h.Last, After: MaxTime}
	h.Last, h.Fresh = start, false
	h.unfold(start)
}

// link puts a pane that is not the newest between its neighbours.
func (t *slidingTask[K, In, Acc, O, A]) link(k mmapstate.Key, h *panes[Acc], p *pane[Acc], start Time) {
	h.unfold(start)
	if start < h.First {
		p.Before, p.After, h.First = MinTime, h.First, start
		t.at(k, h, p.After).Before = start
		return
	}
	after := t.at(k, h, h.Last)
	p.Before, p.After = after.Before, h.Last
	for p.Before > start {
		after = t.at(k, h, p.Before)
		p.Before, p.After = after.Before, p.Before
	}
	after.Before = start
	t.at(k, h, p.Before).After = start
}

// fold takes the panes before a window's end into the prefix, and completes blocks that end on the way.
func (t *slidingTask[K, In, Acc, O, A]) fold(k mmapstate.Key, h *panes[Acc], end Time) {
	block := t.floor(h.Folded, t.size)
	for h.Next < end {
		if h.Next >= block+t.size {
			t.complete(k, h, block)
			block = t.floor(h.Next, t.size)
		}
		p := t.peek(k, h, h.Next)
		if h.Have {
			t.agg.Merge(&h.Prefix, p.Acc)
		} else {
			h.Prefix, h.Have = p.Acc, true
		}
		h.Next = p.After
	}
	if end >= block+t.size {
		t.complete(k, h, block)
	}
	h.Folded = end
}

// complete makes the current block the complete one. No window needs the one before any more.
func (t *slidingTask[K, In, Acc, O, A]) complete(k mmapstate.Key, h *panes[Acc], block Time) {
	h.Have, h.Prefix = false, *new(Acc)
	start := h.Last
	if h.Next != MaxTime {
		start = t.peek(k, h, h.Next).Before
	}
	for behind := (*pane[Acc])(nil); start >= max(block, h.First); start = behind.Before {
		p := t.at(k, h, start)
		if behind != nil {
			t.agg.Merge(&p.Acc, behind.Acc)
		}
		behind = p
	}
}

// drop removes the panes that begin before a time.
func (t *slidingTask[K, In, Acc, O, A]) drop(k mmapstate.Key, h *panes[Acc], before Time) {
	for h.First < before {
		if h.First == h.Last {
			h.First = MaxTime
			return
		}
		at := k.With(uint64(h.First), &t.scratch)
		h.First = (*pane[Acc])(t.older.Peek(at)).After
		t.older.Delete(at)
	}
}
