package engine

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// A record of a sliding window is folded once, into the pane that it falls into: the greatest stretch of time that
// divides size and slide. Panes are cut into blocks of a window's size. Any window is then the end of one block and the
// beginning of the next,
//
//	blocks     |-- complete ---------|-- current ---------|
//	panes      | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |
//	window             |<------------------>|              = 2..4 of the one, 5..7 of the other
//
// and both are kept folded: a pane of a complete block has taken in all that follow it there; the panes of the current
// block are folded into one prefix as windows close. So a window costs a merge or two, however many panes it has: each
// pane is merged into the prefix once, and once into its neighbour when its block is complete (van Herk's and Gil and
// Werman's algorithm for sliding minima, over a stream).
//
// The panes of a key are a list. The newest, which takes nearly all records, lies under the key, beside the prefix: a
// record costs one lookup. slidingpanes.go has the list, slidinglate.go what comes for windows that have fired, and
// slidingearly.go results of windows that have not.

// grid is where sliding windows and their panes lie. Those of tumbling windows are a special case.
type grid struct{ size, slide, pane, offset Time }

func gridOf(a Assigner) grid {
	g := grid{size: Time(a.size), slide: Time(a.step()), offset: Time(a.offset)}
	g.pane = gcd(g.size, g.slide)
	return g
}

func gcd(a, b Time) Time {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// flatWindow is the fingerprint of what a window keeps.
func flatWindow[T any]() (string, error) { return mmapstate.FlatFingerprint(reflect.TypeFor[T]()) }

// floor is the greatest multiple of unit that is not after t.
func floor(t, unit Time) Time {
	in := t % unit
	if in < 0 {
		in += unit
	}
	return t - in
}

// floor is where the stretch of time around t begins that is one of those as long as unit, which divides the grid.
func (g *grid) floor(t, unit Time) Time { return floor(t-g.offset, unit) + g.offset }

// firstEnd is the end of the first window that ends after a time.
func (g *grid) firstEnd(at Time) Time { return g.floor(at-g.size, g.slide) + g.slide + g.size }

// lastEnd is the end of the last window that a time belongs to.
func (g *grid) lastEnd(at Time) Time { return g.floor(at, g.slide) + g.size }

// slidingTask is an Aggregate operator over sliding windows in one subtask.
type slidingTask[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]] struct {
	*windowOp[K, In, O]
	grid
	core  *windowCore[K, Acc]
	agg   A
	heads *lookahead       // by key: panes
	older *mmapstate.Cells // by (key, start of the pane): pane
	fired *mmapstate.Cells // by (key, end): the fold of a window that late records may come to; nil without
	fresh *mmapstate.Cells // by (key, start of the pane): fresh; nil without early results
	sweep sweep[Acc]
	sum   Acc // of the window in hand
	_     apart
}

func newSlidingTask[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]](w *windowOp[K, In, O], r rule, agg A) *slidingTask[K, In, Acc, O, A] {
	t := &slidingTask[K, In, Acc, O, A]{windowOp: w, grid: gridOf(w.assign), core: newCore[K, Acc](w.windowBase, r), agg: agg}
	t.core.fires = t
	t.heads = w.ahead(must(w.store.Cells("panes", w.shape, int(unsafe.Sizeof(panes[Acc]{})), must(flatWindow[panes[Acc]]()))))
	t.older = must(w.store.Cells("older", w.shape.With(), int(unsafe.Sizeof(pane[Acc]{})), must(flatWindow[pane[Acc]]())))
	if r.lateness > 0 {
		t.fired = must(w.store.Cells("fired", w.shape.With(), int(unsafe.Sizeof(t.sum)), must(flatWindow[Acc]())))
	}
	if r.early {
		t.fresh = must(w.store.Cells("fresh", w.shape.With(), int(unsafe.Sizeof(fresh{})), must(flatWindow[fresh]())))
		t.core.woken = must(w.store.Index("woken", w.shape))
	}
	return t
}

func (t *slidingTask[K, In, Acc, O, A]) onRecord(r *keyed[K, In]) {
	if t.core.behind {
		t.core.catchUp()
	}
	t.take(r)
	r.at = t.core.timeOf(r.at)
	if r.at > t.core.mark {
		h := (*panes[Acc])(t.heads.cells.RefAt(&t.heads.found[t.place], t.ctx.key))
		if h.newest(r.at, t.pane) && (h.Fresh || !t.core.early) {
			t.ctx.live = true
			t.agg.Add(&h.Newest.Acc, r.val)
			t.ctx.live = false
			return
		}
	}
	t.elsewhere(r)
}

// elsewhere takes a record that does not belong to the newest pane alone.
func (t *slidingTask[K, In, Acc, O, A]) elsewhere(r *keyed[K, In]) {
	if t.core.outside(r.at) {
		t.outOfRange(r, t.core.lateness)
	}
	last := t.lastEnd(r.at)
	if t.core.dead(last) {
		t.tooLate(r)
		return
	}
	t.ctx.live = true
	if !t.core.over(last) {
		t.insert(*t.ctx.key, r)
	}
	if t.fired != nil && r.at <= t.core.mark {
		t.again(*t.ctx.key, r)
	}
	t.ctx.live = false
}

// insert adds a record for the windows that are open.
func (t *slidingTask[K, In, Acc, O, A]) insert(k mmapstate.Key, r *keyed[K, In]) {
	start := t.floor(r.at, t.pane)
	h := (*panes[Acc])(t.heads.cells.RefAt(&t.heads.found[t.place], t.ctx.key))
	if !h.Live {
		h.begin(start, t.floor(start, t.size))
	} else if start < h.Folded && h.First >= h.Folded {
		h.unfolded(t.floor(start, t.size))
	}
	p, created := t.open(k, h, start)
	if created {
		t.await(k, h, start)
	}
	if start >= h.Folded {
		t.agg.Add(&p.Acc, r.val)
	} else {
		t.addFolded(k, h, start, created, r.val)
	}
	if t.fresh != nil {
		t.isFresh(k, h, start)
	}
}

// await sees to it that the first window that is still to fire and holds a pane does. Each that fires sees to the next.
func (t *slidingTask[K, In, Acc, O, A]) await(k mmapstate.Key, h *panes[Acc], start Time) {
	if start >= h.End {
		return // there is one before
	}
	end := t.firstEnd(max(start, t.core.mark+1))
	if end >= h.End {
		return
	}
	if h.End != MaxTime {
		t.ends.Delete(k, int64(h.End))
	}
	h.End = end
	t.ends.Insert(k, int64(end))
}

// addFolded adds a record to a pane that windows have closed over while others have not: to all that it was folded into.
func (t *slidingTask[K, In, Acc, O, A]) addFolded(k mmapstate.Key, h *panes[Acc], start Time, created bool, v In) {
	p, block := t.at(k, h, start), t.floor(h.Folded, t.size)
	switch {
	case start >= block:
		t.agg.Add(&h.Prefix, v)
		h.Have = true
	case created && p.After < block:
		p.Acc = t.at(k, h, p.After).Acc
	}
	t.agg.Add(&p.Acc, v)
	if start < block {
		for at := h.First; at < start; {
			before := t.at(k, h, at)
			t.agg.Add(&before.Acc, v)
			at = before.After
		}
	}
}

// end implements firing: it closes the window of a key that ends at a time.
func (t *slidingTask[K, In, Acc, O, A]) end(end Time, k mmapstate.Key) {
	span := Span{end - t.size, end}
	t.closing(k, span)
	h := (*panes[Acc])(t.heads.cells.Ref(k))
	if !h.Live || h.End != end {
		t.fail(fmt.Errorf("window %s is open but has no panes", span))
	}
	t.fold(k, h, end)
	t.total(k, h, end)
	t.drop(k, h, span.Start+t.slide)
	t.next(k, h, end)
	if t.fired != nil {
		*(*Acc)(t.fired.Ref(k.With(uint64(end), &t.scratch))) = t.sum
		t.core.stays(k, end)
	}
	t.emitSum(span)
}

// next has the next window of a key fire that holds a pane, or forgets the key if there are none left.
func (t *slidingTask[K, In, Acc, O, A]) next(k mmapstate.Key, h *panes[Acc], end Time) {
	if h.First == MaxTime {
		t.notFresh(k)
		t.heads.cells.Delete(k)
		return
	}
	h.End = end + t.slide
	if h.First >= end { // it may be far away: the way there is not gone window by window
		h.End = t.firstEnd(h.First)
	}
	t.ends.Insert(k, int64(h.End))
}

// total leaves the fold of the window that was made ready.
func (t *slidingTask[K, In, Acc, O, A]) total(k mmapstate.Key, h *panes[Acc], end Time) {
	if h.First >= t.floor(end, t.size) {
		t.sum = h.Prefix
		return
	}
	t.sum = t.peek(k, h, h.First).Acc
	if h.Have {
		t.agg.Merge(&t.sum, h.Prefix)
	}
}

// emitSum emits the result of the window in hand.
func (t *slidingTask[K, In, Acc, O, A]) emitSum(span Span) {
	at := span.End - 1
	if t.assign.clock {
		at = 0
	}
	result := t.agg.Result(t.key, span, t.sum)
	t.ctx.live = false
	t.out.push(result, at)
}

func (t *slidingTask[K, In, Acc, O, A]) advance(w Time) { t.core.advance(w) }

func (t *slidingTask[K, In, Acc, O, A]) finish() {}

func (t *slidingTask[K, In, Acc, O, A]) snapshot(a *ack) error { return t.freeze(a) }
