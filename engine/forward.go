package engine

// timedBatch crosses from task to task. Its receiver gives it back to its sender.
type timedBatch[T any] struct {
	stretch[T]
	used spent[T]
	home chan *timedBatch[T]
	_    apart
}

// batchFrom gives a batch that has come home, or a new one.
func batchFrom[T any](home chan *timedBatch[T]) *timedBatch[T] {
	select {
	case b := <-home:
		return b
	default:
		return &timedBatch[T]{stretch: stretch[T]{make([]T, 0, batchSize), make([]Time, 0, batchSize)}, used: newSpent[T](), home: home}
	}
}

// add appends as many of the records as there is room for, and returns the rest.
func (b *timedBatch[T]) add(s stretch[T]) (rest stretch[T]) {
	n := min(len(s.recs), cap(b.recs)-len(b.recs))
	b.recs, b.at = append(b.recs, s.recs[:n]...), append(b.at, s.at[:n]...)
	return stretch[T]{s.recs[n:], s.at[n:]}
}

func (b *timedBatch[T]) full() bool { return len(b.recs) == cap(b.recs) }

// forwardSender sends the records of one subtask to one other.
type forwardSender[T any] struct {
	*route
	open *timedBatch[T]
	home chan *timedBatch[T]
}

// forward makes an edge one that leads from each subtask to its counterpart, or spreads records as it says.
func forward[T any](e *edge) {
	e.send = func(st *subtask, r *route) {
		if r.way != forwarded {
			spread[T](e, st, r)
			return
		}
		s := &forwardSender[T]{route: r, home: make(chan *timedBatch[T], queueDepth+2)}
		st.senders = append(st.senders, s)
		listenTo(st, e.from, s.take)
	}
}

func (s *forwardSender[T]) take(r stretch[T]) {
	for len(r.recs) > 0 {
		if s.open == nil {
			s.open = batchFrom(s.home)
		}
		if r = s.open.add(r); s.open.full() {
			s.flush()
		}
	}
}

func (s *forwardSender[T]) flush() {
	if b := s.open; b != nil {
		s.open = nil
		s.put(0, message{kind: msgBatch, batch: b})
	}
}

func (s *forwardSender[T]) send(m message) {
	s.flush()
	s.put(0, m)
}

// take calls use with the records of an edge of the node that is being built: from the operator before it in the same
// task, or from another task.
func take[T any](st *subtask, e *edge, n *node, use func(stretch[T])) {
	if st.plan.head != n {
		listenTo(st, e.from, use)
		return
	}
	st.receive(e, func(batch any) {
		b := batch.(*timedBatch[T])
		for i := 0; i < len(b.recs); i += st.together {
			end := min(i+st.together, len(b.recs))
			use(stretch[T]{b.recs[i:end], b.at[i:end]})
		}
		st.received += int64(len(b.recs))
		b.release()
	})
}

// release gives a batch back to its sender, or to the garbage collector if there are plenty.
func (b *timedBatch[T]) release() {
	b.used.clear(b.recs)
	b.recs, b.at = b.recs[:0], b.at[:0]
	select {
	case b.home <- b:
	default:
	}
}
