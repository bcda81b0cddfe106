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
	out := declare[O](n, nil, constructor(n, newP))
	n.build = func(st *subtask) {
		p := &eachBroadcastTask[In, R, O]{broadcastOp: newBroadcastOp[uint32, R, O](st, n, out)}
		user := makeProcess(p.processOp, newP)
		p.records = eachTask[In, O]{processOp: p.processOp, onRecord: user.OnRecord}
		p.describe, p.apply = p.describeHand, user.OnBroadcast
		st.ops = append(st.ops, p)
		take(st, records, n, p.records.take)
		take(st, all, n, p.onBroadcast)
	}
	return Stream[O]{out}
}

// eachBroadcastTask is a ProcessEachBroadcast operator in one subtask: a ProcessEach for its records, and rules beside it.
type eachBroadcastTask[In, R, O any] struct {
	*broadcastOp[uint32, R, O]
	records eachTask[In, O]
}

func (p *eachBroadcastTask[In, R, O]) describeHand() (key, record string) {
	if p.ctx.rule {
		return "", printed(*p.rule)
	}
	return p.records.describeHand()
}
