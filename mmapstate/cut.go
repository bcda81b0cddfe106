package mmapstate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// chunkBytes is about how many saved bytes travel together, so that the queue's lock is taken once for many pages.
const chunkBytes = 64 << 10

// chunkHeads is how many pages a chunk has room for at first: enough of whole ones.
const chunkHeads = chunkBytes/pageSize + 1

// spareChunks bounds the chunks that outlive their cut, about a megabyte. Making one takes longer than any update should,
// and the first update of a frozen line would pay for it.
const spareChunks = 16

// cut is the open meta.Cut of a store. Its first part belongs to the owner, its last to both sides.
type cut struct {
	store       *Store
	whole       bool              // every line of every page
	wantsLoader bool              // the store evicts
	wishes      wishes            // lines to carry beside those that were written
	limit       int64             // of saved
	chunk       *meta.Chunk       // being filled
	infos       []meta.Shard      // as of the barrier, in the order in which shards caught up
	entries     []meta.ShardState // what infos tell about states
	shard       int               // where gathering goes on
	page        uint32
	complete    bool            // all is gathered
	until       <-chan struct{} // ends waiting for room, while in Wait
	result      error           // once the verdict was taken in

	base   meta.Base
	states []meta.State

	saved   atomic.Int64  // bytes added and not yet released
	over    atomic.Bool   // there is a verdict, or the owner gave up
	toOwner chan struct{} // room or a verdict; capacity 1
	toDrain chan struct{} // a chunk or the end; capacity 1

	mu      sync.Mutex // guards all below; nothing blocks while holding it
	queue   []*meta.Chunk
	pool    []*meta.Chunk
	shards  []meta.Shard
	eof     bool // nothing will be queued any more
	drained bool // the writer has seen the end
	verdict *meta.Verdict
	gaveUp  bool
}

var (
	_ meta.Cut          = (*cut)(nil)
	_ meta.LoaderWanter = (*cut)(nil)
)

func (c *cut) Base() meta.Base           { return c.base }
func (c *cut) Operator() meta.OperatorNo { return c.store.opt.Operator }
func (c *cut) States() []meta.State      { return c.states }

func (c *cut) Hash() (name string, seed uint64, keyGroups int) {
	return HashName, c.store.opt.HashSeed, c.store.opt.KeyGroups
}

// Next is for the writer. It prefers a chunk that is there to an ended ctx.
func (c *cut) Next(ctx context.Context) (*meta.Chunk, error) {
	for {
		ch, err := c.take()
		if ch != nil || err != nil {
			return ch, err
		}
		select {
		case <-c.toDrain:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take gives a chunk, the end, or neither while the owner is still gathering.
func (c *cut) take() (*meta.Chunk, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gaveUp || c.verdict != nil:
		return nil, meta.ErrAborted
	case len(c.queue) > 0:
		ch := c.queue[0]
		c.queue = slices.Delete(c.queue, 0, 1)
		return ch, nil
	case c.eof:
		c.drained = true
		return nil, io.EOF
	}
	return nil, nil
}

// Release is for the writer.
func (c *cut) Release(ch *meta.Chunk) {
	n := int64(len(ch.Lines))
	ch.Heads, ch.Lines = ch.Heads[:0], ch.Lines[:0]
	c.mu.Lock()
	c.pool = append(c.pool, ch)
	c.mu.Unlock()
	c.saved.Add(-n)
	wake(c.toOwner)
}

// Shards is for the writer, once Next has said io.EOF.
func (c *cut) Shards() []meta.Shard {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shards
}

// Done is for the writer. A success before the end of the chunks cannot be one.
func (c *cut) Done(v meta.Verdict) {
	c.mu.Lock()
	if v.Err == nil && !c.drained {
		v.Err = fmt.Errorf("cut was not read to its end: %w", meta.ErrAborted)
		discardLoader(v.Loader)
		v.Loader = nil
	}
	believed := c.verdict == nil && !c.gaveUp
	if believed {
		c.verdict = &v
	}
	if c.gaveUp && v.Err == nil {
		c.store.late.Store(&v.Base)
	}
	c.mu.Unlock()
	if !believed { // rule: late-loader-is-closed
		discardLoader(v.Loader)
	}
	c.over.Store(true)
	wake(c.toOwner)
}

// giveUp is for the owner: the cut is aborted unless its verdict is already there, which is then returned.
func (c *cut) giveUp(err error) meta.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verdict != nil {
		return *c.verdict
	}
	c.gaveUp = true
	c.over.Store(true)
	wake(c.toDrain)
	return meta.Verdict{Err: err}
}

// outcome gives the verdict if there is one.
func (c *cut) outcome() (meta.Verdict, bool) {
	if !c.over.Load() {
		return meta.Verdict{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verdict == nil {
		return meta.Verdict{}, false
	}
	return *c.verdict, true
}

func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// full tells whether saved bytes are at their limit.
func (c *cut) full() bool { return c.saved.Load() >= c.limit }

// room waits until a page may be saved. It is false when saving is of no use any more: the cut is over, or whoever
// waits has ended.
func (c *cut) room() bool {
	if c.over.Load() {
		return false
	}
	if !c.full() {
		return true
	}
	c.push() // what is held here would never be released
	start := time.Now()
	defer func() { c.store.waited += time.Since(start) }()
	for {
		select {
		case <-c.toOwner:
		case <-c.until:
			return false
		}
		if c.over.Load() {
			return false
		}
		if !c.full() {
			return true
		}
	}
}

// add copies the lines of one page into the current chunk.
func (c *cut) add(id meta.ShardID, p uint32, lines meta.LineMask, pg *page) {
	if c.chunk == nil {
		c.chunk = c.fresh()
	}
	ch := c.chunk
	before := len(ch.Lines)
	ch.Heads = append(ch.Heads, meta.Head{Shard: id, Page: meta.PageNo(p), Mask: lines})
	ch.Lines = appendLines(ch.Lines, pg, lines)
	c.saved.Add(int64(len(ch.Lines) - before))
	if len(ch.Lines) >= chunkBytes {
		c.push()
	}
}

// fresh gives an empty chunk, a released one if there is any.
func (c *cut) fresh() *meta.Chunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.pool); n > 0 {
		ch := c.pool[n-1]
		c.pool = c.pool[:n-1]
		return ch
	}
	return &meta.Chunk{Heads: make([]meta.Head, 0, chunkHeads), Lines: make([]byte, 0, chunkBytes+pageSize)}
}

// blankCut makes a cut without content that has room for so many shards and their states.
func blankCut(shards, entries int) *cut {
	return &cut{
		infos:   make([]meta.Shard, 0, shards),
		entries: make([]meta.ShardState, 0, entries),
		toOwner: make(chan struct{}, 1),
		toDrain: make(chan struct{}, 1),
	}
}

// successor makes the next cut ready while nothing waits for it: a freeze then allocates nothing. It gets the chunks that
// this one, which is over, has back; what the writer still holds stays the writer's.
func (c *cut) successor() *cut {
	next := blankCut(len(c.infos), len(c.entries))
	c.mu.Lock()
	defer c.mu.Unlock()
	next.pool, c.pool = c.pool, nil
	if len(next.pool) > spareChunks {
		clear(next.pool[spareChunks:])
		next.pool = next.pool[:spareChunks]
	}
	return next
}

// push hands the current chunk to the writer.
func (c *cut) push() {
	if c.chunk == nil {
		return
	}
	c.mu.Lock()
	c.queue = append(c.queue, c.chunk)
	c.mu.Unlock()
	c.chunk = nil
	wake(c.toDrain)
}

// finish tells the writer that it has been given everything.
func (c *cut) finish() {
	c.push()
	c.complete = true
	slices.SortFunc(c.infos, func(a, b meta.Shard) int { return int(a.ID) - int(b.ID) })
	c.mu.Lock()
	c.shards, c.eof = c.infos, true
	c.mu.Unlock()
	wake(c.toDrain)
}

// appendLines appends the chosen lines of a page, runs at a time.
func appendLines(dst []byte, pg *page, lines meta.LineMask) []byte {
	if lines == meta.AllLines {
		return append(dst, pg[:]...)
	}
	for first := 0; first < meta.PageLines; first++ {
		if lines>>first&1 == 0 {
			continue
		}
		end := first + 1
		for end < meta.PageLines && lines>>end&1 != 0 {
			end++
		}
		dst = append(dst, pg[first*meta.LineSize:end*meta.LineSize]...)
		first = end
	}
	return dst
}

// WantsLoader implements [meta.LoaderWanter].
func (c *cut) WantsLoader() bool { return c.wantsLoader }
