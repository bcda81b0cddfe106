package engine

import (
	"iter"

	"github.com/pagetide/pagetide/mmapstate"
)

// ProcessWindow keeps the records of each window until it fires, and hands f all of them: in the order in which they came;
// those of a sliding window by its stretches of time, as many as divide size and slide, of sessions that were joined one
// session after the other, the oldest first. A record is kept once, however many windows it belongs to: flat types as they
// are, others through CBOR, as in a [ListState]. A result costs as much as its window has records; a record of a sliding
// window is so read size/slide times. What f emits carries the time that the result of [Aggregate] would. f is
// shared by all subtasks; recs may be walked more than once, but not after f has returned; an error ends the attempt.
//
// An aggregate keeps less: prefer it where it can do the work.
func ProcessWindow[K comparable, In, O any](w Windowed[K, In], uid string, f func(ctx *Context, key K, w Span, recs iter.Seq[In], out Out[O]) error) Stream[O] {
	out, ok := w.begin("process window", uid)
	if !ok {
		return Stream[O]{out}
	}
	n := w.node
	n.wants(f != nil, "function")
	checkElements[In](n)
	n.declared = append(n.declared, "records: "+typeOf[In]())
	n.build = func(st *subtask) {
		op := newWindowOp[K, In, O](st, w, out)
		e := newElements[In](op.keyedOp, "", w.assign.kind == kindSession)
		newWindowTask(op, w, &lists[K, In, O]{elements: e, to: Out[O]{op.out, &op.ctx.time}, f: f}).run(w)
	}
	return Stream[O]{out}
}

// lists is content that is handed to a function of the user's.
type lists[K comparable, In, O any] struct {
	*elements[In]
	to Out[O]
	f  func(*Context, K, Span, iter.Seq[In], Out[O]) error
}

func (l *lists[K, In, O]) add(k mmapstate.Key, id Time, b *bag, r *keyed[K, In]) {
	l.elements.add(k, id, b, r.val)
}

func (l *lists[K, In, O]) emit(k mmapstate.Key, key K, w Span, parts []bag) {
	if err := l.f(&l.op.ctx, key, w, l.all(k, parts...), l.to); err != nil {
		l.op.fail(err)
	}
}
