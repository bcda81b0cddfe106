package engine

// Union sends the records of several streams down one. Records of one stream keep their order; the time of the union is
// the least of theirs.
func Union[T any](in ...Stream[T]) Stream[T] {
	if len(in) == 0 {
		panic("engine: Union of no streams belongs to no job")
	}
	var ports []*port
	for _, s := range in {
		ports = append(ports, s.from)
	}
	n := in[0].from.node.job.add("union", "", ports...)
	for _, e := range n.ins {
		forward[T](e)
	}
	out := n.output("", n.timed())
	n.build = func(st *subtask) {
		to := makeOutlet[T](st, out)
		for _, e := range n.ins {
			take(st, e, n, to.send)
		}
	}
	return Stream[T]{out}
}
