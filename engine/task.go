package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// gatherBudget is how long a task copies frozen lines between two batches.
const gatherBudget = 20 * time.Microsecond

// gatherAgain is how long a task that waits lets the writer of a checkpoint make room for more saved lines, in the machine's
// time: storage goes by that.
const gatherAgain = time.Millisecond

// apart ends what one subtask writes to with each record, so that no other one's lies on the same cache line.
type apart [64]byte

// taskPlan is a chain of nodes that run fused in one goroutine per subtask.
type taskPlan struct {
	head  *node   // a source, or what reads from other tasks
	nodes []*node // in topological order, the head first

	subtasks int // how many goroutines run it
}

func (p *taskPlan) String() string {
	s := ""
	for i, n := range p.nodes {
		if i > 0 {
			s += " -> "
		}
		s += n.label()
	}
	return s
}

// operator is what a node is in one subtask, apart from taking records, which is typed.
type operator interface {
	advance(w Time)      // the watermark has moved on: fire
	flush() error        // end of a batch
	snapshot(*ack) error // a barrier passes
	close() error        // the attempt is over, however it ended
}

// subtask is one goroutine's share of a task.
type subtask struct {
	a     *attempt
	ctx   context.Context
	plan  *taskPlan
	index int

	together int // records that go from operator to operator at a time

	outlets map[*port]any          // *outlet[T]
	flushes []interface{ flush() } // of the outlets, in topological order
	ops     []operator             // in topological order
	keyed   []*keyedOp             // those with state
	senders []sender
	clocked []clocked // those of the operators that go by the clock
	hands   []hand    // in the order in which calls nest
	stats   []*nodeStats
	begun   bool // run was called

	inbox     *inbox
	receivers []func(batch any) // by input
	received  int64
	source    sourceLoop // of a task that begins with a source
	async     asyncLoop  // of one that begins with an async node

	short bool // a store is above its memory limit: sources hold their records back
	asked bool // for a checkpoint that relieves it, since the last barrier

	origin    origin    // of the records in hand
	writing   bool      // a sink writes them
	read      time.Time // what the job's clock said at the beginning of the batch
	now       Time      // the same
	alarm     alarm     // set while the subtask waits for a time to come
	again     bell      // set while it waits and may have more to gather soon
	time      inputTime
	asleep    bool // the tasks behind were told to go on without this subtask's time
	watermark Time
	barriers  barrierTime
	load      loadMeter
	passed    uint64 // the last barrier that has come
	fired     int    // timers since the last pause
	stopped   bool   // the barrier of a stop has passed: nothing is sent after it but barriers, since it would be sent again by whoever resumes
}

// ack is a subtask's part of a checkpoint: all of it as of the barrier.
type ack struct {
	id         meta.CheckpointID
	subtask    int // its index
	cuts       []nodeCut
	watermarks map[*node]Time
	splits     map[*node][]meta.Split
	stands     []SplitStats // of those that have not ended
	txns       map[*node][]meta.Txn
	counts     []nodeCount
}

type nodeCut struct {
	node *node
	cut  meta.Cut
}

func (st *subtask) String() string { return fmt.Sprintf("%s [%d]", st.plan, st.index) }

// run is the subtask's goroutine. It reports once, whatever goes wrong in it: a user's panic and runtime.Goexit become
// its error.
func (st *subtask) run(report func(error)) {
	st.begun = true
	st.step("starts")
	err := errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = st.failure(v, debug.Stack())
		} else if err == errGoexit {
			err = st.culprit(errGoexit, debug.Stack())
		}
		report(st.spoilt(st.placed(err)))
		if st.async != nil {
			st.async.wait() // after the report, which has the attempt end
		}
	}()
	err = st.work()
}

func (st *subtask) work() error {
	for _, op := range st.keyed {
		if err := op.open(st.ctx); err != nil {
			return err
		}
	}
	defer st.alarm.clear()
	if err := st.resume(); err != nil {
		return err
	}
	if st.source != nil {
		return st.source.run()
	}
	if st.async != nil {
		defer st.async.end(context.Canceled)
		if err := st.async.start(); err != nil {
			return err
		}
	}
	return st.loop()
}

// resume tells the tasks behind where time was restored to. They may know less: another input can have held them back, and
// if this one's time has come to its end it will not move again. What is due by then fires first.
func (st *subtask) resume() error {
	w := st.watermark
	st.watermark = MinTime
	return st.advance(w)
}

// take gives the next message that the subtask can work on. One that is full takes only what comes before a barrier: a
// checkpoint does not wait for calls, unless very many records do.
func (st *subtask) take() (m message, in int, ok bool) {
	if st.full() {
		return message{}, 0, false
	}
	return st.inbox.take()
}

// full says that calls have to end before more can be taken than a barrier that has been sent.
func (st *subtask) full() bool {
	if st.async == nil || st.stopped {
		return false
	}
	spare := 0
	if st.passed != st.a.begun.Load() {
		spare = asyncSpare * len(st.receivers)
	}
	return st.async.full(spare)
}

// loop reads the inbox until the attempt ends.
func (st *subtask) loop() error {
	for {
		if st.async != nil && !st.stopped {
			if err := st.async.collect(); err != nil {
				return err
			}
		}
		m, in, ok := st.take()
		if !ok {
			again, err := st.rest()
			if err != nil {
				return err
			}
			rung := false
			if !st.full() {
				st.spend(idle)
			}
			select {
			case <-st.inbox.wake:
			case <-again:
			case <-st.alarm.ring:
				rung = true
			case <-st.ctx.Done():
			}
			st.spend(busy)
			st.again.clear()
			st.step("wakes")
			if st.ctx.Err() != nil {
				return context.Cause(st.ctx)
			}
			st.inbox.look()
			if !st.alarm.rang(rung) {
				continue
			}
			if err := st.rung(); err != nil {
				return err
			}
			continue
		}
		st.note(m, in)
		if err := st.handle(m, in); err != nil {
			return err
		}
		if err := st.risk("goes on"); err != nil {
			return err
		}
		if st.ctx.Err() != nil {
			return context.Cause(st.ctx)
		}
	}
}

func (st *subtask) handle(m message, in int) error {
	if err := st.begin(); err != nil {
		return err
	}
	switch m.kind {
	case msgBatch:
		st.origin = m.origin
		st.receivers[in](m.batch)
		err := st.endBatch()
		st.origin = origin{}
		return err
	case msgWatermark:
		return st.mark(st.time.watermark(in, m.time))
	case msgIdle:
		return st.mark(st.time.idle(in))
	case msgBarrier:
		st.delay(m.barrier)
		if !st.inbox.hold(in) {
			return nil
		}
		st.aligned()
		st.passed = uint64(m.barrier)
		return st.barrier(m.command)
	}
	return nil
}

// receive says what becomes of the batches of an edge that leads to the head of the task.
func (st *subtask) receive(e *edge, use func(batch any)) {
	first, end := st.a.layout.inputsOf(e, st.plan)
	for in := first; in < end; in++ {
		st.receivers[in] = use
	}
}

// endBatch sends on what the batch has led to, so that no record waits for a later one, and breathes.
func (st *subtask) endBatch() error {
	if err := st.workOff(); err != nil {
		return err
	}
	st.send()
	st.expire()
	return st.breathe()
}

// expire removes some of what has lived its time. It is for the end of records, not for barriers: what it writes to has to
// wait for the next checkpoint before it can be evicted, so that memory would be short again after each of them, and no
// record would ever be taken where one follows the other.
func (st *subtask) expire() {
	if st.short {
		return
	}
	for _, op := range st.keyed {
		op.expire()
	}
}

// send has no record wait for later ones.
func (st *subtask) send() {
	for _, s := range st.senders {
		s.flush()
	}
}

// workOff has no record stay with an operator.
func (st *subtask) workOff() error {
	for _, op := range st.ops {
		st.flush()
		if err := op.flush(); err != nil {
			return err
		}
	}
	st.flush()
	return nil
}

// breathe gathers for a moment, and takes over what was loaded meanwhile. No reference into state is in use here.
func (st *subtask) breathe() error {
	st.gather(st.gatherNow())
	return st.maintain()
}

// flush has no record stay in an outlet.
func (st *subtask) flush() {
	for _, o := range st.flushes {
		o.flush()
	}
}

// mark takes in where the time of the inputs stands now.
func (st *subtask) mark(w Time) error {
	if st.async != nil {
		return st.async.mark(w, st.time.idles())
	}
	return st.follow(w, st.time.idles())
}

// advance moves the subtask's time on: each operator fires before the next one sees the new time.
func (st *subtask) advance(w Time) error {
	if w <= st.watermark {
		return nil
	}
	st.watermark = w
	st.send() // records that were read, not what fires now
	st.origin = origin{}
	for _, op := range st.ops {
		st.flush()
		op.advance(w)
	}
	if err := st.endBatch(); err != nil {
		return err
	}
	for _, s := range st.senders {
		s.send(message{kind: msgWatermark, time: w})
	}
	if w == MaxTime && st.async != nil {
		return st.ended()
	}
	return nil
}

// ended says that nothing comes from the subtask any more but barriers.
func (st *subtask) ended() error {
	err := st.a.inputEnded(st.ctx)
	st.step("has ended")
	return err
}

// follow moves time on to that of the inputs. A subtask whose inputs are all idle is idle itself.
func (st *subtask) follow(w Time, idle bool) error {
	if !idle {
		st.wake()
		return st.advance(w)
	}
	if err := st.advance(w); err != nil {
		return err
	}
	st.sleep()
	return nil
}

// sleep tells the tasks behind to go on without this subtask's time.
func (st *subtask) sleep() {
	if st.asleep {
		return
	}
	st.asleep = true
	for _, to := range st.senders {
		to.send(message{kind: msgIdle})
	}
}

// wake makes the tasks behind wait for this subtask's time again, from where it stood.
func (st *subtask) wake() {
	if !st.asleep {
		return
	}
	st.asleep = false
	for _, to := range st.senders {
		to.send(message{kind: msgWatermark, time: st.watermark})
	}
}

// barrier cuts the subtask's state here: freeze, forward, acknowledge.
func (st *subtask) barrier(c command) error {
	st.stopped = st.stopped || c.stop
	st.asked = true // this checkpoint is one
	a := &ack{id: c.barrier, subtask: st.index, watermarks: map[*node]Time{}, splits: map[*node][]meta.Split{}, txns: map[*node][]meta.Txn{}}
	if err := st.workOff(); err != nil {
		return err
	}
	st.send()
	if err := st.breathe(); err != nil {
		return err
	}
	if st.source != nil {
		st.source.snapshot(a)
	}
	for _, op := range st.ops {
		if err := op.snapshot(a); err != nil {
			return err
		}
	}
	for _, s := range st.stats {
		a.counts = append(a.counts, nodeCount{s.node, s.counts()})
	}
	for _, s := range st.senders {
		s.send(message{kind: msgBarrier, command: c})
	}
	st.asked = false
	if err := st.risk("acknowledges"); err != nil {
		return err
	}
	if err := st.a.acknowledge(st.ctx, a); err != nil {
		return err
	}
	st.step("has acknowledged")
	return st.relieve()
}

func (st *subtask) gather(budget time.Duration) {
	for _, op := range st.keyed {
		op.store.Gather(budget)
	}
}

// idle is called before the subtask waits: whatever can be gathered is gathered now. While a checkpoint is in flight
// there may be more to gather soon, when its writer has made room: again rings when to look, and is cleared after the wait.
func (st *subtask) idle() (again <-chan time.Time) {
	st.gather(time.Hour)
	for _, op := range st.keyed {
		if done, _ := op.store.Settle(); !done {
			return st.again.set(gatherAgain)
		}
	}
	return nil
}

// pause is called between timers of a long run of them.
func (st *subtask) pause() {
	if st.fired++; st.fired < 64 {
		return
	}
	st.fired = 0
	st.gather(gatherBudget)
	if st.ctx.Err() != nil {
		panic(context.Cause(st.ctx))
	}
}

// put sends to another task and gathers rather than wait idly.
func (st *subtask) put(to *inbox, in int, m message) {
	if to.tryPut(in, m) {
		return
	}
	st.spend(backPressured)
	for done := false; !done; {
		var err error
		done, err = to.put(st.ctx, in, m, st.idle(), st.step)
		if st.again.clear(); err != nil {
			panic(err)
		}
	}
	st.spend(busy)
}

func (st *subtask) close() (err error) {
	if !st.begun {
		return nil
	}
	for _, op := range st.ops {
		err = errors.Join(err, op.close())
	}
	return err
}

// failure turns a recovered value into the subtask's error.
func (st *subtask) failure(v any, stack []byte) error {
	if err, ok := mmapstate.Recovered(v); ok {
		return fmt.Errorf("state of task %s: %w", st, err)
	}
	switch v := v.(type) {
	case *OperatorError:
		return v
	case error:
		if st.ctx.Err() != nil && errors.Is(v, context.Cause(st.ctx)) {
			return v
		}
	}
	return st.culprit(panicked(v), stack)
}

// culprit blames a failure on the user's function that was running.
func (st *subtask) culprit(err error, stack []byte) error {
	e := &OperatorError{UID: st.plan.head.label(), Err: err, Stack: stack}
	for _, h := range st.hands {
		if h.busy() {
			e.UID, e.Key, e.Record = h.inHand()
		}
	}
	return e
}
