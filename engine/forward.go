package engine

// timed is a record with its event time.
type timed[T any] struct {
	val T
	at  Time
}

// timedBatch crosses from a subtask to its counterpart in another task. Its receiver gives it back to its sender.
type timedBatch[T any] struct {
	recs []timed[T]
	home chan *timedBatch[T]
}

// forwardSender sends the records of one subtask to one other.
type forwardSender[T any] struct {
	*route
	open *timedBatch[T]
	home chan *timedBatch[T]
}

// forward makes an edge one that leads from each subtask to its counterpart.
func forward[T any](e *edge) {
	e.send = func(st *subtask, r *route) {
		s := &forwardSender[T]{route: r, home: make(chan *timedBatch[T], queueDepth+2)}
		st.senders = append(st.senders, s)
		listen(st, e.from, s.push)
	}
}

func (s *forwardSender[T]) push(v T, at Time) {
	if s.open == nil {
		s.open = s.batch()
	}
	s.open.recs = append(s.open.recs, timed[T]{v, at})
	if len(s.open.recs) == cap(s.open.recs) {
		s.flush()
	}
}

func (s *forwardSender[T]) batch() *timedBatch[T] {
	select {
	case b := <-s.home:
		return b
	default:
		return &timedBatch[T]{recs: make([]timed[T], 0, batchSize), home: s.home}
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
func take[T any](st *subtask, e *edge, n *node, use func(T, Time)) {
	if st.plan.head != n {
		listen(st, e.from, use)
		return
	}
	st.receive(e, func(batch any) {
		b := batch.(*timedBatch[T])
		for i := range b.recs {
			use(b.recs[i].val, b.recs[i].at)
		}
		st.received += int64(len(b.recs))
		b.release()
	})
}

// release gives a batch back to its sender, or to the garbage collector if there are plenty.
func (b *timedBatch[T]) release() {
	clear(b.recs)
	b.recs = b.recs[:0]
	select {
	case b.home <- b:
	default:
	}
}
