package engine

// Processor2 is a keyed operator with two inputs: it sees the records of one key from both, one at a time, with the same
// state. Records of one input come in order; between the inputs there is none but that of time: the operator's watermark
// is the lesser of theirs. Errors are as those of a [Processor].
type Processor2[K comparable, L, R, O any] interface {
	OnLeft(ctx *Context, key K, l L, out Out[O]) error
	OnRight(ctx *Context, key K, r R, out Out[O]) error
}

// Process2 runs a keyed operator with two inputs, whose keys must mean the same. The constructor is as that of [Process].
func Process2[K comparable, L, R, O any, P Processor2[K, L, R, O]](l Keyed[K, L], r Keyed[K, R], uid string, newP func(*Setup) P) Stream[O] {
	n := l.from.node.job.add("process2", uid, l.from, r.from)
	return runProcess2[K, L, R, O](n, l, r, newP)
}

// runProcess2 completes a node that was added for two keyed inputs.
func runProcess2[K comparable, L, R, O any, P Processor2[K, L, R, O]](n *node, l Keyed[K, L], r Keyed[K, R], newP func(*Setup) P) Stream[O] {
	left, right := n.ins[0], n.ins[1]
	l.exchange(n, left)
	r.exchange(n, right)
	out := declareProcess[K, O](n, constructor(n, newP))
	n.build = func(st *subtask) {
		p := &process2Task[K, L, R, O, P]{processOp: newProcessOp[K, O](st, n, out)}
		p.user = makeProcess(p.processOp, newP)
		p.describe = p.describeHand
		st.ops = append(st.ops, p)
		l.connect(p.keyedOp, left, p.keyer, p.onLeft, nil)
		r.connect(p.keyedOp, right, p.keyer, p.onRight, nil)
	}
	return Stream[O]{out}
}

// process2Task is a Process2 operator in one subtask.
type process2Task[K comparable, L, R, O any, P Processor2[K, L, R, O]] struct {
	*processOp[K, O]
	user  P
	left  *keyed[K, L] // in hand, if it is a left record
	right *keyed[K, R] // in hand, if it is a right one
	_     apart
}

func (p *process2Task[K, L, R, O, P]) onLeft(l *keyed[K, L]) {
	c := &p.ctx
	c.time, c.live, p.left, p.right = l.at, true, l, nil
	p.tellRecord(l.at)
	if err := p.user.OnLeft(c, l.key, l.val, p.out); err != nil {
		p.fail(err)
	}
	c.live = false
}

func (p *process2Task[K, L, R, O, P]) onRight(r *keyed[K, R]) {
	c := &p.ctx
	c.time, c.live, p.left, p.right = r.at, true, nil, r
	p.tellRecord(r.at)
	if err := p.user.OnRight(c, r.key, r.val, p.out); err != nil {
		p.fail(err)
	}
	c.live = false
}

func (p *process2Task[K, L, R, O, P]) describeHand() (key, record string) {
	switch {
	case p.firing != nil:
		return p.describeTimer()
	case p.left != nil:
		return printed(p.left.key), printed(p.left.val)
	}
	return printed(p.right.key), printed(p.right.val)
}
