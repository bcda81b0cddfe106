package engine

import (
	"errors"
	"slices"

	"github.com/pagetide/pagetide/mmapstate"
)

// fresh is a pane that has taken a record in since its windows gave early results. Those of a key are a list, which
// begins under the key and MinTime.
type fresh struct {
	Next Time // MaxTime if there is none
	Due  Time // where the list begins: when the windows give early results
}

// isFresh sees to early results of the windows that hold a pane.
func (t *slidingTask[K, In, Acc, O, A]) isFresh(k mmapstate.Key, h *panes[Acc], start Time) {
	if start == h.Last {
		h.Fresh = true
	}
	at, created := t.fresh.RefOrCreate(k.With(uint64(start), &t.scratch))
	if !created {
		return
	}
	(*fresh)(at).Next = MaxTime
	front := MinTime
	list, none := t.fresh.RefOrCreate(k.With(uint64(front), &t.scratch))
	f := (*fresh)(list)
	if none {
		f.Next, f.Due = MaxTime, t.core.tick()
		t.core.woken.Insert(k, int64(f.Due))
	}
	after := f.Next
	f.Next = start
	(*fresh)(t.fresh.Ref(k.With(uint64(start), &t.scratch))).Next = after
}

// wake implements firing: it gives the early results of a key's open windows that have taken a record in.
func (t *slidingTask[K, In, Acc, O, A]) wake(at Time, k mmapstate.Key) {
	starts, _ := t.takeFresh(k)
	h := (*panes[Acc])(t.heads.cells.Ref(k))
	if !h.Live || len(starts) == 0 {
		t.closing(k, Span{})
		t.fail(errors.New("a window with an early result is not there"))
	}
	h.Fresh = false
	t.sweep.begin(h.First, t.floor(h.Folded, t.size))
	end := MinTime
	for _, start := range starts {
		end = max(end, t.firstEnd(max(start, t.core.mark+1)))
		for last := t.lastEnd(start); end <= last; end += t.slide {
			span := Span{end - t.size, end}
			t.closing(k, span)
			t.soFar(k, h, span)
			t.emitSum(span)
		}
	}
}

// notFresh takes back what isFresh has done for a key.
func (t *slidingTask[K, In, Acc, O, A]) notFresh(k mmapstate.Key) {
	if t.fresh == nil {
		return
	}
	if starts, due := t.takeFresh(k); len(starts) > 0 {
		t.core.woken.Delete(k, int64(due))
	}
}

// takeFresh removes the list of a key's panes that are fresh, and gives them in order.
func (t *slidingTask[K, In, Acc, O, A]) takeFresh(k mmapstate.Key) (starts []Time, due Time) {
	starts = t.sweep.starts[:0]
	for at := MinTime; at != MaxTime; {
		key := k.With(uint64(at), &t.scratch)
		p := (*fresh)(t.fresh.Peek(key))
		if p == nil {
			break
		}
		f := *p
		t.fresh.Delete(key)
		if at == MinTime {
			due = f.Due
		} else {
			starts = append(starts, at)
		}
		at = f.Next
	}
	slices.Sort(starts)
	t.sweep.starts = starts
	return starts, due
}

// sweep folds one window of a key after the other in order of time, as they are so far. Panes of the current block and
// those that are not folded yet are a queue of two stacks: a pane is merged at most twice, however many windows hold it.
type sweep[Acc any] struct {
	starts   []Time // of fresh panes
	panes    []soFar[Acc]
	next     Time // the pane that comes behind them
	block    Time // where the current block begins
	complete int  // panes before it: folded with all that follow them in their block
	first    int  // pane of the window
	folded   int  // panes before it and from the current block on are folded with those between
	rest     Acc  // the fold of panes from there on
	some     bool // there are any
}

type soFar[Acc any] struct {
	start Time
	acc   Acc
}

func (s *sweep[Acc]) begin(first, block Time) {
	*s = sweep[Acc]{starts: s.starts, panes: s.panes[:0], next: first, block: block}
}

// soFar leaves the fold of a window, which must not be before the last one.
func (t *slidingTask[K, In, Acc, O, A]) soFar(k mmapstate.Key, h *panes[Acc], w Span) {
	s := &t.sweep
	t.reach(k, h, w.End)
	for s.first < len(s.panes) && s.panes[s.first].start < w.Start {
		s.first++
	}
	current := max(s.first, s.complete)
	if current > s.folded {
		t.flip(current)
	}
	none := true
	if s.first < s.complete {
		t.put(s.panes[s.first].acc, &none)
	}
	if current < s.folded {
		t.put(s.panes[current].acc, &none)
	}
	if s.some {
		t.put(s.rest, &none)
	}
	if none {
		t.fail(errors.New("a window with an early result has no panes"))
	}
}

// put merges into the sum, or begins it.
func (t *slidingTask[K, In, Acc, O, A]) put(acc Acc, none *bool) {
	if *none {
		t.sum, *none = acc, false
		return
	}
	t.agg.Merge(&t.sum, acc)
}

// reach reads the panes before a time.
func (t *slidingTask[K, In, Acc, O, A]) reach(k mmapstate.Key, h *panes[Acc], end Time) {
	s := &t.sweep
	for s.next < end {
		p := t.peek(k, h, s.next)
		s.panes = append(s.panes, soFar[Acc]{s.next, p.Acc})
		switch {
		case s.next < s.block:
			s.complete = len(s.panes)
			s.folded = s.complete
		case s.some:
			t.agg.Merge(&s.rest, p.Acc)
		default:
			s.rest, s.some = p.Acc, true
		}
		s.next = p.After
	}
}

// flip folds the panes from one on with those behind them.
func (t *slidingTask[K, In, Acc, O, A]) flip(from int) {
	s := &t.sweep
	for i := len(s.panes) - 2; i >= from; i-- {
		t.agg.Merge(&s.panes[i].acc, s.panes[i+1].acc)
	}
	s.folded, s.rest, s.some = len(s.panes), *new(Acc), false
}
