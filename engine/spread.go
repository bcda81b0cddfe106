package engine

// spreadSender sends the records of one subtask to all subtasks of another task: one to each in turn, or every one to all.
type spreadSender[T any] struct {
	*route
	open []*timedBatch[T] // by subtask
	home chan *timedBatch[T]
	next int // whose turn it is
}

// spread lets a subtask send what goes along an edge to all subtasks. Those that deal out begin with different ones, so that
// the first is not given more than others.
func spread[T any](e *edge, st *subtask, r *route) {
	n := len(r.inbox)
	s := &spreadSender[T]{route: r, open: make([]*timedBatch[T], n), home: make(chan *timedBatch[T], n*(queueDepth+2)), next: st.index % n}
	st.senders = append(st.senders, s)
	if r.way == toAll {
		listenTo(st, e.from, s.copy)
		return
	}
	listenTo(st, e.from, s.deal)
}

func (s *spreadSender[T]) deal(r stretch[T]) {
	for i := range r.recs {
		b := s.batch(s.next)
		b.recs, b.at = append(b.recs, r.recs[i]), append(b.at, r.at[i])
		if b.full() {
			s.sendTo(s.next)
		}
		if s.next++; s.next == len(s.open) {
			s.next = 0
		}
	}
}

func (s *spreadSender[T]) copy(r stretch[T]) {
	for to := range s.open {
		for rest := r; len(rest.recs) > 0; {
			b := s.batch(to)
			if rest = b.add(rest); b.full() {
				s.sendTo(to)
			}
		}
	}
}

func (s *spreadSender[T]) batch(to int) *timedBatch[T] {
	if s.open[to] == nil {
		s.open[to] = batchFrom(s.home)
	}
	return s.open[to]
}

func (s *spreadSender[T]) sendTo(to int) {
	b := s.open[to]
	s.open[to] = nil
	s.put(to, message{kind: msgBatch, batch: b})
}

func (s *spreadSender[T]) flush() {
	for to, b := range s.open {
		if b != nil {
			s.sendTo(to)
		}
	}
}

func (s *spreadSender[T]) send(m message) {
	s.flush()
	for to := range s.inbox {
		s.put(to, m)
	}
}
