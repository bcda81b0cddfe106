package engine

import "github.com/pagetide/pagetide/mmapstate"

// A window that late records may come to keeps its fold when it fires. A late record is added to those that it belongs to,
// and each fires again: that costs as much as it has results, however many panes a window has.

// again adds a record to its windows that are over, and fires them.
func (t *slidingTask[K, In, Acc, O, A]) again(k mmapstate.Key, r *keyed[K, In]) {
	last := t.lastEnd(r.at)
	for end := t.firstEnd(max(r.at, t.core.mark.Add(1).Add(-t.core.lateness))); end <= last && t.core.over(end); end += t.slide {
		p, created := t.fired.RefOrCreate(k.With(uint64(end), &t.scratch))
		acc := (*Acc)(p)
		t.take(r)
		t.ctx.live = true
		t.agg.Add(acc, r.val)
		if t.sum = *acc; created {
			t.core.stays(k, end)
		}
		span := Span{end - t.size, end}
		t.closing(k, span)
		t.emitSum(span)
	}
}

// retire implements firing: no late record comes to a window any more.
func (t *slidingTask[K, In, Acc, O, A]) retire(at Time, k mmapstate.Key) {
	t.fired.Delete(k.With(uint64(at.Add(-t.core.lateness)), &t.scratch))
}
