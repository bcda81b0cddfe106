package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/pagetide/pagetide/engine/internal/sim"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// What a simulator sees of a job: the world of its attempt is told before each thing that another order of events could
// place elsewhere. A real run has no world, and nothing here does anything.

// step waits until a simulator lets the task go on.
func (a *attempt) step(task, what string) {
	if a.world != nil {
		a.world.Step(task, what)
	}
}

// risk is a step before something that a simulator may let fail.
func (a *attempt) risk(task, what string) error {
	if a.world != nil {
		return a.world.Risk(task, what)
	}
	return nil
}

// stepOf is a step of a caller whose context is of a simulated world.
func stepOf(ctx context.Context, task, what string) {
	if w := sim.Of(ctx); w != nil {
		w.Step(task, what)
	}
}

func (st *subtask) step(what string) {
	if w := st.a.world; w != nil {
		w.Step(st.name(), what)
	}
}

func (st *subtask) risk(what string) error {
	if w := st.a.world; w != nil {
		return w.Risk(st.name(), what)
	}
	return nil
}

// note tells what the subtask is about to work on.
func (st *subtask) note(m message, in int) {
	if w := st.a.world; w != nil {
		w.Note(st.name(), fmt.Sprintf("%s from input %d", m, in))
	}
}

// name is short and, in its attempt, the subtask's own.
func (st *subtask) name() string {
	h := st.plan.head
	return fmt.Sprintf("task %d %s [%d]", h.id, orDefault(h.uid, h.kind), st.index)
}

func (m message) String() string {
	switch m.kind {
	case msgBatch:
		return fmt.Sprintf("%d records", m.batch.(interface{ size() int }).size())
	case msgWatermark:
		return "watermark " + m.time.String()
	case msgIdle:
		return "idle"
	}
	return fmt.Sprintf("barrier %d", m.barrier)
}

func (b *keyedBatch[K, T]) size() int { return len(b.recs) }
func (b *timedBatch[T]) size() int    { return len(b.recs) }

// seed is where the hash of keys starts.
func (a *attempt) seed() uint64 {
	if a.world != nil {
		return a.world.Number()
	}
	return rand.Uint64()
}

// gatherNow is how long to gather between two batches.
func (st *subtask) gatherNow() time.Duration {
	if w := st.a.world; w != nil && w.Number()%2 == 0 {
		return 0 // the least there is
	}
	return gatherBudget
}

// leastShare is the memory that any store may use: simulated jobs have little state.
func (a *attempt) leastShare() int64 {
	if a.world != nil {
		return leastShare >> 5
	}
	return leastShare
}

// readSize is how many records a source reads at a time.
func (a *attempt) readSize() int {
	if a.world != nil {
		return 1 + int(a.world.Number()%16)
	}
	return batchSize
}

// watch shows a cut's writer to a simulator: cuts are drained beside each other.
func (a *attempt) watch(cut meta.Cut, task string) meta.Cut {
	if a.world == nil {
		return cut
	}
	w := &watchedCut{Cut: cut, a: a, task: task}
	if l, ok := cut.(meta.LoaderWanter); ok {
		return &watchedWanter{w, l}
	}
	return w
}

type watchedCut struct {
	meta.Cut
	a     *attempt
	task  string
	begun bool
	ahead given // what Next gives next, if that is known
}

// given is what a cut has given its writer.
type given struct {
	chunk *meta.Chunk
	err   error
}

// Base is what a writer asks for first.
func (c *watchedCut) Base() meta.Base {
	if !c.begun {
		c.begun = true
		c.a.step(c.task, "begins")
	}
	return c.Cut.Base()
}

// Next has the writer see how things stand at its turn. The cut wakes it before that, and which of the chunk and the end of
// the cut it sees then depends on who is faster.
func (c *watchedCut) Next(ctx context.Context) (*meta.Chunk, error) {
	g := c.ahead
	if g == (given{}) {
		g.chunk, g.err = c.Cut.Next(ctx)
	}
	c.a.step(c.task, "has something")
	c.ahead = c.look()
	switch {
	case ctx.Err() != nil:
		g = c.drop(g, ctx.Err())
	case errors.Is(c.ahead.err, meta.ErrAborted):
		g = c.drop(g, c.ahead.err)
	}
	return g.chunk, g.err
}

// look is Next without waiting.
func (c *watchedCut) look() (g given) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if g.chunk, g.err = c.Cut.Next(ended); errors.Is(g.err, context.Canceled) {
		return given{}
	}
	return g
}

// drop gives a chunk back that nobody wants any more.
func (c *watchedCut) drop(g given, err error) given {
	if g.chunk != nil {
		c.Release(g.chunk)
	}
	return given{err: err}
}

type watchedWanter struct {
	*watchedCut
	wanter meta.LoaderWanter
}

func (c *watchedWanter) WantsLoader() bool { return c.wanter.WantsLoader() }

// watchLoading shows the background loading of a store to a simulator.
func (a *attempt) watchLoading(task string) meta.Loader {
	if a.world == nil {
		return a.from
	}
	return &watchedLoader{a.from, a, task}
}

type watchedLoader struct {
	*snapshotter.Checkpoint
	a    *attempt
	task string
}

// Order is what the background loader goes through.
func (l *watchedLoader) Order(op meta.OperatorNo) iter.Seq2[meta.ShardID, meta.PageNo] {
	return func(yield func(meta.ShardID, meta.PageNo) bool) {
		l.a.step(l.task, "begins")
		for shard, page := range l.Checkpoint.Order(op) {
			l.a.step(l.task, "loads")
			if !yield(shard, page) {
				return
			}
		}
	}
}
