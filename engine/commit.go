package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pagetide/pagetide/meta"
)

type openTxn struct {
	node *node
	txn  meta.Txn
}

type commitment struct {
	of    *committer
	done  []openTxn // visible now
	again bool      // some failed, to be repeated
	err   error     // ends the attempt
}

// committer is the commits of one sink, or the removal of older checkpoints: one at a time, repeated while they fail.
type committer struct {
	node  *node // nil: removal
	busy  bool
	owed  bool          // another one is to follow
	delay time.Duration // before the next one, after a failure
}

func (m *committer) name() string {
	if m.node == nil {
		return "removal of older checkpoints"
	}
	return "commits of " + m.node.uid
}

// commit has every sink make visible what the newest durable checkpoint names, and older checkpoints removed, all beside
// the records of the next one. A sink that fails holds up no other.
func (c *coordinator) commit(ctx context.Context) {
	for _, m := range c.committers {
		m.owed = true
		c.commitNext(ctx, m)
	}
}

// retireSoon has older checkpoints removed.
func (c *coordinator) retireSoon(ctx context.Context) {
	removal := c.committers[0]
	removal.owed = true
	c.commitNext(ctx, removal)
}

func (c *coordinator) commitNext(ctx context.Context, m *committer) {
	if m.busy || !m.owed {
		return
	}
	m.busy, m.owed = true, false
	c.committing++
	if m.node == nil {
		go func() { c.committed <- c.retire(ctx, m) }()
		return
	}
	var txns []openTxn
	for _, t := range c.durable {
		if t.node == m.node {
			txns = append(txns, t)
		}
	}
	delay := m.delay
	go func() { c.committed <- c.commitAll(ctx, m, txns, delay) }()
}

// step 8 of a checkpoint: the transactions of one sink become visible, in order.
func (c *coordinator) commitAll(ctx context.Context, of *committer, txns []openTxn, delay time.Duration) commitment {
	m := commitment{of: of}
	ring, stop := c.a.o.Clock.Alarm(c.a.o.Clock.Now().Add(delay))
	defer stop()
	select {
	case <-ring:
	case <-ctx.Done():
	}
	if c.a.step(of.name(), "starts"); ctx.Err() != nil {
		m.err = context.Cause(ctx)
		return m
	}
	for _, t := range txns {
		err := c.commitOne(ctx, of, t)
		switch {
		case err == nil:
			m.done = append(m.done, t)
			continue
		case ctx.Err() != nil:
			m.err = context.Cause(ctx)
		case IsPermanent(err) || broke(err):
			m.err = err
		default:
			m.again = true
			c.a.o.Logger.Warn("commit is repeated", "sink", t.node.uid, "error", err)
		}
		return m
	}
	return m
}

func (c *coordinator) commitOne(ctx context.Context, of *committer, t openTxn) error {
	if err := c.a.risk(of.name(), "commits"); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := t.node.call("commit", func() error { return t.node.sink.commit(ctx, t.txn.Handle) })
	return errors.Join(err, c.a.risk(of.name(), "has committed"))
}

// retire is steps 9 and 10. What cannot be removed now is removed after a later checkpoint.
func (c *coordinator) retire(ctx context.Context, of *committer) commitment {
	c.a.step(of.name(), "starts")
	if _, err := c.a.dir.Retire(ctx); err != nil && ctx.Err() == nil {
		c.a.o.Logger.Warn("older checkpoints stay for now", "error", err)
	}
	c.a.step(of.name(), "ends")
	return commitment{of: of}
}

// sinkCommitted forgets the transactions that are visible now.
func (c *coordinator) sinkCommitted(ctx context.Context, m commitment) error {
	c.committing--
	m.of.busy = false
	if m.err != nil {
		return m.err
	}
	visible := map[string]bool{}
	for _, t := range m.done {
		visible[t.id()] = true
	}
	gone := func(t openTxn) bool { return visible[t.id()] }
	c.open = slices.DeleteFunc(c.open, gone)
	c.durable = slices.DeleteFunc(c.durable, gone)
	c.answerSettled()
	if c.settle() {
		c.retireSoon(ctx)
	}
	if len(m.done) > 0 || !m.again {
		m.of.delay = 0 // the sink is there
	}
	if m.again {
		m.of.owed, m.of.delay = true, min(max(2*m.of.delay, 10*time.Millisecond), 10*time.Second)
	}
	c.commitNext(ctx, m.of)
	return nil
}

// id tells transactions apart, also those of a sink that uses one handle again and again.
func (t openTxn) id() string {
	return fmt.Sprintf("%d %d %d %s", t.node.id, t.txn.Checkpoint, t.txn.Subtask, t.txn.Handle)
}
