package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/pagetide/pagetide/meta"
)

// An async node begins a task: what its subtask takes in goes into a queue, watermarks too, and what leaves the queue is what
// the nodes behind it see. So their time is that of the results.
//
//	inbox ─► queue: record, record, watermark, record ... ─► results, watermarks ─► the rest of the chain
//	             │ ▲
//	        call ▼ │ outcome     goroutines, at most Capacity
//
// A barrier passes the queue: the records in it are part of the checkpoint. The last one is not sent before the end of time
// has left the queue: until then the job goes on taking checkpoints, however long calls take.

// asyncSpare is how many records may wait for their first call, for each input of a subtask, so that a barrier comes through:
// each lets in what its input has queued. Where calls are slower than records for long, a barrier then waits for calls, too.
const asyncSpare = 16 * queueDepth * batchSize

// asyncLoop is the part of an async task that its subtask needs, apart from its types.
type asyncLoop interface {
	start() error                 // calls for what the restored checkpoint had in the queue
	collect() error               // sends on what calls have led to
	full(spare int) bool          // no more records can be taken: more than so many wait for their first call
	mark(w Time, idle bool) error // the input has a watermark, or is idle from there on
	end(cause error)              // ends all calls
	wait()                        // until they have returned
}

type asyncKind uint8

const (
	asyncRecord asyncKind = iota
	asyncMark
)

type asyncState uint8

const (
	asyncWaiting asyncState = iota // for its first call
	asyncCalling
	asyncPausing // before it is called for again
	asyncDone
	asyncGone // its result has been sent on
)

// asyncEntry is something in the queue.
type asyncEntry[T, U any] struct {
	kind asyncKind
	at   Time // event time of the record, or the watermark
	idle bool // the input, from there on

	// Of a record:
	val    T
	result U
	state  asyncState
	part   int  // which watermark it follows, counted
	calls  int  // so far
	limit  Time // when it times out
	again  Time // when it is called for again
	origin origin
	cancel context.CancelCauseFunc
}

// outcome is how a call has ended.
type outcome[T, U any] struct {
	of     *asyncEntry[T, U]
	call   int // which of the entry's
	result U
	err    error
}

// asyncTask is an Async node in one subtask.
type asyncTask[T, U any] struct {
	*keyedOp
	o     AsyncOptions
	call  func(context.Context, T) (U, error)
	late  func(T) (U, error) // nil: a timeout is an error
	out   *outlet[U]
	hand  *recordHand[T]
	calls callState[T]

	queue   []*asyncEntry[T, U] // in order of arrival
	gone    int                 // records of the queue that are
	waiting []*asyncEntry[T, U] // records of the queue that are
	open    int                 // records of the queue that have been called for, and whose results have not gone on
	part    int                 // of the records that follow the last watermark
	first   int                 // of the records before the first watermark in the queue
	idle    bool                // the input is
	marked  Time                // the last watermark that has come
	next    Time                // no timeout and no repetition is due before; MaxTime: there is none

	ctx     context.Context // of the calls
	called  int             // of those, for a simulator
	stop    context.CancelCauseFunc
	running sync.WaitGroup

	mu   sync.Mutex // guards done
	done []outcome[T, U]
	took []outcome[T, U] // by the subtask
}

func newAsyncTask[T, U any](st *subtask, n *node, o AsyncOptions, call func(context.Context, T) (U, error), out *outlet[U]) *asyncTask[T, U] {
	keyer := keyerFor[uint64](st.a)
	t := &asyncTask[T, U]{keyedOp: newKeyedOp(st, n, keyer.Shape()), o: o, call: call, out: out, next: MaxTime, marked: MinTime}
	t.hand = handFor[T](st, n.uid)
	t.describe = func() (key, record string) { return "", "" }
	t.calls = declareCalls[T](&Setup{op: t.keyedOp, node: n})
	t.calls.keyer = keyer
	t.ctx, t.stop = context.WithCancelCause(st.ctx)
	return t
}

// start implements asyncLoop.
func (t *asyncTask[T, U]) start() error {
	t.st.readClock()
	for _, r := range t.calls.restore(&t.keyedOp.ctx) {
		t.enter(r.Val, r.At)
	}
	return nil
}

func (t *asyncTask[T, U]) takeIn(s stretch[T]) {
	t.stats.in.Add(int64(len(s.recs)))
	for i, v := range s.recs {
		t.enter(v, s.at[i])
	}
}

func (t *asyncTask[T, U]) enter(v T, at Time) {
	e := &asyncEntry[T, U]{val: v, at: at, part: t.part, origin: t.st.origin}
	t.queue = append(t.queue, e)
	t.waiting = append(t.waiting, e)
	t.issue()
}

// issue calls for the records that wait, as far as the capacity goes.
func (t *asyncTask[T, U]) issue() {
	for len(t.waiting) > 0 && t.open < t.o.Capacity {
		e := t.waiting[0]
		t.waiting[0] = nil
		t.waiting = t.waiting[1:]
		t.open++
		e.limit = MaxTime
		if t.o.Timeout > 0 {
			e.limit = t.st.now.Add(t.o.Timeout)
		}
		t.next = min(t.next, e.limit)
		t.begin(e)
	}
}

// begin calls for a record.
func (t *asyncTask[T, U]) begin(e *asyncEntry[T, U]) {
	e.state = asyncCalling
	e.calls++
	ctx, cancel := context.WithCancelCause(t.ctx)
	e.cancel = cancel
	v, from, o := e.val, e.origin, outcome[T, U]{of: e, call: e.calls, err: errGoexit}
	name := t.callName()
	t.running.Go(func() {
		defer cancel(nil) // last
		defer func() {
			if r := recover(); r != nil {
				o.err = &OperatorError{UID: t.node.uid, Record: printed(v), Position: from.String(), Err: panicked(r), Stack: debug.Stack()}
			} else if o.err == errGoexit {
				o.err = &OperatorError{UID: t.node.uid, Record: printed(v), Position: from.String(), Err: errGoexit, Stack: debug.Stack()}
			}
			t.st.a.step(name, "has ended")
			t.deliver(o)
		}()
		t.st.a.step(name, "begins")
		o.result, o.err = t.call(ctx, v)
	})
}

// callName tells the calls of an attempt apart, for a simulator.
func (t *asyncTask[T, U]) callName() string {
	if t.st.a.world == nil {
		return ""
	}
	t.called++
	return fmt.Sprintf("call %d of %s", t.called, t.st.name())
}

func (t *asyncTask[T, U]) deliver(o outcome[T, U]) {
	t.mu.Lock()
	t.done = append(t.done, o)
	t.mu.Unlock()
	t.st.inbox.ring()
}

// collect implements asyncLoop.
func (t *asyncTask[T, U]) collect() error {
	t.mu.Lock()
	t.took, t.done = t.done, t.took[:0]
	t.mu.Unlock()
	if len(t.took) == 0 {
		return nil
	}
	t.st.readClock()
	for i, o := range t.took {
		t.ends(o)
		t.took[i] = outcome[T, U]{}
	}
	return t.send()
}

// ends takes an outcome in. Nobody waits any more for one that comes too late.
func (t *asyncTask[T, U]) ends(o outcome[T, U]) {
	e := o.of
	switch {
	case e.state != asyncCalling || e.calls != o.call:
	case o.err == nil:
		t.finish(e, o.result)
	case t.ctx.Err() != nil:
		panic(context.Cause(t.ctx))
	case !broke(o.err) && e.calls < t.o.Retry.Attempts && t.repeats(e, o.err):
		e.state, e.again = asyncPausing, t.st.now.Add(t.o.Retry.after(e.calls))
		t.next = min(t.next, e.again)
	default:
		t.failRecord(e, o.err)
	}
}

// repeats asks whether an error is one to call again on.
func (t *asyncTask[T, U]) repeats(e *asyncEntry[T, U], err error) bool {
	t.hand.take([]T{e.val})
	ok := t.o.Retry.If(err)
	t.hand.done()
	return ok
}

func (t *asyncTask[T, U]) failRecord(e *asyncEntry[T, U], err error) {
	if broke(err) {
		panic(err)
	}
	panic(&OperatorError{UID: t.node.uid, Record: printed(e.val), Position: e.origin.String(), Err: err, called: true})
}

// finish has a result, which goes on at once if nothing is to come before it.
func (t *asyncTask[T, U]) finish(e *asyncEntry[T, U], result U) {
	e.state, e.result = asyncDone, result
	if t.o.Unordered && e.part == t.first {
		t.emit(e)
	}
}

func (t *asyncTask[T, U]) emit(e *asyncEntry[T, U]) {
	t.out.push(e.result, e.at)
	var none asyncEntry[T, U]
	e.val, e.result, e.state, e.cancel = none.val, none.result, asyncGone, nil
	t.gone++
	t.open--
}

// send sends on what is at the head of the queue, and calls for what there is room for then.
func (t *asyncTask[T, U]) send() error {
	n := 0
	for ; n < len(t.queue); n++ {
		e := t.queue[n]
		if e.kind == asyncRecord && e.state < asyncDone {
			break
		}
		t.queue[n] = nil
		if err := t.leave(e); err != nil {
			return err
		}
	}
	t.queue = t.queue[n:]
	t.compact()
	t.issue()
	return t.st.endBatch()
}

// leave is the end of an entry at the head of the queue.
func (t *asyncTask[T, U]) leave(e *asyncEntry[T, U]) error {
	switch e.kind {
	case asyncMark:
		t.first++
		if err := t.st.follow(e.at, e.idle); err != nil {
			return err
		}
		if t.o.Unordered {
			t.sendPart()
		}
	case asyncRecord:
		if e.state == asyncDone {
			t.emit(e)
		}
		t.gone--
	}
	return nil
}

// sendPart sends on the results that have waited for a watermark.
func (t *asyncTask[T, U]) sendPart() {
	for _, e := range t.queue {
		switch {
		case e == nil: // left
		case e.kind != asyncRecord || e.part > t.first:
			return
		case e.state == asyncDone:
			t.emit(e)
		}
	}
}

// compact lets go of the results that overtook the head of the queue.
func (t *asyncTask[T, U]) compact() {
	if t.gone <= t.o.Capacity || t.gone <= len(t.queue)/2 {
		return
	}
	t.queue = slices.DeleteFunc(t.queue, func(e *asyncEntry[T, U]) bool { return e.kind == asyncRecord && e.state == asyncGone })
	t.gone = 0
}

// full implements asyncLoop.
func (t *asyncTask[T, U]) full(spare int) bool { return len(t.waiting) > spare }

// mark implements asyncLoop. A watermark that nothing is before passes.
func (t *asyncTask[T, U]) mark(w Time, idle bool) error {
	if w <= t.marked && idle == t.idle {
		return nil
	}
	w = max(w, t.marked)
	t.marked, t.idle = w, idle
	if len(t.queue) == 0 {
		return t.st.follow(w, idle)
	}
	if last := t.queue[len(t.queue)-1]; last.kind == asyncMark {
		last.at, last.idle = w, idle
		return nil
	}
	t.queue = append(t.queue, &asyncEntry[T, U]{kind: asyncMark, at: w, idle: idle})
	t.part++
	return nil
}

// announce says that a barrier is about to be sent: queues that are full let it come.
func (a *attempt) announce(id meta.CheckpointID) {
	a.begun.Store(uint64(id))
	for _, st := range a.subtasks {
		if st.async != nil {
			st.inbox.ring()
		}
	}
}

// due implements clocked.
func (t *asyncTask[T, U]) due() (Time, bool) { return t.next, t.next < MaxTime }

// ring implements clocked: it ends calls that have timed out, and calls again where that is due.
func (t *asyncTask[T, U]) ring(now Time) {
	t.next = MaxTime
	for _, e := range t.queue {
		if e.kind != asyncRecord || e.state != asyncCalling && e.state != asyncPausing {
			continue
		}
		switch {
		case e.limit <= now:
			t.timeOut(e)
			continue
		case e.state == asyncPausing && e.again <= now:
			t.begin(e)
		case e.state == asyncPausing:
			t.next = min(t.next, e.again)
		}
		t.next = min(t.next, e.limit)
	}
	if err := t.send(); err != nil {
		panic(err)
	}
}

func (t *asyncTask[T, U]) timeOut(e *asyncEntry[T, U]) {
	err := fmt.Errorf("%w: no result after %s", ErrTimeout, t.o.Timeout)
	e.cancel(err)
	if t.late == nil {
		t.failRecord(e, err)
	}
	t.hand.take([]T{e.val})
	result, err := t.late(e.val)
	t.hand.done()
	if err != nil {
		t.failRecord(e, err)
	}
	t.finish(e, result)
}

// advance implements operator: the watermark has left the queue.
func (t *asyncTask[T, U]) advance(w Time) { t.watermark = max(t.watermark, w) }

func (t *asyncTask[T, U]) flush() error {
	t.stats.out.Store(t.out.pushed())
	t.stats.watermark.Store(int64(t.watermark))
	return nil
}

// snapshot makes the records in the queue part of the checkpoint.
func (t *asyncTask[T, U]) snapshot(a *ack) error {
	t.calls.begin(&t.keyedOp.ctx)
	for _, e := range t.queue {
		if e != nil && e.kind == asyncRecord && e.state != asyncGone {
			t.calls.add(&t.keyedOp.ctx, e.val, e.at)
		}
	}
	return t.freeze(a)
}

func (t *asyncTask[T, U]) close() error { return nil }

// end implements asyncLoop.
func (t *asyncTask[T, U]) end(cause error) { t.stop(cause) }

// wait implements asyncLoop.
func (t *asyncTask[T, U]) wait() { t.running.Wait() }
