package engine

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/pagetide/pagetide/mmapstate"
)

// Timer calls back at a time, for the key that set it. Each key may have any number of times set; setting one twice is
// setting it once.
//
// Without an option it goes by event time: a timer at or before the watermark fires when the watermark next moves. With
// [ProcessingTime] it goes by the job's [Clock] and fires before the next batch of records that comes when it is due, at
// the earliest; after a restore, those fire at once that became due while no job was running.
//
// At the end of bounded input the watermark is MaxTime and all timers fire, those in processing time first, also what a
// timer's callback sets then: a timer that sets itself again should look at [Context.Watermark] first.
type Timer struct{ t *timerIndex }

// timerIndex is one declared timer in one subtask: the (time, key) pairs that are set.
type timerIndex struct {
	op    *keyedOp
	name  string
	clock bool // in processing time
	index *mmapstate.Index
	call  any // func(*Context, K, Time, Out[O]) error
}

// NewTimer declares a timer and what it calls, with the time that was set. K and O are the operator's key and output types.
// A stream without event time has only timers in [ProcessingTime]; what these emit in a stream that has it carries the time of
// the record before or, if that is later, the instant after the watermark. While neither is known, as from a restore to the
// first record or watermark where the checkpoint had no watermark, it carries [Context.ProcessingTime].
func NewTimer[K comparable, O any](s *Setup, name string, call func(*Context, K, Time, Out[O]) error, o ...TimeDomain) Timer {
	clock := slices.Contains(o, ProcessingTime)
	s.needsKey("timer", name)
	s.declare("timer", name)
	s.timers = append(s.timers, timerPrint(name, clock))
	if s.checking() {
		if call == nil {
			s.mistake("timer %q: no function to call", name)
		}
		s.tell("timer %s", timerText(name, clock))
		if !clock && !s.timed {
			s.mistake("timer %q: it is in event time, which the stream does not have: use engine.ProcessingTime", name)
		}
		if k := reflect.TypeFor[K](); s.key != nil && k != s.key {
			s.mistake("timer %q: its callback takes key %s, the operator's is %s", name, k, s.key)
		}
		if o := reflect.TypeFor[O](); o != s.out {
			s.mistake("timer %q: its callback emits %s, the operator %s", name, o, s.out)
		}
		return Timer{}
	}
	t := &timerIndex{op: s.op, name: name, clock: clock, call: call}
	t.index = must(s.op.store.Index("timer."+name, s.op.shape))
	if clock {
		s.op.clocks = append(s.op.clocks, t)
	} else {
		s.op.timers = append(s.op.timers, t)
	}
	return Timer{t}
}

// timerPrint is a timer in the operator's fingerprint.
func timerPrint(name string, clock bool) string {
	if clock {
		return name + " (processing time)"
	}
	return name
}

// timerText is a timer in Explain.
func timerText(name string, clock bool) string {
	if clock {
		return fmt.Sprintf("%q in processing time", name)
	}
	return fmt.Sprintf("%q", name)
}

// Set has the timer call back for the key in hand at a time, in order of time. MinTime and MaxTime, where sums stop
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
