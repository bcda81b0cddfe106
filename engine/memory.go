package engine

import (
	"context"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// The memory limit of a job is shared out among its stores by their sizes. A store that is above its share evicts what the
// newest checkpoint has. If that is not enough, a checkpoint is asked for, sources hold their records back, and each
// subtask that is short of memory waits, once it has become part of the checkpoint, for the outcome.

// leastShare is the memory that any store may use.
const leastShare = 1 << 20

// reshare is after how many looks at its memory a store's share is computed anew.
const reshare = 64

// memoryAtOpen is a store's share of the limit before anybody knows its size: by what the checkpoint says.
func (a *attempt) memoryAtOpen(n *node) int64 {
	limit := a.o.Checkpoints.Backend.MemoryLimit
	if n.owner != nil {
		return 0 // only one subtask's copy is ever in a checkpoint, so no other could evict anything
	}
	if limit == 0 || a.restored.m == nil {
		return limit
	}
	own, total := int64(0), int64(0)
	for _, o := range a.restored.m.Operators {
		for _, sh := range o.Shards {
			total += int64(sh.Pages)
			if o.UID == n.uid {
				own += int64(sh.Pages)
			}
		}
	}
	return memoryShare(limit, own/int64(a.layout.subtasks(n)), total, a.leastShare())
}

// memoryShare is what a store of some of all pages may keep in memory.
func memoryShare(limit, pages, total, least int64) int64 {
	if total*meta.PageSize <= limit {
		return limit
	}
	return max(least, int64(float64(limit)*float64(pages)/float64(total)))
}

// shareMemory gives the store its part of the limit as sizes are now.
func (op *keyedOp) shareMemory() {
	limit := op.st.a.o.Checkpoints.Backend.MemoryLimit
	if limit == 0 || op.node.owner != nil {
		return
	}
	if op.untilShare--; op.untilShare > 0 {
		return
	}
	op.untilShare = reshare
	total := int64(0)
	for _, s := range op.st.a.stats {
		total += s.pages.Load()
	}
	op.store.SetMemoryLimit(memoryShare(limit, op.stats.pages.Load(), total, op.st.a.leastShare()))
}

// relieve sees to a checkpoint if a store has more in memory than it may and can evict no more.
func (st *subtask) relieve() error {
	st.short = false
	for _, op := range st.keyed {
		if err := op.relieve(); err != nil {
			return err
		}
	}
	return nil
}

func (op *keyedOp) relieve() error {
	if op.store.NeedsCheckpoint() && op.store.Cut() != nil {
		if err := op.st.settle(op.stats); err != nil {
			return err
		}
		if err := op.maintain(); err != nil {
			return err
		}
	}
	if !op.store.NeedsCheckpoint() {
		return nil
	}
	op.st.short = true
	if !op.st.asked {
		op.st.asked = true
		op.stats.memoryWaits.Add(1)
		op.st.a.coord.relieve()
		op.st.step("is short of memory")
	}
	return nil
}

// settle waits for the outcome of the checkpoint that the subtask is part of. All others can become part of it meanwhile:
// the barrier has been sent on.
func (st *subtask) settle(stats *nodeStats) error {
	start := st.a.o.Clock.Now()
	defer func() { stats.memoryWaited.Add(int64(st.a.o.Clock.Now().Sub(start))) }()
	for {
		again := st.idle()
		if again == nil {
			return nil
		}
		select {
		case <-again:
		case <-st.ctx.Done():
		}
		st.again.clear()
		if st.step("waits for the checkpoint"); st.ctx.Err() != nil {
			return context.Cause(st.ctx)
		}
	}
}

// relieve asks for a checkpoint on behalf of a subtask that is short of memory.
func (c *coordinator) relieve() {
	select {
	case c.shortage <- struct{}{}:
	default: // somebody has asked already
	}
}

// relief is when a checkpoint may start that is to relieve memory: at once, but not right after a failure.
func (c *coordinator) relief() (at time.Time, wanted bool) {
	const least, most = 100 * time.Millisecond, 10 * time.Second
	switch {
	case !c.short || c.behind() != nil: // it begins when the late acknowledgement comes
		return at, false
	case c.failures == 0:
		return c.schedule.lastEnd, true
	}
	return c.schedule.lastEnd.Add(min(least<<min(c.failures, 10), most)), true
}
