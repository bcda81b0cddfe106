package engine

import "github.com/pagetide/pagetide/meta"

// A checkpoint takes the place of older ones when the sinks have committed all that it names, not before: until then an
// older one stays whose output is visible. While sinks lag, three are kept at most beside those that the settings ask for:
// that one, the next to take its place, and the newest.

// kept is a checkpoint that is not to be retired.
type kept struct {
	id      meta.CheckpointID
	release func()
}

func (k *kept) drop() {
	if k != nil {
		k.release()
	}
}

func (c *coordinator) keep(id meta.CheckpointID) *kept { return &kept{id, c.a.dir.Pin(id)} }

// subsume takes note of a durable checkpoint.
func (c *coordinator) subsume(newest meta.CheckpointID) {
	c.newest = newest
	if c.coming == nil {
		c.coming = c.keep(newest)
	}
	c.settle()
}

// settle lets go of what the sinks' commits have made dispensable, and says whether that was anything.
func (c *coordinator) settle() (dispensed bool) {
	for c.coming != nil && !c.namesOpen(c.coming.id) {
		c.settled.drop()
		c.settled, c.coming = c.coming, nil
		if c.newest > c.settled.id {
			c.coming = c.keep(c.newest)
		}
		dispensed = true
	}
	return dispensed
}

// namesOpen says whether a durable checkpoint names a transaction that is not committed yet: one prepared for it, or for one
// before it.
func (c *coordinator) namesOpen(id meta.CheckpointID) bool {
	for _, t := range c.open {
		if t.txn.Checkpoint <= id {
			return true
		}
	}
	return false
}

// letGo is for the end of the attempt: the next one begins with the newest.
func (c *coordinator) letGo() {
	c.settled.drop()
	c.coming.drop()
	c.settled, c.coming = nil, nil
}
