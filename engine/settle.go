package engine

import (
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

// serve answers those who have asked for a checkpoint, or notes what they wait for.
func (c *coordinator) serve(to []request, done Checkpoint, txns []openTxn) {
	for _, q := range to {
		if !q.settled {
			q.reply <- reply{checkpoint: done}
			continue
		}
		open, err := c.a.dir.Read(done.ID)
		if err != nil {
			q.reply <- reply{err: err}
			continue
		}
		s := settling{request: q, checkpoint: done, open: open, txns: map[string]bool{}}
		for _, t := range txns {
			s.txns[t.id()] = true
		}
		c.settling = append(c.settling, s)
	}
	c.answerSettled()
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
