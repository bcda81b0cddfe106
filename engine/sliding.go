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

// pane is the fold of one pane, and in a complete block of the panes behind it, too.
type pane[Acc any] struct {
	Next Time // in a complete block: where the next pane that exists begins; MaxTime if none does
	Acc  Acc
}

// panes is what a key's panes have in common.
type panes[Acc any] struct {
	Next   Time // panes before it are in the prefix or in the complete block; MaxTime while idle
	First  Time // of the complete block, the first pane that a window may still need; MaxTime if there is none
	Count  int32
	Have   bool // the prefix has something
	Prefix Acc  // of the current block
}

// idle says that no window holds a pane that was folded.
func (p *panes[Acc]) idle() bool { return !p.Have && p.First == MaxTime }

// slidingTask is an Aggregate operator over sliding windows in one subtask.
type slidingTask[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]] struct {
	*windowOp[K, In, O]
	size, slide, pane Time
	agg               A
	heads             *mmapstate.Cells // by key: panes
	accs              *mmapstate.Cells // by (key, start of the pane): pane
}

func newSlidingTask[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]](w *windowOp[K, In, O], agg A) *slidingTask[K, In, Acc, O, A] {
	t := &slidingTask[K, In, Acc, O, A]{windowOp: w, agg: agg, size: Time(w.assign.size), slide: Time(w.assign.slide)}
	t.pane = gcd(t.size, t.slide)
	t.heads = must(w.store.Cells("panes", w.shape, int(unsafe.Sizeof(panes[Acc]{})), must(flatWindow[panes[Acc]]())))
	t.accs = must(w.store.Cells("accumulators", w.shape.With(), int(unsafe.Sizeof(pane[Acc]{})), must(flatWindow[pane[Acc]]())))
	return t
}

// flatWindow is the fingerprint of what a window keeps.
func flatWindow[T any]() (string, error) { return mmapstate.FlatFingerprint(reflect.TypeFor[T]()) }

func gcd(a, b Time) Time {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// floor is the greatest multiple of unit that is not after t.
func floor(t, unit Time) Time {
	in := t % unit
	if in < 0 {
		in += unit
	}
	return t - in
}

// firstEnd is the end of the first window that ends after t.
func (t *slidingTask[K, In, Acc, O, A]) firstEnd(at Time) Time {
	return floor(at-t.size, t.slide) + t.slide + t.size
}

// last is the last window that a record at a time belongs to.
func (t *slidingTask[K, In, Acc, O, A]) last(at Time) Span {
	start := floor(at, t.slide)
	return Span{start, start + t.size}
}

func (t *slidingTask[K, In, Acc, O, A]) onRecord(r *keyed[K, In]) {
	t.take(r)
	if r.at < MinTime+2*t.size || r.at > MaxTime-2*t.size {
		t.outOfRange(r)
	}
	if t.last(r.at).End-1 <= t.watermark {
		t.tooLate(r)
		return
	}
	t.ctx.live = true
	k, start := t.keyOf(r), floor(r.at, t.pane)
	p, created := t.accs.RefOrCreate(k.With(uint64(start), &t.scratch))
	acc := (*pane[Acc])(p)
	if created {
		t.newPane(k, start)
	}
	if t.firstEnd(start)-1 > t.watermark || !t.addFolded(k, start, created, r.val) {
		t.agg.Add(&acc.Acc, r.val)
	}
	t.ctx.live = false
}

func (t *slidingTask[K, In, Acc, O, A]) hint(r *keyed[K, In]) {
	k := mmapstate.Key{Hash: r.hash, Group: r.group}
	t.hints = append(t.hints, k.Hinted(uint64(floor(r.at, t.pane))))
}

// newPane counts a pane and sees to it that the first window that is still to close and holds it does.
func (t *slidingTask[K, In, Acc, O, A]) newPane(k mmapstate.Key, start Time) {
	p, created := t.heads.RefOrCreate(k)
	h := (*panes[Acc])(p)
	if created {
		h.Next, h.First = MaxTime, MaxTime
	}
	h.Count++
	if h.idle() {
		h.Next = min(h.Next, start)
	}
	t.ends.Insert(k, int64(t.firstEnd(max(start, t.watermark+1))))
}

// addFolded adds a record to a pane that windows have closed over while others have not: to all that it was folded into.
// It is false if it was folded into nothing.
func (t *slidingTask[K, In, Acc, O, A]) addFolded(k mmapstate.Key, start Time, created bool, v In) bool {
	h := (*panes[Acc])(t.heads.Ref(k))
	if h.idle() || start >= h.Next {
		return false
	}
	if start >= floor(h.Next, t.size) {
		var acc Acc
		t.agg.Add(&acc, v)
		t.fold(h, acc)
		t.agg.Add(&t.at(k, start).Acc, v)
		return true
	}
	before := &h.First
	for at := h.First; at < start; at = *before {
		p := t.at(k, at)
		t.agg.Add(&p.Acc, v)
		before = &p.Next
	}
	p := t.at(k, start)
	if created {
		if p.Next = *before; p.Next != MaxTime {
			p.Acc = t.at(k, p.Next).Acc
		}
		*before = start
	}
	t.agg.Add(&p.Acc, v)
	return true
}

// at is a pane that exists, to be written.
func (t *slidingTask[K, In, Acc, O, A]) at(k mmapstate.Key, start Time) *pane[Acc] {
	return (*pane[Acc])(t.accs.Ref(k.With(uint64(start), &t.scratch)))
}

func (t *slidingTask[K, In, Acc, O, A]) advance(w Time) { t.windowOp.advance(w, t.fire) }

// fire closes the window of a key that ends at a time.
func (t *slidingTask[K, In, Acc, O, A]) fire(end Time, k mmapstate.Key) {
	span := Span{end - t.size, end}
	t.closing(k, span)
	at := t.heads.Peek(k)
	if at == nil {
		t.fail(fmt.Errorf("window %s is open but has no panes", span))
	}
	h := *(*panes[Acc])(at)
	t.foldUntil(k, &h, end)
	t.dropBefore(k, &h, span.Start)
	acc, ok := t.total(k, &h)
	t.dropBefore(k, &h, span.Start+t.slide)
	t.keep(k, &h, end)
	if ok {
		result := t.agg.Result(t.key, span, acc)
		t.ctx.live = false
		t.out.push(result, end-1)
	}
	t.ctx.live = false
}

// keep stores what the key's panes have in common, if there are any left, and opens the next window if it holds some of
// them.
func (t *slidingTask[K, In, Acc, O, A]) keep(k mmapstate.Key, h *panes[Acc], end Time) {
	switch {
	case !h.idle():
		t.ends.Insert(k, int64(end+t.slide))
	case h.Count == 0:
		t.heads.Delete(k)
		return
	default:
		h.Next = MaxTime // the next pane may be far away: the way there is not gone pane by pane
	}
	*(*panes[Acc])(t.heads.Ref(k)) = *h
}

// foldUntil takes the panes before a window's end into the prefix, and completes blocks that end on the way.
func (t *slidingTask[K, In, Acc, O, A]) foldUntil(k mmapstate.Key, h *panes[Acc], end Time) {
	start := h.Next
	if h.idle() {
		start = min(start, end-t.slide) // what lies before is in no window that is still open
	}
	for ; start < end; start += t.pane {
		if p := t.accs.Peek(k.With(uint64(start), &t.scratch)); p != nil {
			t.fold(h, (*pane[Acc])(p).Acc)
		}
		if next := start + t.pane; floor(next, t.size) == next {
			t.complete(k, h, next)
		}
	}
	h.Next = end
}

// fold takes a pane into the prefix.
func (t *slidingTask[K, In, Acc, O, A]) fold(h *panes[Acc], acc Acc) {
	if !h.Have {
		h.Prefix, h.Have = acc, true
		return
	}
	t.agg.Merge(&h.Prefix, acc)
}

// complete makes the current block, which ends at a time, the complete one. No window needs the one before any more.
func (t *slidingTask[K, In, Acc, O, A]) complete(k mmapstate.Key, h *panes[Acc], end Time) {
	h.Have, h.Prefix = false, *new(Acc)
	var behind Acc
	for start := end - t.pane; start >= end-t.size; start -= t.pane {
		if t.accs.Peek(k.With(uint64(start), &t.scratch)) == nil {
			continue
		}
		p := t.at(k, start)
		if p.Next = h.First; p.Next != MaxTime {
			t.agg.Merge(&p.Acc, behind)
		}
		behind, h.First = p.Acc, start
	}
}

// dropBefore removes the panes of the complete block that begin before a time.
func (t *slidingTask[K, In, Acc, O, A]) dropBefore(k mmapstate.Key, h *panes[Acc], start Time) {
	for h.First < start {
		at := k.With(uint64(h.First), &t.scratch)
		h.First = (*pane[Acc])(t.accs.Peek(at)).Next
		t.accs.Delete(at)
		h.Count--
	}
}

// total is the fold of the window that was made ready; ok is false if it is empty.
func (t *slidingTask[K, In, Acc, O, A]) total(k mmapstate.Key, h *panes[Acc]) (acc Acc, ok bool) {
	if h.First == MaxTime {
		return h.Prefix, h.Have
	}
	acc = (*pane[Acc])(t.accs.Peek(k.With(uint64(h.First), &t.scratch))).Acc
	if h.Have {
		t.agg.Merge(&acc, h.Prefix)
	}
	return acc, true
}

func (t *slidingTask[K, In, Acc, O, A]) snapshot(a *ack) error { return t.freeze(a) }
