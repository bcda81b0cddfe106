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

// dealSender sends the records of one subtask to all subtasks of another task, one to each in turn.
type dealSender[T any] struct {
	*route
	open []*timedBatch[T] // by subtask
	home chan *timedBatch[T]
	next int // whose turn it is
}

// deal lets a subtask deal out what goes along an edge. Subtasks begin with different ones, so that the first is not given
// more than others.
func deal[T any](e *edge, st *subtask, r *route) {
	n := len(r.inbox)
	s := &dealSender[T]{route: r, open: make([]*timedBatch[T], n), home: make(chan *timedBatch[T], n*(queueDepth+2)), next: st.index % n}
	st.senders = append(st.senders, s)
	listenTo(st, e.from, s.take)
}

func (s *dealSender[T]) take(r stretch[T]) {
	for i := range r.recs {
		b := s.open[s.next]
		if b == nil {
			b = batchFrom(s.home)
			s.open[s.next] = b
		}
		b.recs, b.at = append(b.recs, r.recs[i]), append(b.at, r.at[i])
		if b.full() {
			s.sendTo(s.next)
		}
		if s.next++; s.next == len(s.open) {
			s.next = 0
		}
	}
}

func (s *dealSender[T]) sendTo(to int) {
	b := s.open[to]
	s.open[to] = nil
	s.put(to, message{kind: msgBatch, batch: b})
}

func (s *dealSender[T]) flush() {
	for to, b := range s.open {
		if b != nil {
			s.sendTo(to)
		}
	}
}

func (s *dealSender[T]) send(m message) {
	s.flush()
	for to := range s.inbox {
		s.put(to, m)
	}
}
