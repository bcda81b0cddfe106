package engine

import (
	"context"
	"fmt"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// settling is a checkpoint that is durable, and whose sinks have not committed yet all that it names. It is open, so that
// neither a later one nor the end of the job takes it away.
type settling struct {
	request    request
	checkpoint Checkpoint
	open       *snapshotter.Checkpoint
	txns       map[string]bool // by id
}

// countSettled counts the requests that are to be settled.
func countSettled(to []request) (n int) {
	for _, q := range to {
		if q.settled {
			n++
		}
	}
	return n
}

// openFor opens a durable checkpoint n times, or says why not. It is for the goroutine that has published it: storage may
// hang.
func (c *coordinator) openFor(ctx context.Context, n int, id meta.CheckpointID) (opens []opened) {
	for range n {
		var o opened
		if o.err = context.Cause(ctx); o.err == nil {
			o.checkpoint, o.err = c.a.dir.Read(id)
		}
		opens = append(opens, o)
	}
	return opens
}

// serve answers those who have asked for a checkpoint, or notes what they wait for.
func (c *coordinator) serve(to []request, done Checkpoint, p publication) {
	for _, q := range to {
		if !q.settled {
			q.reply <- reply{checkpoint: done}
			continue
		}
		open := p.opens[0]
		p.opens = p.opens[1:]
		if open.err != nil {
			q.reply <- reply{err: open.err}
			continue
		}
		s := settling{request: q, checkpoint: done, open: open.checkpoint, txns: map[string]bool{}}
		for _, t := range p.txns {
			s.txns[t.id()] = true
		}
		c.settling = append(c.settling, s)
	}
	p.close() // those whose requests were answered when the checkpoint was late
	c.answerSettled()
}

// close closes what nobody has taken.
func (p publication) close() {
	for _, o := range p.opens {
		if o.err == nil {
			o.checkpoint.Close() // read only
		}
	}
}

// answerSettled answers those whose transactions are all visible now.
func (c *coordinator) answerSettled() {
	var open []settling
	for _, s := range c.settling {
		if c.uncommitted(s) {
			open = append(open, s)
			continue
		}
		s.request.reply <- reply{checkpoint: s.checkpoint, open: s.open}
	}
	c.settling = open
}

func (c *coordinator) uncommitted(s settling) bool {
	for _, t := range c.open {
		if s.txns[t.id()] {
			return true
		}
	}
	return false
}

// giveUpSettling is for the end of the attempt.
func (c *coordinator) giveUpSettling() {
	for _, s := range c.settling {
		s.open.Close() // read only
		s.request.reply <- reply{err: fmt.Errorf("checkpoint %d is durable, its output is not committed yet: %w", s.checkpoint.ID, meta.ErrAborted)}
	}
	c.settling = nil
}
