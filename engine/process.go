package engine

import (
	"reflect"
)

// Processor is a keyed operator of the user's: it sees one record at a time, with the state of that record's key. There
// is one value per subtask, made by the constructor given to [Process]; it is used by one goroutine. An error ends the
// attempt, and [Permanent] the job.
type Processor[K comparable, In, O any] interface {
	OnRecord(ctx *Context, key K, in In, out Out[O]) error
}

// Func makes a Processor of a function.
type Func[K comparable, In, O any] func(ctx *Context, key K, in In, out Out[O]) error

// OnRecord calls f.
func (f Func[K, In, O]) OnRecord(ctx *Context, key K, in In, out Out[O]) error {
	return f(ctx, key, in, out)
}

// Process runs a keyed operator. The constructor declares state, timers and side outputs; it runs once per subtask, and
// once before, when the graph is checked.
func Process[K comparable, In, O any, P Processor[K, In, O]](in Keyed[K, In], uid string, newP func(*Setup) P) Stream[O] {
	n := in.from.node.job.add("process", uid, in.from)
	in.exchange(n, n.ins[0])
	out := declareProcess[K, O](n, constructor(n, newP))
	n.build = func(st *subtask) {
		p := &processTask[K, In, O, P]{processOp: newProcessOp[K, O](st, n, out)}
		p.user = makeProcess(p.processOp, newP)
		p.describe = p.describeHand
		st.ops = append(st.ops, p)
		in.connect(p.keyedOp, n.ins[0], p.keyer, p.onRecord, nil)
	}
	return Stream[O]{out}
}

// constructor is one of the user's for declare; that there is none is a mistake.
func constructor[P any](n *node, newP func(*Setup) P) func(*Setup) {
	n.wants(newP != nil, "constructor")
	return func(s *Setup) {
		if newP != nil {
			newP(s)
		}
	}
}

// declareProcess is declare for a node with keys.
func declareProcess[K comparable, O any](n *node, newP func(*Setup)) *port {
	checkKey[K](n)
	return declare[O](n, reflect.TypeFor[K](), newP)
}

// declare checks a node that runs a constructor of the user's, and gives it its main output. Without keys, key is nil.
func declare[O any](n *node, key reflect.Type, newP func(*Setup)) *port {
	n.stateful = true
	out := n.output("", n.timed())
	check := &Setup{node: n, key: key, out: reflect.TypeFor[O](), timed: out.timed}
	newP(check)
	n.fingerprint = check.fingerprint()
	return out
}

// makeProcess runs the constructor in a subtask.
func makeProcess[K comparable, O, P any](p *processOp[K, O], newP func(*Setup) P) P {
	setup := &Setup{op: p.keyedOp, node: p.node, key: reflect.TypeFor[K]()}
	user := newP(setup)
	p.opens, p.closes = setup.opens, setup.closes
	if len(p.clocks) > 0 {
		p.st.clocked = append(p.st.clocked, p)
	}
	return user
}

// processTask is a Process operator in one subtask.
type processTask[K comparable, In, O any, P Processor[K, In, O]] struct {
	*processOp[K, O]
	user P
	rec  *keyed[K, In] // in hand
	_    apart
}

func (p *processTask[K, In, O, P]) onRecord(r *keyed[K, In]) {
	c := &p.ctx
	c.time, c.live, p.rec = r.at, true, r
	p.tellRecord(r.at)
	if err := p.user.OnRecord(c, r.key, r.val, p.out); err != nil {
		p.fail(err)
	}
	c.live = false
}

func (p *processTask[K, In, O, P]) describeHand() (key, record string) {
	if p.firing != nil {
		return p.describeTimer()
	}
	return printed(p.rec.key), printed(p.rec.val)
}
