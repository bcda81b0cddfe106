package engine

import (
	"fmt"
	"unsafe"

	"github.com/pagetide/pagetide/mmapstate"
)

// tumblingTask is an Aggregate operator over tumbling windows in one subtask: an accumulator by (key, start of the window).
type tumblingTask[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]] struct {
	*windowOp[K, In, O]
	agg  A
	accs *mmapstate.Cells
}

func newTumblingTask[K comparable, In, Acc, O any, A Aggregator[K, In, Acc, O]](w *windowOp[K, In, O], agg A) *tumblingTask[K, In, Acc, O, A] {
	t := &tumblingTask[K, In, Acc, O, A]{windowOp: w, agg: agg}
	t.accs = must(w.store.Cells("accumulators", w.shape.With(), int(unsafe.Sizeof(*new(Acc))), must(flatWindow[Acc]())))
	return t
}

func (t *tumblingTask[K, In, Acc, O, A]) onRecord(r *keyed[K, In]) {
	t.take(r)
	w, ok := t.assign.window(r.at)
	if !ok {
		t.outOfRange(r, 0)
	}
	if w.End-1 <= t.watermark {
		t.tooLate(r)
		return
	}
	t.ctx.live = true
	k := t.keyOf(r)
	acc, created := t.accs.RefOrCreate(k.With(uint64(w.Start), &t.scratch))
	if created {
		t.ends.Insert(k, int64(w.End))
	}
	t.agg.Add((*Acc)(acc), r.val)
	t.ctx.live = false
}

// hint prepares the look at a record's accumulator.
func (t *tumblingTask[K, In, Acc, O, A]) hint(r *keyed[K, In]) {
	w, _ := t.assign.window(r.at)
	k := mmapstate.Key{Hash: r.hash, Group: r.group}
	t.hints = append(t.hints, k.Hinted(uint64(w.Start)))
}

func (t *tumblingTask[K, In, Acc, O, A]) advance(w Time) { t.windowOp.advance(w, t.fire) }

func (t *tumblingTask[K, In, Acc, O, A]) fire(end Time, k mmapstate.Key) {
	span := Span{end.Add(-t.assign.size), end}
	t.closing(k, span)
	at := k.With(uint64(span.Start), &t.scratch)
	p := t.accs.Peek(at)
	if p == nil {
		t.fail(fmt.Errorf("window %s is open but has no accumulator", span))
	}
	acc := *(*Acc)(p)
	t.accs.Delete(at)
	result := t.agg.Result(t.key, span, acc)
	t.ctx.live = false
	t.out.push(result, end-1)
}

func (t *tumblingTask[K, In, Acc, O, A]) snapshot(a *ack) error { return t.freeze(a) }
