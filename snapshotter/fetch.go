package snapshotter

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// A page group's records lie in as many blocks as the chain has files, and more; neighbouring groups share most of them.
// So blocks that were verified are kept for a while. Where a read takes its time, those that a load will need are read
// several at a time. Where the operating system has them at hand that would cost more than it gives.

const (
	cachedBytes  = 8 << 20 // of verified blocks, for each checkpoint that is being read
	fetchWorkers = 8       // reads at a time for one load
	fetchFrom    = 4       // reads that are worth handing out
	slowRead     = 50 * time.Microsecond
)

// blockCache holds the blocks that were verified last. Its methods may be called concurrently.
type blockCache struct {
	took atomic.Int64 // what a read takes, in nanoseconds: the newest count most

	mu    sync.Mutex // guards the fields below
	held  map[blockKey][]byte
	order []blockKey // oldest first
	bytes int64
}

type blockKey struct {
	file *dataFile
	at   extent
}

func newBlockCache() *blockCache { return &blockCache{held: map[blockKey][]byte{}} }

// get gives a block, nil if it is not held.
func (c *blockCache) get(k blockKey) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[k]
}

// put keeps a verified block and lets the oldest go.
func (c *blockCache) put(k blockKey, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[k] != nil {
		return
	}
	c.held[k] = b
	c.order = append(c.order, k)
	c.bytes += int64(len(b))
	gone := 0
	for ; c.bytes > cachedBytes; gone++ {
		c.bytes -= int64(len(c.held[c.order[gone]]))
		delete(c.held, c.order[gone])
	}
	c.order = slices.Delete(c.order, 0, gone)
}

// note takes in what a read took. That one of two at a time may get lost does not matter.
func (c *blockCache) note(d time.Duration) {
	took := c.took.Load()
	c.took.Store(took + (int64(d)-took)/8)
}

func (c *blockCache) slow() bool { return c.took.Load() > int64(slowRead) }

// block gives a verified block of one of the checkpoint's files.
func (c *Checkpoint) block(k blockKey) ([]byte, error) {
	if b := c.blocks.get(k); b != nil {
		return b, nil
	}
	start := time.Now()
	b, err := k.file.block(k.at)
	if err != nil {
		return nil, err
	}
	c.blocks.note(time.Since(start))
	c.blocks.put(k, b)
	return b, nil
}

// fetch reads what the load of some pages will need. It is no more than a guess: what fails here fails again, or is not
// needed, when the pages are put together.
func (c *Checkpoint) fetch(ctx context.Context, shard meta.ShardID, first meta.PageNo, pages int) {
	if !c.blocks.slow() {
		return
	}
	together(ctx, c.unread(shard), func(f *dataFile) { f.index(shard) })
	together(ctx, c.missing(shard, first, pages), func(k blockKey) { c.block(k) })
}

// unread are the files whose index of a shard has not been read.
func (c *Checkpoint) unread(shard meta.ShardID) (files []*dataFile) {
	for _, f := range c.files {
		if !f.hasIndex(shard) {
			files = append(files, f)
		}
	}
	return files
}

// missing are the blocks that some pages need and that are not at hand. A block that is longer than any of lines holds
// whole pages: nothing older is needed of them.
func (c *Checkpoint) missing(shard meta.ShardID, first meta.PageNo, pages int) (blocks []blockKey) {
	whole := make([]bool, pages)
	var last blockKey // neighbours mostly lie in one
	for _, f := range slices.Backward(c.files) {
		x, err := f.index(shard)
		if x == nil || err != nil {
			continue
		}
		for i := range whole {
			if whole[i] {
				continue
			}
			at, _, ok := x.find(first + meta.PageNo(i))
			if !ok {
				continue
			}
			whole[i] = at.length > lineBlockBytes
			k := blockKey{f, at}
			if k == last {
				continue
			}
			last = k
			if !slices.Contains(blocks, k) && c.blocks.get(k) == nil {
				blocks = append(blocks, k)
			}
		}
	}
	return blocks
}

// together does all of work, several at a time if there is enough of it, and returns when all is done or ctx has ended
// and what was begun is done.
func together[T any](ctx context.Context, work []T, do func(T)) {
	if len(work) < fetchFrom {
		return // whoever needs it does it
	}
	var next atomic.Int64
	some := func() {
		for i := next.Add(1) - 1; i < int64(len(work)) && ctx.Err() == nil; i = next.Add(1) - 1 {
			do(work[i])
		}
	}
	var workers sync.WaitGroup
	for range min(fetchWorkers, len(work)) - 1 {
		workers.Go(some)
	}
	some()
	workers.Wait()
}
