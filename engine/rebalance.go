package engine

// Rebalance deals the records of a stream out to the subtasks that read it, one to each in turn, whatever subtask they come
// from: work that is uneven between the splits of a source becomes even. Records lose their order. It runs in
// Options.Parallelism subtasks, or in as many as [Stream.Parallelism] says; what reads it follows.
func Rebalance[T any](in Stream[T]) Stream[T] {
	n := in.from.node.job.add("rebalance", "", in.from)
	e := n.ins[0]
	e.way = inTurn
	forward[T](e)
	out := n.output("", in.from.timed)
	n.build = func(st *subtask) { take(st, e, n, makeOutlet[T](st, out).send) }
	return Stream[T]{out}
}
