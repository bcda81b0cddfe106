package engine

// EachBroadcastProcessor is a [BroadcastProcessor] without keys: OnRecord sees each record of its subtask, in order, and reads
// what OnBroadcast has stored in a [BroadcastState].
type EachBroadcastProcessor[In, R, O any] interface {
	OnRecord(ctx *Context, in In, out Out[O]) error
	OnBroadcast(ctx *Context, rule R, out Out[O]) error
}

// ProcessEachBroadcast is [ProcessEach] beside rules that reach all subtasks of the operator, as they do those of
// [ProcessBroadcast]. Its parallelism is that of the records; an [OperatorList] is each subtask's own in both callbacks.
func ProcessEachBroadcast[In, R, O any, P EachBroadcastProcessor[In, R, O]](in Stream[In], rules Stream[R], uid string, newP func(*Setup) P) Stream[O] {
	n := in.from.node.job.add("process each broadcast", uid, in.from, rules.from)
	records, all := n.ins[0], n.ins[1]
	forward[In](records)
	broadcast[R](n, all)
	out := declare[O](n, nil, func(s *Setup) { newP(s) })
	n.build = func(st *subtask) {
		p := &eachBroadcastTask[In, R, O, P]{broadcastOp: newBroadcastOp[uint32, R, O](st, n, out)}
		p.user = makeProcess(p.processOp, newP)
		p.describe, p.apply = p.describeHand, p.user.OnBroadcast
		st.ops = append(st.ops, p)
		take(st, records, n, p.take)
		take(st, all, n, p.onBroadcast)
	}
	return Stream[O]{out}
}

// eachBroadcastTask is a ProcessEachBroadcast operator in one subtask.
type eachBroadcastTask[In, R, O any, P EachBroadcastProcessor[In, R, O]] struct {
	*broadcastOp[uint32, R, O]
	user P
	rec  *In // in hand, if a record is
}

func (p *eachBroadcastTask[In, R, O, P]) take(s stretch[In]) {
	p.stats.in.Add(int64(len(s.recs)))
	c := &p.ctx
	for i := range s.recs {
		c.time, c.live, p.rec = s.at[i], true, &s.recs[i]
		if err := p.user.OnRecord(c, s.recs[i], p.out); err != nil {
			p.fail(err)
		}
		c.live = false
	}
}

func (p *eachBroadcastTask[In, R, O, P]) describeHand() (key, record string) {
	if p.ctx.rule {
		return "", printed(*p.rule)
	}
	return "", printed(*p.rec)
}
