package engine

// BroadcastProcessor is a keyed operator with a second input whose records, rules say, reach every subtask. OnRecord sees a
// record with the state of its key and reads what OnBroadcast has stored in a [BroadcastState]. OnBroadcast has no key: it
// writes broadcast state, and may emit.
//
// Every subtask sees all rules, and must make the same of them, whatever its records. Those of one upstream subtask come in
// order; of several, each subtask may see another order. Between rules and records there is no order but that of time: the
// operator's watermark is the lesser of theirs. Errors are as those of a [Processor].
type BroadcastProcessor[K comparable, In, R, O any] interface {
	OnRecord(ctx *Context, key K, in In, out Out[O]) error
	OnBroadcast(ctx *Context, rule R, out Out[O]) error
}

// ProcessBroadcast runs a keyed operator beside rules that reach all its subtasks. The constructor is as that of [Process].
//
// The operator has event time if both streams do. A stream of rules that is silent for long holds time up unless it may be
// [Times.Idle].
func ProcessBroadcast[K comparable, In, R, O any, P BroadcastProcessor[K, In, R, O]](in Keyed[K, In], rules Stream[R], uid string, newP func(*Setup) P) Stream[O] {
	n := in.from.node.job.add("process broadcast", uid, in.from, rules.from)
	records, all := n.ins[0], n.ins[1]
	in.exchange(n, records)
	broadcast[R](n, all)
	out := declareProcess[K, O](n, constructor(n, newP))
	n.build = func(st *subtask) {
		p := &broadcastTask[K, In, R, O, P]{broadcastOp: newBroadcastOp[K, R, O](st, n, out)}
		p.user = makeProcess(p.processOp, newP)
		p.describe, p.apply = p.describeHand, p.user.OnBroadcast
		st.ops = append(st.ops, p)
		in.connect(p.keyedOp, records, p.keyer, p.onRecord, nil)
		take(st, all, n, p.onBroadcast)
	}
	return Stream[O]{out}
}

// broadcastTask is a ProcessBroadcast operator in one subtask.
type broadcastTask[K comparable, In, R, O any, P BroadcastProcessor[K, In, R, O]] struct {
	*broadcastOp[K, R, O]
	user P
	rec  *keyed[K, In] // in hand, if a record is
}

func (p *broadcastTask[K, In, R, O, P]) onRecord(r *keyed[K, In]) {
	c := &p.ctx
	c.time, c.live, p.rec = r.at, true, r
	p.tellRecord(r.at)
	if err := p.user.OnRecord(c, r.key, r.val, p.out); err != nil {
		p.fail(err)
	}
	c.live = false
}

func (p *broadcastTask[K, In, R, O, P]) describeHand() (key, record string) {
	switch {
	case p.ctx.rule:
		return "", printed(*p.rule)
	case p.firing != nil:
		return p.describeTimer()
	}
	return printed(p.rec.key), printed(p.rec.val)
}
