package mmapstate

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/pagetide/pagetide/meta"
)

// preload reads and checks absent groups on a goroutine of its own, those with the newest changes first. What it shares
// with the owner is one word per group; whoever changes it from absent has the group.
//
//	absent ──by the owner───► taken ◄──by the owner──┐
//	   └──by the loader──► claimed ──► loaded ───────┘
//	                          └──────► failed
//
// A taken group is never absent again for the loader: what is evicted later, newer checkpoints have.
type preload struct {
	from    meta.Loader
	op      meta.OperatorNo
	states  []meta.State // of the checkpoint
	first   meta.KeyGroup
	shards  []preShard
	regions *regions
	limit   int64 // of read; zero: none
	read    int64

	stop   context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
	news   chan struct{} // a claimed group is claimed no more; capacity 1
	failed atomic.Bool
	err    error // why, once failed

	mu     sync.Mutex // guards ready
	ready  []preGroup // loaded, in the order of loading
	picked []preGroup // the owner's, swapped with ready
}

// preShard is a shard as the checkpoint has it: the owner's may grow meanwhile.
type preShard struct {
	inspector
	words  []atomic.Uint32 // by group
	blocks [][]byte        // by group; written before the word says loaded
}

type preGroup struct {
	shard int
	group uint32
}

// What the word of a group says.
const (
	groupAbsent  = 0
	groupTaken   = 1
	groupClaimed = 2
	groupLoaded  = 3
	groupFailed  = 4
)

// startPreload starts the background loader of a store that was just opened.
func (s *Store) startPreload() {
	l := &preload{
		from: s.loader, op: s.opt.Operator, states: s.states[:len(s.states):len(s.states)], first: s.opt.From,
		regions: &s.regions, limit: s.opt.MemoryLimit / 4 * 3,
		done: make(chan struct{}), news: make(chan struct{}, 1), shards: make([]preShard, len(s.shards)),
	}
	for i := range s.shards {
		sh := &s.shards[i]
		n := sh.groups()
		l.shards[i] = preShard{
			inspector: sh.inspector(), words: make([]atomic.Uint32, n), blocks: make([][]byte, n),
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	s.preload = l
	go l.run(ctx)
}

// run loads in the order of the checkpoint, then whatever is left.
func (l *preload) run(ctx context.Context) {
	defer close(l.done)
	if o, ok := l.from.(meta.Ordered); ok && !l.each(ctx, o.Order(l.op)) {
		return
	}
	l.each(ctx, l.ascending())
}

// each is false when loading has come to its end.
func (l *preload) each(ctx context.Context, order iter.Seq2[meta.ShardID, meta.PageNo]) bool {
	for id, p := range order {
		if ctx.Err() != nil || l.limit > 0 && l.read >= l.limit {
			return false
		}
		i, g := int(id.Group())-int(l.first), uint32(p)/groupPages
		if id.Operator() != l.op || i < 0 || i >= len(l.shards) || g >= uint32(len(l.shards[i].words)) {
			continue
		}
		if !l.load(ctx, i, g) {
			return false
		}
	}
	return true
}

func (l *preload) ascending() iter.Seq2[meta.ShardID, meta.PageNo] {
	return func(yield func(meta.ShardID, meta.PageNo) bool) {
		for i := range l.shards {
			for g := range l.shards[i].words {
				if !yield(l.shards[i].id, meta.PageNo(g*groupPages)) {
					return
				}
			}
		}
	}
}

// load claims a group, fills a block with it and publishes it. It is false after a failure.
func (l *preload) load(ctx context.Context, i int, g uint32) bool {
	sh := &l.shards[i]
	w := &sh.words[g]
	if !w.CompareAndSwap(groupAbsent, groupClaimed) { // rule: one-claim
		return true
	}
	defer wake(l.news)
	block, err := l.regions.block()
	if err == nil {
		err = l.fill(ctx, sh, g, block)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil: // stopped, which is no failure
		w.Store(groupAbsent)
		return false
	default:
		l.err = err
		w.Store(groupFailed)
		l.failed.Store(true)
		return false
	}
	l.read += blockSize
	sh.blocks[g] = block
	w.Store(groupLoaded)
	l.mu.Lock()
	l.ready = append(l.ready, preGroup{i, g})
	l.mu.Unlock()
	return true
}

func (l *preload) fill(ctx context.Context, sh *preShard, g uint32, block []byte) error {
	first := g * groupPages
	n := min(sh.pages-first, groupPages)
	if err := l.from.Load(ctx, sh.id, meta.PageNo(first), block[:n*pageSize]); err != nil {
		return err
	}
	for i := range n {
		if err := sh.inspect(first+i, (*page)(block[i*pageSize:])); err != nil { // rule: preload-checks
			return err
		}
	}
	return nil
}

// take is for the owner, who wants an absent group: the block with its pages, after waiting for it if the loader has
// claimed it; or nil, and the group is the owner's to load. A nil preload has nothing.
func (l *preload) take(i int, g uint32) ([]byte, error) {
	if l == nil || g >= uint32(len(l.shards[i].words)) {
		return nil, nil
	}
	sh := &l.shards[i]
	w := &sh.words[g]
	for {
		switch w.Load() {
		case groupAbsent:
			if w.CompareAndSwap(groupAbsent, groupTaken) { // rule: owner-claims
				return nil, nil
			}
		case groupClaimed:
			<-l.news // rule: claimed-is-waited-for
		case groupLoaded:
			w.Store(groupTaken)
			block := sh.blocks[g]
			sh.blocks[g] = nil
			return block, nil
		case groupFailed:
			return nil, l.err
		default: // taken before, and evicted since
			return nil, nil
		}
	}
}

// pick gives the groups that were loaded since the last call; some may have been taken already.
func (l *preload) pick() []preGroup {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.picked, l.ready = l.ready, l.picked[:0]
	return l.picked
}

// receive takes over what the background loader has filled. It fails as the loader has.
func (s *Store) receive() {
	l := s.preload
	if l == nil {
		return
	}
	ended := false
	select {
	case <-l.done: // before the groups are picked: none is missed
		ended = true
	default:
	}
	if l.failed.Load() { // rule: maintain-tells-a-failure
		s.fail(l.err)
	}
	for _, r := range l.pick() {
		if sh := &s.shards[r.shard]; sh.isAbsent(r.group) {
			if block, _ := l.take(r.shard, r.group); block != nil {
				sh.adopt(r.group, block)
			}
		}
	}
	if ended {
		s.preload = nil
	}
}

// endPreload stops the background loader and waits for it.
func (s *Store) endPreload() {
	if s.preload != nil {
		s.preload.stop()
		<-s.preload.done
		s.preload = nil
	}
}
