package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AsyncOptions say how [Async] calls. The zero value keeps order, has 100 calls in flight, waits for each as long as it
// takes and repeats none.
type AsyncOptions struct {
	// Unordered lets a result go on as soon as its call has ended, before those of earlier records. Between two watermarks
	// only: neither a result nor a watermark overtakes the other. Without it results come in the order of the records.
	Unordered bool

	// Capacity is how many calls a subtask has in flight, at most: default 100. When it is reached, or as many results wait for
	// their turn, the subtask takes no more records, which holds up what is before it, until one has gone on.
	Capacity int

	// Timeout is how long the result of a record may take by the job's [Clock], with all repetitions; 0: for ever. After it the
	// call's context ends and nobody waits for it any more. The job fails with [ErrTimeout], or [Async] is given what to send
	// instead.
	Timeout time.Duration

	Retry AsyncRetry
}

// AsyncRetry says how often a call that has failed is repeated, and when. The zero value repeats none.
type AsyncRetry struct {
	Attempts   int              // calls per record, with the first
	Delay      time.Duration    // before the second; default 100 ms
	MaxDelay   time.Duration    // default 1 min
	Multiplier float64          // of the delay, each time; default 1.5
	If         func(error) bool // which errors to repeat on; nil: on all that are not permanent. It must not change
}

// ErrTimeout reports a call of [Async] that has taken longer than its timeout.
var ErrTimeout = errors.New("call has timed out")

// Async sends the result of call for every record, with many calls in flight: call is for what answers late, a service or a
// database. It runs in goroutines of its own, at most Capacity per subtask, and may block until ctx ends, which it does
// with the attempt, or at the timeout; then it must return. The result carries the record's event time.
//
// The records whose results have not gone on are part of each checkpoint: they are called for again after a restore, so
// a call may happen more than once, and its effect outside should be the same then. T is kept as in a [ListState].
//
// An error of call that is not repeated, or a panic, ends the attempt. The job is restarted as [Options.Restart] says, also
// if the same record fails each time: what is called may be down. Mark an error by [Permanent] if it is the record's. late,
// of which one may be given, makes the result of a record whose call has timed out; it runs in the subtask and must return
// at once.
func Async[T, U any](in Stream[T], uid string, o AsyncOptions, call func(context.Context, T) (U, error), late ...func(T) (U, error)) Stream[U] {
	n := in.from.node.job.add("async", uid, in.from)
	n.stateful, n.apart = true, true
	n.fingerprint = "async, calls"
	o.check(n)
	n.wants(call != nil, "function to call")
	switch {
	case len(late) > 1:
		n.job.mistake("%s: more than one function for calls that time out", n.label())
	case len(late) == 1 && o.Timeout == 0:
		n.job.mistake("%s: a function for calls that time out, and no timeout", n.label())
	}
	o = o.withDefaults()
	n.declared = append(n.declared, o.String())
	declareCalls[T](&Setup{node: n})
	forward[T](n.ins[0])
	out := n.output("", n.timed())
	n.build = func(st *subtask) {
		t := newAsyncTask(st, n, o, call, makeOutlet[U](st, out))
		if len(late) > 0 {
			t.late = late[0]
		}
		st.async = t
		st.ops = append(st.ops, t)
		st.clocked = append(st.clocked, t)
		take(st, n.ins[0], n, t.takeIn)
	}
	return Stream[U]{out}
}

// check reports options that cannot be.
func (o AsyncOptions) check(n *node) {
	r := o.Retry
	mistake := func(bad bool, format string, args ...any) {
		if bad {
			n.job.mistake("%s: %s", n.label(), fmt.Sprintf(format, args...))
		}
	}
	mistake(o.Capacity < 0, "capacity %d: want at least 1", o.Capacity)
	mistake(o.Timeout < 0, "timeout %s is negative", o.Timeout)
	mistake(r.Attempts < 0, "%d attempts: want at least 1", r.Attempts)
	mistake(r.Delay < 0 || r.MaxDelay < 0, "retry after %s, at most %s: neither may be negative", r.Delay, r.MaxDelay)
	mistake(r.Multiplier != 0 && !(r.Multiplier >= 1), "retry multiplier %g: want at least 1", r.Multiplier)
}

func (o AsyncOptions) withDefaults() AsyncOptions {
	o.Capacity = orDefault(o.Capacity, 100)
	r := &o.Retry
	r.Attempts = orDefault(r.Attempts, 1)
	r.Delay = orDefault(r.Delay, 100*time.Millisecond)
	r.MaxDelay = orDefault(r.MaxDelay, time.Minute)
	r.Multiplier = orDefault(r.Multiplier, 1.5)
	if r.If == nil {
		r.If = func(err error) bool { return !IsPermanent(err) }
	}
	return o
}

// String is what Explain says of the options.
func (o AsyncOptions) String() string {
	s := "ordered"
	if o.Unordered {
		s = "unordered"
	}
	s += fmt.Sprintf(", %d calls at once", o.Capacity)
	if o.Timeout > 0 {
		s += fmt.Sprintf(", timeout %s", o.Timeout)
	}
	if o.Retry.Attempts > 1 {
		s += fmt.Sprintf(", %d attempts", o.Retry.Attempts)
	}
	return s
}

// after is how long to wait after a number of calls that have failed.
func (r AsyncRetry) after(calls int) time.Duration {
	d := float64(r.Delay)
	for ; calls > 1 && d < float64(r.MaxDelay); calls-- {
		d *= r.Multiplier
	}
	return time.Duration(min(d, float64(r.MaxDelay)))
}
