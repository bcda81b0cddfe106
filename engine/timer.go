package engine

import (
	"fmt"
	"reflect"

	"github.com/pagetide/pagetide/mmapstate"
)

// Timer calls back at a time in event time, for the key that set it. Each key may have any number of times set; setting
// one twice is setting it once. A timer at or before the watermark fires when the watermark next moves. At the end of
// bounded input the watermark is MaxTime and all timers fire, also those that a timer's callback sets then: a timer that
// sets itself again should look at [Context.Watermark] first.
type Timer struct{ t *timerIndex }

// timerIndex is one declared timer in one subtask: the (time, key) pairs that are set.
type timerIndex struct {
	op    *keyedOp
	name  string
	index *mmapstate.Index
	call  any // func(*Context, K, Time, Out[O]) error
}

// NewTimer declares a timer and what it calls. K and O are the operator's key and output types.
func NewTimer[K comparable, O any](s *Setup, name string, call func(*Context, K, Time, Out[O]) error) Timer {
	s.declare("timer", name)
	s.timers = append(s.timers, name)
	s.tell("timer %q", name)
	if s.checking() {
		if k := reflect.TypeFor[K](); k != s.key {
			s.mistake("timer %q: its callback takes key %s, the operator's is %s", name, k, s.key)
		}
		if o := reflect.TypeFor[O](); o != s.out {
			s.mistake("timer %q: its callback emits %s, the operator %s", name, o, s.out)
		}
		return Timer{}
	}
	t := &timerIndex{op: s.op, name: name, call: call}
	t.index = must(s.op.store.Index("timer."+name, s.op.shape))
	s.op.timers = append(s.op.timers, t)
	return Timer{t}
}

// Set makes the timer call back for the key in hand at a time, in order of time. MinTime and MaxTime, where sums stop
// that are out of range, are no times to call back at: they end the job with a permanent error.
func (t Timer) Set(ctx *Context, at Time) {
	k := ctx.of(t.t.op)
	if at == MinTime || at == MaxTime {
		t.t.op.fail(Permanent(fmt.Errorf("timer %q is set for a time outside the years 1678 to 2261", t.t.name)))
	}
	t.t.index.Insert(k, int64(at))
}

// Delete takes a time back. It reports whether it was set.
func (t Timer) Delete(ctx *Context, at Time) bool { return t.t.index.Delete(ctx.of(t.t.op), int64(at)) }
