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
	firing *timerIndex // in hand; nil: a record is
	at     Time        // of that timer
	key    K           // of that timer
	buf    []byte      // its bytes
	passed Time        // the watermark that the records emitted now must not be late for
}

func newProcessOp[K comparable, O any](st *subtask, n *node, out *port) *processOp[K, O] {
	keyer := keyerFor[K](st.a)
	p := &processOp[K, O]{keyedOp: newKeyedOp(st, n, keyer.Shape()), keyer: keyer}
	p.passed = p.watermark
	if n.timed() {
		p.ctx.time = MinTime // no record has come
	}
	p.out = Out[O]{to: makeOutlet[O](st, out), now: &p.ctx.time}
	return p
}

// advance fires the timers that are due, in order of time. With the last watermark, all are.
func (p *processOp[K, O]) advance(w Time) {
	p.drain()
	p.watermark = max(p.watermark, w)
	if p.mortal {
		p.tellTime()
	}
	if w == MaxTime {
		p.fireAll(p.clocks, w)
	}
	for p.fireAll(p.timers, w); w == MaxTime && earliest(p.clocks, w) != nil; p.fireAll(p.timers, w) {
		p.fireAll(p.clocks, w)
	}
	p.passed = p.watermark
}

// due implements clocked.
func (p *processOp[K, O]) due() (Time, bool) {
	t := earliest(p.clocks, MaxTime)
	if t == nil {
		return 0, false
	}
	at, ok := t.index.Min()
	return Time(at), ok
}

// ring implements clocked.
func (p *processOp[K, O]) ring(now Time) { p.fireAll(p.clocks, now) }

// fireAll fires timers up to a time, in order of time.
func (p *processOp[K, O]) fireAll(timers []*timerIndex, until Time) {
	for {
		t := earliest(timers, until)
		if t == nil {
			return
		}
		p.fire(t, until)
		p.st.pause()
	}
}

// earliest is the timer with the earliest entry that is due, nil if none is.
func earliest(timers []*timerIndex, until Time) *timerIndex {
	var first *timerIndex
	least := until
	for _, t := range timers {
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
	p.stats.timers.Add(1)
	p.buf = k.Bytes
	p.key, p.at = p.keyer.Decode(k.Bytes), Time(at)
	p.firing = t
	c := &p.ctx
	c.take(k)
	before := c.time
	c.time, c.live = p.emitTime(t), true
	p.tellRecord(MinTime)
	call := t.call.(func(*Context, K, Time, Out[O]) error)
	if err := call(c, p.key, p.at, p.out); err != nil {
		p.fail(err)
	}
	c.live, p.firing = false, nil
	if t.clock {
		c.time = before
	}
}

// emitTime is the event time of what the timer in hand emits. In processing time it is that of the record before: the
// operator's own time, as far as it is known; but nothing that is late. Where neither is known, after a restore, it is the
// clock's.
func (p *processOp[K, O]) emitTime(t *timerIndex) Time {
	if !t.clock {
		return p.at
	}
	if p.ctx.time == MinTime && p.passed == MinTime {
		return p.st.now
	}
	return max(p.ctx.time, p.passed.Add(1))
}

func (p *processOp[K, O]) describeTimer() (key, record string) {
	return printed(p.key), "timer " + timerText(p.firing.name, p.firing.clock) + " at " + p.at.String()
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
		errs = append(errs, p.node.await("OnClose", f))
	}
	return errors.Join(errs...)
}
