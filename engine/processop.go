package engine

import (
	"errors"

	"github.com/pagetide/pagetide/mmapstate"
)

// processOp is what operators with a constructor of the user's have in common in one subtask: output, timers, resources.
type processOp[K comparable, O any] struct {
	*keyedOp
	keyer  *mmapstate.Keyer[K]
	out    Out[O]
	firing bool   // a timer is in hand, not a record
	key    K      // of that timer
	buf    []byte // its bytes
}

func newProcessOp[K comparable, O any](st *subtask, n *node, out *port) *processOp[K, O] {
	keyer := keyerFor[K](st.a)
	p := &processOp[K, O]{keyedOp: newKeyedOp(st, n, keyer.Shape()), keyer: keyer}
	p.out = Out[O]{to: makeOutlet[O](st, out), now: &p.ctx.time}
	return p
}

// advance fires the timers that are due, in order of time.
func (p *processOp[K, O]) advance(w Time) {
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
func (p *processOp[K, O]) earliest(w Time) *timerIndex {
	var first *timerIndex
	least := w
	for _, t := range p.timers {
		if at, ok := t.index.Min(); ok && (Time(at) < least || Time(at) == least && first == nil) {
			first, least = t, Time(at)
		}
	}
	return first
}

func (p *processOp[K, O]) fire(t *timerIndex, w Time) {
	at, k, ok := t.index.Pop(int64(w), p.buf[:0])
	if !ok {
		return
	}
	p.buf = k.Bytes
	p.key = p.keyer.Decode(k.Bytes)
	p.firing = true
	c := &p.ctx
	c.key, c.time, c.live = k, Time(at), true
	call := t.call.(func(*Context, K, Time, Out[O]) error)
	if err := call(c, p.key, c.time, p.out); err != nil {
		p.fail(err)
	}
	c.live, p.firing = false, false
}

func (p *processOp[K, O]) describeTimer() (key, record string) {
	return printed(p.key), "timer at " + p.ctx.time.String()
}

func (p *processOp[K, O]) flush() error {
	p.drain()
	p.stats.out.Store(p.out.to.pushed())
	p.stats.watermark.Store(int64(p.watermark))
	return nil
}

func (p *processOp[K, O]) snapshot(a *ack) error { return p.freeze(a) }

func (p *processOp[K, O]) close() error {
	var errs []error
	for _, f := range p.closes {
		errs = append(errs, call(p.node.uid, "OnClose", f))
	}
	return errors.Join(errs...)
}
