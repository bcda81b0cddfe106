package engine

import "fmt"

// Out takes what a callback emits. It is valid within that callback only.
type Out[T any] struct {
	to  *outlet[T]
	now *Time
}

// Emit sends a record downstream. It carries the event time of the record or timer in hand.
func (o Out[T]) Emit(v T) { o.to.push(v, *o.now) }

// at is Emit with another time, which must not be before the operator's.
func (o Out[T]) at(t Time, v T) { o.to.push(v, t) }

// stretch is some records in a row, with their event times: what goes from operator to operator within a task, so that the
// cost of a step is paid once for many records. It belongs to the operator that sends it, and is valid, for reading, until
// the call returns that it was passed to.
type stretch[T any] struct {
	recs []T
	at   []Time // as many
}

// outlet is a port in one subtask: it calls what listens, in the same goroutine. Records are pushed one by one, or sent as
// a stretch.
type outlet[T any] struct {
	together  int // at most so many records go in a stretch
	listeners []func(stretch[T])
	open      stretch[T] // pushed and not sent yet; empty when the task waits or a watermark passes
	used      spent[T]
	count     int64 // records pushed and sent
	_         apart
}

func (o *outlet[T]) push(v T, at Time) {
	o.open.recs, o.open.at = append(o.open.recs, v), append(o.open.at, at)
	if len(o.open.recs) >= o.together {
		o.flush()
	}
}

// sift is a push of those records that are kept. It writes each and then counts it or not, because a branch that is taken now and
// then costs more than a copy.
func (o *outlet[T]) sift(s stretch[T], h *recordHand[T], keep func(T) bool) {
	if len(o.open.recs)+len(s.recs) > cap(o.open.recs) {
		o.flush()
		o.room(len(s.recs))
	}
	from := len(o.open.recs)
	recs, at := o.open.recs[from:from+len(s.recs)], o.open.at[from:from+len(s.recs)]
	n := 0
	h.take(s.recs)
	for i := range s.recs {
		h.i = i
		recs[n], at[n] = s.recs[i], s.at[i]
		if keep(s.recs[i]) {
			n++
		}
	}
	h.done()
	o.used.clear(recs[n:])
	o.open.recs, o.open.at = o.open.recs[:from+n], o.open.at[:from+n]
	if from+n >= o.together {
		o.flush()
	}
}

// room has the outlet keep at least so many records. It is empty.
func (o *outlet[T]) room(n int) {
	if n = max(n, batchSize); n > cap(o.open.recs) || n > cap(o.open.at) {
		o.open = stretch[T]{make([]T, 0, n), make([]Time, 0, n)}
	}
}

// send passes a stretch on, behind what was pushed.
func (o *outlet[T]) send(s stretch[T]) {
	o.flush()
	o.pass(s)
}

// flush sends what was pushed.
func (o *outlet[T]) flush() {
	o.pass(o.open)
	o.used.clear(o.open.recs)
	o.open.recs, o.open.at = o.open.recs[:0], o.open.at[:0]
}

func (o *outlet[T]) pass(s stretch[T]) {
	if len(s.recs) == 0 {
		return
	}
	o.count += int64(len(s.recs))
	for _, f := range o.listeners {
		f(s)
	}
}

func (o *outlet[T]) pushed() int64 { return o.count + int64(len(o.open.recs)) }

// makeOutlet creates the outlet of a port of the node that is being built.
func makeOutlet[T any](st *subtask, p *port) *outlet[T] {
	o := &outlet[T]{together: st.together, used: newSpent[T]()}
	st.outlets[p] = o
	st.flushes = append(st.flushes, o)
	return o
}

// listenTo connects the node that is being built to the port it reads in the same subtask.
func listenTo[T any](st *subtask, p *port, f func(stretch[T])) {
	o := st.outlets[p].(*outlet[T])
	o.listeners = append(o.listeners, f)
}

// printed shows a record in messages, shortened.
func printed(v any) string {
	s := fmt.Sprintf("%+v", v)
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
