package engine

// EachProcessor is an operator of the user's without keys: it sees each record of its subtask, in order. There is one value
// per subtask, made by the constructor given to [ProcessEach]; it is used by one goroutine. Errors are as those of a [Processor].
type EachProcessor[In, O any] interface {
	OnRecord(ctx *Context, in In, out Out[O]) error
}

// EachFunc makes an EachProcessor of a function.
type EachFunc[In, O any] func(ctx *Context, in In, out Out[O]) error

// OnRecord calls f.
func (f EachFunc[In, O]) OnRecord(ctx *Context, in In, out Out[O]) error { return f(ctx, in, out) }

// ProcessEach runs an operator on a stream without keys, where its records are. The constructor is as that of [Process];
// it declares side outputs, resources and, for state, an [OperatorList]: states per key and timers need a [Keyed] stream.
func ProcessEach[In, O any, P EachProcessor[In, O]](in Stream[In], uid string, newP func(*Setup) P) Stream[O] {
	n := in.from.node.job.add("process each", uid, in.from)
	forward[In](n.ins[0])
	out := declare[O](n, nil, constructor(n, newP))
	n.build = func(st *subtask) {
		p := &eachTask[In, O]{processOp: newProcessOp[uint32, O](st, n, out)}
		p.onRecord = makeProcess(p.processOp, newP).OnRecord
		p.describe = p.describeHand
		st.ops = append(st.ops, p)
		take(st, n.ins[0], n, p.take)
	}
	return Stream[O]{out}
}

// eachTask is a ProcessEach operator in one subtask. The keys of its store number the parts of its lists.
type eachTask[In, O any] struct {
	*processOp[uint32, O]
	onRecord func(*Context, In, Out[O]) error // the user's
	rec      *In                              // in hand
	_        apart
}

func (p *eachTask[In, O]) take(s stretch[In]) {
	p.stats.in.Add(int64(len(s.recs)))
	c := &p.ctx
	for i := range s.recs {
		c.time, c.live, p.rec = s.at[i], true, &s.recs[i]
		if err := p.onRecord(c, s.recs[i], p.out); err != nil {
			p.fail(err)
		}
		c.live = false
	}
}

func (p *eachTask[In, O]) describeHand() (key, record string) { return "", printed(*p.rec) }
