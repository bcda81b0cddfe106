package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// purpose says why a checkpoint is taken.
type purpose uint8

const (
	periodic  purpose = iota
	requested         // by Running.Checkpoint
	first             // of a fresh run, before a record is read
	final             // at the end of the input
	stopping          // by Running.Stop
)

// request asks the coordinator for a checkpoint.
type request struct {
	stop  bool
	reply chan<- reply // has room for one
}

type reply struct {
	checkpoint Checkpoint
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
	ends chan struct{} // a source subtask has read all

	requests  chan request
	published chan publication
	committed chan commitment
	first     chan reply // the outcome of a fresh run's first checkpoint

	schedule schedule
	round    *round    // in flight, nil if none
	waiting  []request // to be served by the next round
	open     []openTxn // prepared and not yet known to be committed
	reading  int       // source subtasks that have not ended
	ending   bool      // the last checkpoint of the attempt is committed; only its sinks are waited for
	failures int       // in a row
	commits  int       // commitments under way
	result   error     // of the attempt, once ending
}

// round is one checkpoint in flight.
type round struct {
	id      meta.CheckpointID
	why     purpose
	pending *snapshotter.Pending
	started time.Time
	missing int // acknowledgements
	acks    []*ack
	cancel  context.CancelFunc // of the publication, nil until it begins
	expired bool
	serves  []request
}

type openTxn struct {
	node *node
	txn  meta.Txn
}

type publication struct {
	round *round
	txns  []openTxn // named in the checkpoint
	info  snapshotter.Info
	err   error
}

type commitment struct {
	txns []openTxn
	err  error
}

func newCoordinator(a *attempt) *coordinator {
	c := &coordinator{
		a: a, acks: make(chan *ack), ends: make(chan struct{}),
		requests: make(chan request), published: make(chan publication, 1), committed: make(chan commitment, 1),
		first: make(chan reply, 1),
	}
	c.schedule.interval, c.schedule.minPause = a.o.Checkpoints.Interval, a.o.Checkpoints.MinPause
	return c
}

// run coordinates until the attempt ends: nil at the end of the input, errStopped after a stop, or what went wrong.
func (c *coordinator) run(ctx context.Context) error {
	defer c.abandon()
	c.reading = len(c.a.commands)
	now := time.Now()
	c.schedule.lastStart, c.schedule.lastEnd = now, now
	if c.a.from == nil {
		if err := c.begin(first, now); err != nil {
			return err
		}
	} else {
		close(c.a.started)
	}
	for {
		timer, stop := c.timer()
		err := c.event(ctx, timer)
		stop()
		if err != nil || c.over() {
			return errors.Join(err, c.result)
		}
		if err := c.next(time.Now()); err != nil {
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
		return c.sinksCommitted(m)
	case <-c.ends:
		c.reading--
	case r := <-c.requests:
		c.waiting = append(c.waiting, r)
	case now := <-timer:
		c.expire(now)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// timer rings when a checkpoint is due or has taken too long.
func (c *coordinator) timer() (<-chan time.Time, func()) {
	at, ok := c.schedule.due()
	switch {
	case c.ending:
		ok = false
	case c.round != nil:
		at, ok = c.round.started.Add(c.a.o.Checkpoints.Timeout), !c.round.expired
	}
	if !ok {
		return nil, func() {}
	}
	t := time.NewTimer(time.Until(at))
	return t.C, func() { t.Stop() }
}

// next starts the checkpoint that is wanted now, if one is.
func (c *coordinator) next(now time.Time) error {
	if c.round != nil || c.ending {
		return nil
	}
	for _, r := range c.waiting {
		if r.stop {
			return c.begin(stopping, now)
		}
	}
	if c.reading == 0 {
		return c.begin(final, now)
	}
	if len(c.waiting) > 0 {
		return c.begin(requested, now)
	}
	if at, ok := c.schedule.due(); ok && !now.Before(at) {
		return c.begin(periodic, now)
	}
	return nil
}

// begin sends a barrier to every source subtask.
func (c *coordinator) begin(why purpose, now time.Time) error {
	r := &round{why: why, started: now, missing: len(c.a.subtasks), serves: c.waiting}
	c.waiting = nil
	c.schedule.lastStart = now
	for st, commands := range c.a.commands {
		if len(commands) > 0 {
			return c.failed(r, fmt.Errorf("task %s has not taken up the barrier before", st))
		}
	}
	p, err := c.a.dir.Begin()
	if err != nil {
		return c.failed(r, err)
	}
	r.pending, r.id = p, p.ID()
	c.round = r
	for _, commands := range c.a.commands {
		commands <- command{barrier: r.id, stop: why == stopping}
	}
	return nil
}

// acknowledged takes in a subtask's part. Prepared transactions are kept whatever becomes of the checkpoint: the next
// one carries them.
func (c *coordinator) acknowledged(ctx context.Context, k *ack) {
	for n, txns := range k.txns {
		for _, t := range txns {
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
		r.pending.Add(nc.cut)
	}
	r.acks = append(r.acks, k)
	if r.missing--; r.missing == 0 {
		c.publish(ctx, r)
	}
}

func (c *coordinator) publish(ctx context.Context, r *round) {
	ctx, r.cancel = context.WithCancel(ctx)
	m := c.metadata(r)
	txns := append([]openTxn(nil), c.open...)
	go func() {
		info, err := r.pending.Publish(ctx, m)
		c.published <- publication{r, txns, info, err}
	}()
}

// expire gives up a checkpoint that takes too long. A publication that hangs keeps the next one from starting, but not
// the records: its cuts are given up.
func (c *coordinator) expire(now time.Time) {
	r := c.round
	if r == nil || now.Sub(r.started) < c.a.o.Checkpoints.Timeout {
		return
	}
	err := fmt.Errorf("checkpoint %d: not complete after %s: %w", r.id, c.a.o.Checkpoints.Timeout, meta.ErrAborted)
	r.expired = true
	if r.cancel != nil {
		r.cancel()
		return
	}
	c.published <- publication{round: r, err: err}
}

// concluded handles the outcome of a checkpoint.
func (c *coordinator) concluded(ctx context.Context, p publication) error {
	r := p.round
	if r.cancel != nil {
		r.cancel()
	}
	c.round = nil
	c.schedule.lastEnd = time.Now()
	if p.err != nil {
		r.pending.Abort(p.err)
		return c.failed(r, p.err)
	}
	c.failures = 0
	done := c.completed(r, p.info)
	for _, q := range r.serves {
		if !q.stop {
			q.reply <- reply{checkpoint: done}
		}
	}
	switch r.why {
	case first:
		close(c.a.started)
		c.first <- reply{checkpoint: done}
	case stopping:
		c.ending, c.result = true, errStopped
	case final:
		c.ending = true
	}
	c.commits++
	go func() { c.committed <- commitment{p.txns, c.commit(ctx, p.txns)} }()
	return nil
}

func (c *coordinator) completed(r *round, info snapshotter.Info) Checkpoint {
	done := Checkpoint{
		ID: r.id, Path: info.Path, Triggered: r.started, Duration: time.Since(r.started),
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
	c.failures++
	c.a.observeFailure(r.id, err)
	for _, q := range r.serves {
		q.reply <- reply{err: err}
	}
	switch {
	case r.why == first:
		c.first <- reply{err: err}
		return Permanent(err)
	case r.why == stopping:
		return Permanent(fmt.Errorf("last checkpoint: %w", err))
	case c.failures > max(c.a.o.Checkpoints.Tolerable, 0):
		return Permanent(fmt.Errorf("%w: %d in a row, the last: %w", ErrCheckpoints, c.failures, err))
	}
	return nil
}

// step 8 of a checkpoint: the sinks make visible what it names, beside the records of the next one, until it succeeds.
func (c *coordinator) commit(ctx context.Context, txns []openTxn) error {
	for _, t := range txns {
		delay := 10 * time.Millisecond
		for {
			err := t.node.sink.commit(ctx, t.txn.Handle)
			if err == nil {
				break
			}
			err = fmt.Errorf("sink %q: commit: %w", t.node.uid, err)
			if IsPermanent(err) {
				return err
			}
			c.a.o.Logger.Warn("commit is repeated", "error", err)
			select {
			case <-time.After(delay):
				delay = min(2*delay, 10*time.Second)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	_, err := c.a.dir.Retire(ctx)
	return err
}

// sinksCommitted forgets the transactions that are visible now.
func (c *coordinator) sinksCommitted(m commitment) error {
	c.commits--
	if m.err != nil {
		return m.err
	}
	done := map[string]bool{}
	for _, t := range m.txns {
		done[t.node.uid+"\x00"+string(t.txn.Handle)] = true
	}
	kept := c.open[:0]
	for _, t := range c.open {
		if !done[t.node.uid+"\x00"+string(t.txn.Handle)] {
			kept = append(kept, t)
		}
	}
	c.open = kept
	return nil
}

// over says that the last checkpoint is taken and its output is visible.
func (c *coordinator) over() bool { return c.ending && c.commits == 0 }

// abandon ends what is under way when the attempt ends. It returns when nothing of it is running.
func (c *coordinator) abandon() {
	if r := c.round; r != nil {
		if r.cancel != nil {
			r.cancel()
			p := <-c.published
			if p.err == nil {
				c.completed(r, p.info) // it made it: the next attempt starts from there
			}
		} else {
			r.pending.Abort(meta.ErrAborted)
		}
		c.waiting = append(c.waiting, r.serves...)
	}
	for c.commits > 0 {
		<-c.committed
		c.commits--
	}
	for _, q := range c.waiting {
		q.reply <- reply{err: meta.ErrAborted}
	}
}

// metadata is what the checkpoint says, but for what storage adds.
func (c *coordinator) metadata(r *round) *meta.Metadata {
	a := c.a
	m := &meta.Metadata{
		Name: a.job.name, Created: r.started.UnixNano(), Args: a.o.Args, Notes: map[string]string{},
		HashName: mmapstate.HashName, HashSeed: a.hashSeed, KeyGroups: uint16(a.keyGroups),
	}
	for _, n := range a.job.nodes {
		switch {
		case n.stateful:
			m.Operators = append(m.Operators, c.operator(r, n))
		case n.source != nil:
			m.Sources = append(m.Sources, meta.Source{UID: n.uid, Splits: splitsOf(r, n)})
		case n.sink != nil:
			s := meta.Sink{UID: n.uid}
			for _, t := range c.open {
				if t.node == n {
					s.Txns = append(s.Txns, t.txn)
				}
			}
			m.Sinks = append(m.Sinks, s)
		}
		if n.needsUID() {
			m.Notes[countsNote(n.uid)] = countsOf(r, n).String()
		}
	}
	return m
}

func (c *coordinator) operator(r *round, n *node) meta.Operator {
	o := meta.Operator{
		No: n.no, UID: n.uid, Kind: n.kind, Fingerprint: n.fingerprint,
		Parallelism: uint16(c.a.parallelism), Watermark: int64(MaxTime),
	}
	for _, k := range r.acks {
		if w, ok := k.watermarks[n]; ok {
			o.Watermark = min(o.Watermark, int64(w))
		}
	}
	return o
}

func splitsOf(r *round, n *node) (all []meta.Split) {
	for _, k := range r.acks {
		all = append(all, k.splits[n]...)
	}
	return all
}

func countsOf(r *round, n *node) (sum counts) {
	for _, k := range r.acks {
		for _, nc := range k.counts {
			if nc.node == n {
				sum = sum.plus(nc.counts)
			}
		}
	}
	return sum
}
