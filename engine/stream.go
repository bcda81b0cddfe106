package engine

import "github.com/pagetide/pagetide/meta"

// Stream is a flow of records of one type. Streams are values; using one twice sends every record both ways.
type Stream[T any] struct{ from *port }

// Parallelism sets in how many subtasks the operator that the stream comes from runs: at least one, at most as many as
// there are key groups. Without it a source, an operator by key and [Rebalance] run in Options.Parallelism subtasks, and
// everything else in as many as the operator that it reads from, so that records go on in their subtask, in order. Where an
// operator of another parallelism reads them, they are dealt out to its subtasks in turn. A sink runs in as many
// subtasks as the operator before it.
//
// The number may differ between two runs of a job.
func (s Stream[T]) Parallelism(n int) Stream[T] {
	of := s.from.node
	if n < 1 || n > meta.MaxKeyGroups {
		of.job.mistake("%s: parallelism %d: want 1 to %d", of.label(), n, meta.MaxKeyGroups)
		return s
	}
	of.parallelism = n
	return s
}

// Keyed is a stream whose records belong to keys. Records of one key meet in one subtask, in order.
type Keyed[K comparable, T any] struct {
	from *port
	key  func(T) K
}

// Map sends f(record) for every record. Like all functions of the graph, f is called by several subtasks at once if the
// parallelism is above one, and again for the same record after a restart; a panic in it ends the attempt.
func Map[T, U any](in Stream[T], f func(T) U) Stream[U] {
	n := in.from.node.job.add("map", "", in.from)
	n.wants(f != nil, "function")
	forward[T](n.ins[0])
	out := n.output("", in.from.timed)
	n.build = func(st *subtask) {
		to := makeOutlet[U](st, out)
		h := handFor[T](st, n.label())
		mapped, used := make([]U, batchSize), newSpent[U]()
		take(st, n.ins[0], n, func(s stretch[T]) {
			us := mapped[:len(s.recs)]
			h.take(s.recs)
			for i := range s.recs {
				h.i = i
				us[i] = f(s.recs[i])
			}
			h.done()
			to.send(stretch[U]{us, s.at})
			used.clear(us)
		})
	}
	return Stream[U]{out}
}

// Filter sends the records for which keep is true.
func Filter[T any](in Stream[T], keep func(T) bool) Stream[T] {
	n := in.from.node.job.add("filter", "", in.from)
	n.wants(keep != nil, "function")
	forward[T](n.ins[0])
	out := n.output("", in.from.timed)
	n.build = func(st *subtask) {
		to := makeOutlet[T](st, out)
		h := handFor[T](st, n.label())
		take(st, n.ins[0], n, func(s stretch[T]) { to.sift(s, h, keep) })
	}
	return Stream[T]{out}
}

// FlatMap lets f emit any number of records for each one. They carry its event time. An error ends the attempt.
func FlatMap[T, U any](in Stream[T], f func(T, Out[U]) error) Stream[U] {
	n := in.from.node.job.add("flatmap", "", in.from)
	n.wants(f != nil, "function")
	forward[T](n.ins[0])
	out := n.output("", in.from.timed)
	n.build = func(st *subtask) {
		to := makeOutlet[U](st, out)
		var now Time
		emit := Out[U]{to: to, now: &now}
		h := handFor[T](st, n.label())
		take(st, n.ins[0], n, func(s stretch[T]) {
			h.take(s.recs)
			for i := range s.recs {
				h.i, now = i, s.at[i]
				if err := f(s.recs[i], emit); err != nil {
					panic(&OperatorError{UID: h.uid, Record: printed(s.recs[i]), Err: err})
				}
			}
			h.done()
		})
	}
	return Stream[U]{out}
}

// KeyBy assigns records to keys. A key is a string, an integer, or a flat struct without padding and floats; key must
// depend on nothing but its argument.
func KeyBy[K comparable, T any](in Stream[T], key func(T) K) Keyed[K, T] {
	if key == nil {
		in.from.node.job.mistake("key by: no function")
	}
	return Keyed[K, T]{from: in.from, key: key}
}

// SideOutput is the stream that the operator behind of fills through [NewSide] with the same tag.
func SideOutput[T, O any](of Stream[O], tag Side[T]) Stream[T] {
	n := of.from.node
	name := sideName(tag)
	for _, p := range n.out {
		if p.name == name {
			p.used = true
			return Stream[T]{p}
		}
	}
	n.job.mistake("%s has no side output %q of %T", n.label(), string(tag), *new(T))
	p := n.output(name, of.from.timed)
	return Stream[T]{p}
}
