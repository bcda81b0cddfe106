package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// purpose says why a checkpoint is taken.
type purpose uint8

const (
	periodic  purpose = iota
	requested         // by Running.Checkpoint
	relieving         // because a subtask is short of memory
	first             // of a fresh run, before a record is read
	final             // at the end of the input
	stopping          // by Running.Stop
)

// request asks the coordinator for a checkpoint.
type request struct {
	reply   chan<- reply // has room for one
	settled bool         // reply when the sinks have committed too, with the checkpoint open
}

type reply struct {
	checkpoint Checkpoint
	open       *snapshotter.Checkpoint // if it was to be settled; the receiver closes it
	err        error
}

// errStopped ends an attempt that was asked to stop and has committed its last checkpoint.
var errStopped = errors.New("stopped")

// coordinator takes the checkpoints of one attempt: it sends barriers to the sources, collects what the subtasks
// acknowledge, has it published, and has the sinks commit. One checkpoint is in flight at a time.
//
// It is one goroutine that handles one event after the other; publishing and committing run beside it and report back.
type coordinator struct {
	a    *attempt
	acks chan *ack
	ends chan struct{} // a source subtask has read all, or an async one has let go of all

	shortage  chan struct{} // a subtask is short of memory; capacity 1
	requests  chan request
	stop      <-chan struct{} // closed when the job shall stop; nil once that is known
	published chan publication
	committed chan commitment
	first     chan reply      // the outcome of a fresh run's first checkpoint
	loaded    <-chan struct{} // closed when all that was restored is verified; nil once that is known

	draining draining
	inFlight atomic.Int32 // checkpoints, for Stats
	schedule schedule
	round    *round    // in flight, nil if none
	waiting  []request // to be served by the next round
	open     []openTxn // prepared and not yet known to be committed
	durable  []openTxn // those of them that a durable checkpoint names: sinks may commit
	settling []settling
	short    bool // a checkpoint is to relieve memory

	newest  meta.CheckpointID // durable
	settled *kept             // the newest whose output is visible
	coming  *kept             // the one to take its place; nil: settled is the newest

	reading  int   // source subtasks that have not ended, and async ones that have not let go of all
	stopping bool  // take a last checkpoint and end
	ending   bool  // the last checkpoint of the attempt is committed; only its sinks are waited for
	failures int   // in a row
	result   error // of the attempt, once ending

	committers []*committer
	committing int // of them that are busy

	stuck error // what abandon has left behind
}

// round is one checkpoint in flight.
type round struct {
	id      meta.CheckpointID
	why     purpose
	pending *snapshotter.Pending
	started time.Time
	missing int // acknowledgements
	acks    []*ack
	cancel  context.CancelCauseFunc // of the publication; nil until it begins or the round is given up
	expired bool                    // and counted as failed; storage has not let go of it yet
	serves  []request
	short   bool // it was to relieve memory, too
}

func (r *round) name() string { return fmt.Sprintf("checkpoint %d", r.id) }

type publication struct {
	round *round
	txns  []openTxn // named in the checkpoint
	info  snapshotter.Info
	opens []opened // one for each request that is to be settled
	err   error
}

// opened is the outcome of opening a checkpoint.
type opened struct {
	checkpoint *snapshotter.Checkpoint
	err        error
}

func newCoordinator(a *attempt) *coordinator {
	c := &coordinator{
		a: a, acks: make(chan *ack), ends: make(chan struct{}),
		shortage: make(chan struct{}, 1), requests: make(chan request), published: make(chan publication, 1), first: make(chan reply, 1),
		committers: []*committer{{}},
	}
	for _, n := range a.job.nodes {
		if n.sink != nil {
			c.committers = append(c.committers, &committer{node: n})
		}
	}
	c.draining.stopped = make(chan struct{})
	c.committed = make(chan commitment, len(c.committers))
	c.schedule.interval, c.schedule.minPause = a.o.Checkpoints.Interval, a.o.Checkpoints.MinPause
	return c
}

// run coordinates until the attempt ends: nil at the end of the input, errStopped after a stop, or what went wrong. Then it
// gives up what is under way, and waits for that no longer than the shutdown timeout.
func (c *coordinator) run(ctx context.Context) (err error) {
	defer func() { c.draining.abort(err) }()
	defer c.abandon()
	c.reading = c.a.inputs()
	now := c.a.o.Clock.Now()
	c.schedule.lastStart, c.schedule.lastEnd = now, now
	if c.a.from == nil {
		if err := c.begin(first, now); err != nil {
			return err
		}
	} else {
		c.subsume(c.a.from.Meta.ID) // its output was committed before anything else
		close(c.a.started)
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		timer, stop := c.timer()
		err := c.event(ctx, timer)
		stop()
		if err != nil {
			return err // also of a stop whose output is not visible yet: it has not come about
		}
		if c.over() {
			return c.result
		}
		if err := c.next(c.a.o.Clock.Now()); err != nil {
			return err
		}
	}
}

// event waits for the next thing to happen and handles it.
func (c *coordinator) event(ctx context.Context, timer <-chan time.Time) error {
	select {
	case k := <-c.acks:
		c.acknowledged(ctx, k)
	case p := <-c.published:
		return c.concluded(ctx, p)
	case m := <-c.committed:
		return c.sinkCommitted(ctx, m)
	case <-c.ends:
		c.reading--
	case <-c.shortage:
		c.short = true
	case r := <-c.requests:
		c.waiting = append(c.waiting, r)
	case q := <-c.draining.requests:
		c.draining.asked = append(c.draining.asked, q)
	case <-c.draining.stopped:
		c.draining.missing--
	case <-c.stop:
		c.stop, c.stopping = nil, true
	case <-c.loaded:
		c.loaded = nil
		c.a.observeLoaded()
	case now := <-timer:
		return c.expire(now)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// timer rings when a checkpoint is due or has taken too long.
func (c *coordinator) timer() (<-chan time.Time, func()) {
	at, ok := c.schedule.due()
	if soon, short := c.relief(); short && (!ok || soon.Before(at)) {
		at, ok = soon, true
	}
	switch {
	case c.ending, c.draining.missing > 0:
		ok = false
	case c.round == nil && (c.stopping || c.finishing()):
		ok = false // only a late acknowledgement is waited for
	case c.round != nil:
		at, ok = c.round.started.Add(c.a.o.Checkpoints.Timeout), !c.round.expired
	}
	if !ok {
		return nil, func() {}
	}
	return c.a.o.Clock.Alarm(at)
}

// next starts the checkpoint that is wanted now, if one is.
func (c *coordinator) next(now time.Time) error {
	if c.round != nil || c.ending {
		return nil
	}
	if c.drain(); c.draining.missing > 0 {
		return nil
	}
	if c.stopping {
		return c.begin(stopping, now)
	}
	if c.finishing() {
		return c.begin(final, now)
	}
	if len(c.waiting) > 0 {
		return c.begin(requested, now)
	}
	if at, short := c.relief(); short && !now.Before(at) {
		return c.begin(relieving, now)
	}
	if at, ok := c.schedule.due(); ok && !now.Before(at) {
		return c.begin(periodic, now)
	}
	return nil
}

// finishing says that the input has ended, the calls for it too, and that everything restored was verified: before that the
// job may not finish.
func (c *coordinator) finishing() bool { return c.reading == 0 && c.loaded == nil }

// begin sends a barrier to every source subtask.
func (c *coordinator) begin(why purpose, now time.Time) error {
	c.schedule.lastStart = now
	if st := c.behind(); st != nil {
		if why == requested {
			c.answer(c.waiting, reply{err: fmt.Errorf("%w: task %s has not taken up the barrier before", meta.ErrAborted, st)})
			c.waiting = nil
		}
		return nil // a last checkpoint begins when the task's late acknowledgement comes
	}
	r := &round{why: why, started: now, missing: len(c.a.subtasks), serves: c.waiting, short: c.short}
	c.waiting, c.short = nil, false
	p, err := c.a.dir.Begin()
	if err != nil {
		return c.failed(r, err)
	}
	r.pending, r.id = p, p.ID()
	c.round = r
	c.inFlight.Store(1)
	c.a.triggered.Store(now.UnixNano())
	c.a.announce(r.id)
	for _, st := range c.a.subtasks {
		if commands := c.a.commands[st]; commands != nil {
			commands <- command{barrier: r.id, stop: why == stopping}
		}
	}
	return nil
}

// behind is a source subtask that has not taken up the barrier of an expired round, nil if there is none.
func (c *coordinator) behind() *subtask {
	for _, st := range c.a.subtasks {
		if len(c.a.commands[st]) > 0 {
			return st
		}
	}
	return nil
}

func (c *coordinator) answer(to []request, r reply) {
	for _, q := range to {
		q.reply <- r
	}
}

// acknowledged takes in a subtask's part. Prepared transactions are kept whatever becomes of the checkpoint: the next
// one carries them.
func (c *coordinator) acknowledged(ctx context.Context, k *ack) {
	for _, n := range c.a.job.nodes {
		for _, t := range k.txns[n] {
			c.open = append(c.open, openTxn{n, t})
		}
	}
	r := c.round
	if r == nil || r.id != k.id || r.cancel != nil {
		for _, nc := range k.cuts {
			nc.cut.Done(meta.Verdict{Err: meta.ErrAborted})
		}
		return
	}
	for _, nc := range k.cuts {
		r.pending.Add(c.a.watch(nc.cut, fmt.Sprintf("writer %d of %s [%d]", k.id, nc.node.uid, k.subtask)))
	}
	r.acks = append(r.acks, k)
	if r.missing--; r.missing == 0 {
		c.publish(ctx, r)
	}
}

func (c *coordinator) publish(ctx context.Context, r *round) {
	ctx, r.cancel = context.WithCancelCause(ctx)
	m := c.metadata(r)
	txns, opens := append([]openTxn(nil), c.open...), countSettled(r.serves)
	go func() {
		c.a.step(r.name(), "starts")
		p := publication{round: r, txns: txns}
		if p.info, p.err = r.pending.Publish(ctx, m); p.err == nil {
			p.opens = c.openFor(ctx, opens, r.id)
		}
		c.a.step(r.name(), "ends")
		c.published <- p
	}()
}

// expire gives up a checkpoint that takes too long. It counts as failed at once. Storage that hangs keeps the next one
// from starting, but not the records: its cuts are given up.
func (c *coordinator) expire(now time.Time) error {
	r := c.round
	if r == nil || now.Sub(r.started) < c.a.o.Checkpoints.Timeout {
		return nil
	}
	err := fmt.Errorf("checkpoint %d: not complete after %s: %w", r.id, c.a.o.Checkpoints.Timeout, meta.ErrAborted)
	r.expired = true
	c.giveUp(r, err)
	return c.failed(r, err)
}

// giveUp ends a round. That storage has let go of it is reported as its publication.
func (c *coordinator) giveUp(r *round, err error) {
	if r.cancel != nil {
		r.cancel(err)
		return
	}
	r.cancel = func(error) {}
	go func() {
		c.a.step(r.name(), "is given up")
		r.pending.Abort(err)
		c.published <- publication{round: r, err: err}
	}()
}

// concluded handles the outcome of a checkpoint.
func (c *coordinator) concluded(ctx context.Context, p publication) error {
	r := p.round
	r.cancel(nil)
	c.round = nil
	c.inFlight.Store(0)
	c.schedule.lastEnd = c.a.o.Clock.Now()
	switch {
	case p.err != nil && r.expired:
		return nil // it was counted then
	case p.err != nil:
		return c.failed(r, p.err)
	}
	c.failures = 0
	done := c.completed(r, p.info)
	c.serve(r.serves, done, p)
	c.subsume(done.ID)
	switch r.why {
	case first:
		close(c.a.started)
		c.first <- reply{checkpoint: done}
	case stopping:
		c.ending, c.result = true, errStopped
	case final:
		c.ending = true
	}
	open := map[string]bool{}
	for _, t := range c.open {
		open[t.id()] = true
	}
	c.durable = slices.DeleteFunc(p.txns, func(t openTxn) bool { return !open[t.id()] })
	c.commit(ctx)
	return nil
}

func (c *coordinator) completed(r *round, info snapshotter.Info) Checkpoint {
	done := Checkpoint{
		ID: r.id, Path: info.Path, Triggered: r.started, Duration: c.a.o.Clock.Now().Sub(r.started),
		Bytes: info.Written, FullBytes: info.Stored, Files: info.Files,
	}
	if c.a.o.Checkpoints.Dir == "" {
		done.Path = ""
	}
	c.a.observe(done)
	return done
}

// failed counts a checkpoint that was given up. The state it would have held stays dirty and goes into the next one.
func (c *coordinator) failed(r *round, err error) error {
	err = hintSize(err)
	c.failures++
	c.short = c.short || r.short
	c.a.observeFailure(r.id, r.expired, err)
	c.answer(r.serves, reply{err: err})
	r.serves = nil
	switch {
	case r.why == first:
		c.first <- reply{err: err}
		return Permanent(err)
	case c.failures > max(c.a.o.Checkpoints.Tolerable, 0):
		return Permanent(fmt.Errorf("%w: %d in a row, the last: %w", ErrCheckpoints, c.failures, err))
	}
	return nil
}

// over says that the last checkpoint is taken and its output is visible.
func (c *coordinator) over() bool { return c.ending && c.committing == 0 }
