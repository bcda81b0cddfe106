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

// outlet is a port in one subtask: it calls what listens, in the same goroutine.
type outlet[T any] struct {
	first func(T, Time) // nearly always the only one
	rest  []func(T, Time)
	count int64 // records pushed
}

func (o *outlet[T]) push(v T, at Time) {
	o.count++
	if o.first == nil {
		return
	}
	o.first(v, at)
	for _, f := range o.rest {
		f(v, at)
	}
}

func (o *outlet[T]) listen(f func(T, Time)) {
	if o.first == nil {
		o.first = f
		return
	}
	o.rest = append(o.rest, f)
}

func (o *outlet[T]) pushed() int64 { return o.count }

// makeOutlet creates the outlet of a port of the node that is being built.
func makeOutlet[T any](st *subtask, p *port) *outlet[T] {
	o := &outlet[T]{}
	st.outlets[p] = o
	return o
}

// listen connects the node that is being built to the port it reads in the same subtask.
func listen[T any](st *subtask, p *port, f func(T, Time)) {
	st.outlets[p].(*outlet[T]).listen(f)
}

// printed shows a record in messages, shortened.
func printed(v any) string {
	s := fmt.Sprintf("%+v", v)
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
