package engine

// broadcast has every subtask of a node see all records of one of its edges.
func broadcast[R any](n *node, e *edge) {
	e.way = toAll
	forward[R](e)
	n.broadcasts = true
}

// broadcastOp is what operators with broadcast state have in common in one subtask. All subtasks have the same broadcast state
// when a barrier passes: they have seen the same rules. So a checkpoint has that of the first subtask, and all take it from
// there.
type broadcastOp[K comparable, R, O any] struct {
	*processOp[K, O]
	apply func(*Context, R, Out[O]) error // the user's OnBroadcast
	rule  *R                              // in hand, if a rule is
}

func newBroadcastOp[K comparable, R, O any](st *subtask, n *node, out *port) *broadcastOp[K, R, O] {
	p := &broadcastOp[K, R, O]{processOp: newProcessOp[K, O](st, n, out)}
	if n.shared != nil {
		p.shared = newKeyedOp(st, n.shared, p.shape)
	}
	return p
}

func (p *broadcastOp[K, R, O]) onBroadcast(s stretch[R]) {
	p.drain()
	p.stats.in.Add(int64(len(s.recs)))
	c := &p.ctx
	for i := range s.recs {
		c.time, c.rule, p.rule = s.at[i], true, &s.recs[i]
		if err := p.apply(c, s.recs[i], p.out); err != nil {
			p.fail(err)
		}
		c.rule = false
	}
	p.rule = nil
}

func (p *broadcastOp[K, R, O]) snapshot(a *ack) error {
	if err := p.freeze(a); err != nil {
		return err
	}
	if p.shared == nil || p.st.index > 0 {
		return nil
	}
	p.shared.watermark = p.watermark
	return p.shared.freeze(a)
}
