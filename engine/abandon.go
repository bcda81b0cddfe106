package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// abandon ends what is under way when the attempt ends. It returns when nothing of it is running, or when the shutdown
// timeout is over.
func (c *coordinator) abandon() {
	timer := time.NewTimer(c.a.o.ShutdownTimeout)
	defer timer.Stop()
	if c.round != nil {
		c.waiting = append(c.waiting, c.round.serves...)
		c.giveUp(c.round, meta.ErrAborted)
	}
	for c.stuck == nil && (c.round != nil || c.committing > 0) {
		select {
		case p := <-c.published:
			p.close()
			if c.round = nil; p.err == nil {
				c.completed(p.round, p.info) // it made it: the next attempt starts from there
			}
		case m := <-c.committed:
			c.committing--
			m.of.busy = false
		case <-timer.C:
			c.stuck = c.leave()
		}
	}
	c.answer(c.waiting, reply{err: meta.ErrAborted})
	c.giveUpSettling()
	c.letGo()
}

// leave names what does not return.
func (c *coordinator) leave() error {
	if c.round != nil {
		return fmt.Errorf("%w within %s: checkpoint %d is still being written", errStorageStuck, c.a.o.ShutdownTimeout, c.round.id)
	}
	var names []string
	for _, m := range c.committers {
		switch {
		case m.busy && m.node == nil:
			return fmt.Errorf("%w within %s: older checkpoints are still being removed", errStorageStuck, c.a.o.ShutdownTimeout)
		case m.busy:
			names = append(names, "commit of "+m.node.label())
		}
	}
	return fmt.Errorf("%w within %s: %s", ErrStuck, c.a.o.ShutdownTimeout, strings.Join(names, "; "))
}
