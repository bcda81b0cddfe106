package engine

import (
	"errors"
	"reflect"

	"github.com/pagetide/pagetide/mmapstate"
)

// Processor is a keyed operator of the user's: it sees one record at a time, with the state of that record's key. There
// is one value per subtask, made by the constructor given to [Process]; it is used by one goroutine.
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
	n.keyed, n.stateful = true, true
	out := n.output("", in.from.timed)
	checkKey[K](n)
	check := &Setup{node: n, key: reflect.TypeFor[K](), out: reflect.TypeFor[O](), timed: in.from.timed}
	newP(check)
	n.fingerprint = check.fingerprint()
	n.exchange = in.exchange(n)
	n.build = func(st *subtask) {
		keyer := keyerFor[K](st.a)
		op := newKeyedOp(st, n, keyer.Shape())
		p := &processTask[K, In, O, P]{keyedOp: op, keyer: keyer}
		p.out = Out[O]{to: makeOutlet[O](st, out), now: &op.ctx.time}
		setup := &Setup{op: op, node: n, key: check.key}
		p.user = newP(setup)
		p.describe = p.describeHand
		st.ops = append(st.ops, p)
		op.opens, op.closes = setup.opens, setup.closes
		in.connect(op, keyer, p.onRecord, p.hint)
	}
	return Stream[O]{out}
}

// processTask is a Process operator in one subtask.
type processTask[K comparable, In, O any, P Processor[K, In, O]] struct {
	*keyedOp
	user  P
	keyer *mmapstate.Keyer[K]
	out   Out[O]
	rec   *keyed[K, In] // in hand
	key   K             // of the timer in hand, if rec is nil
	buf   []byte        // key bytes of a timer
}

func (p *processTask[K, In, O, P]) onRecord(r *keyed[K, In]) {
	c := &p.ctx
	c.key = mmapstate.Key{Hash: r.hash, Group: r.group, Bytes: p.keyer.Bytes(&r.key)}
	c.time, c.live, p.rec = r.at, true, r
	if err := p.user.OnRecord(c, r.key, r.val, p.out); err != nil {
		p.fail(err)
	}
	c.live = false
}

// hint prepares the look at a record's state.
func (p *processTask[K, In, O, P]) hint(r *keyed[K, In]) {
	p.hints = append(p.hints, mmapstate.Key{Hash: r.hash, Group: r.group})
}

// advance fires the timers that are due, in order of time.
func (p *processTask[K, In, O, P]) advance(w Time) {
	p.drain()
	p.watermark = max(p.watermark, w)
	if p.mortal {
		p.tellTime()
	}
	for {
		t := p.earliest(w)
		if t == nil {
			return
		}
		p.fire(t, w)
		p.st.pause()
	}
}

// earliest is the timer with the earliest entry that is due, nil if none is.
func (p *processTask[K, In, O, P]) earliest(w Time) *timerIndex {
	var first *timerIndex
	least := w
	for _, t := range p.timers {
		if at, ok := t.index.Min(); ok && (Time(at) < least || Time(at) == least && first == nil) {
			first, least = t, Time(at)
		}
	}
	return first
}

func (p *processTask[K, In, O, P]) fire(t *timerIndex, w Time) {
	at, k, ok := t.index.Pop(int64(w), p.buf[:0])
	if !ok {
		return
	}
	p.buf = k.Bytes
	p.key = p.keyer.Decode(k.Bytes)
	p.rec = nil
	c := &p.ctx
	c.key, c.time, c.live = k, Time(at), true
	call := t.call.(func(*Context, K, Time, Out[O]) error)
	if err := call(c, p.key, c.time, p.out); err != nil {
		p.fail(err)
	}
	c.live = false
}

func (p *processTask[K, In, O, P]) describeHand() (key, record string) {
	if p.rec == nil {
		return printed(p.key), "timer at " + p.ctx.time.String()
	}
	return printed(p.rec.key), printed(p.rec.val)
}

func (p *processTask[K, In, O, P]) flush() error {
	p.drain()
	p.stats.out.Store(p.out.to.pushed())
	p.stats.watermark.Store(int64(p.watermark))
	return nil
}

func (p *processTask[K, In, O, P]) snapshot(a *ack) error { return p.freeze(a) }

func (p *processTask[K, In, O, P]) close() error {
	var errs []error
	for _, f := range p.closes {
		errs = append(errs, call(p.node.uid, "OnClose", f))
	}
	return errors.Join(errs...)
}
