package mmapstate

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/pagetide/pagetide/meta"
)

// Freeze is the barrier: the state as it is now becomes a cut. It costs the same for any size of state; shards notice
// when they are next looked up or gathered.
//
// The cut must be given to a writer, else the owner will wait for it when the saved lines reach their limit, at the
// next Freeze, and in Wait. If a cut is still open, Freeze gathers what is left of it and waits for its verdict first,
// whatever that is. An error means that the store is closed or poisoned.
func (s *Store) Freeze() (meta.Cut, error) {
	if s.cut != nil {
		_ = s.cut.Wait(context.Background()) // an abort is the writer's to report; what was frozen is dirty again
	}
	if l := s.preload; l != nil && l.failed.Load() { // rule: freeze-tells-a-failure
		s.poison(l.err)
	}
	if s.err != nil {
		return nil, s.err
	}
	if b := s.late.Swap(nil); b != nil && b.Checkpoint > s.base.Checkpoint {
		s.base = *b // what that cut held is dirty again, and the difference to it is smaller still
	}
	s.cut = s.newCut()
	s.epoch++
	s.moves++ // a lookup brings its shard to the new epoch
	return s.cut, nil
}

func (s *Store) newCut() *cut {
	c := s.blank
	if c == nil {
		c = blankCut(len(s.shards), 0)
	}
	s.blank = nil
	c.store, c.states, c.base = s, s.states[:len(s.states):len(s.states)], s.base
	c.wishes, c.limit, c.wantsLoader = s.wishes, s.savedLimit(), s.opt.MemoryLimit > 0
	if s.wantWhole || s.base == (meta.Base{}) {
		c.whole, c.base = true, meta.Base{} // a difference to nothing
	}
	return c
}

func (s *Store) savedLimit() int64 {
	if s.opt.SavedLimit > 0 {
		return s.opt.SavedLimit
	}
	if s.opt.MemoryLimit > 0 {
		return max(minLimitedSaves, min(s.pageCount*pageSize, s.opt.MemoryLimit)/4)
	}
	return max(minSavedLimit, s.pageCount*pageSize/4)
}

// Cut gives the open cut, nil if there is none or its verdict has been taken in.
func (s *Store) Cut() meta.Cut {
	if s.cut == nil {
		return nil
	}
	return s.cut
}

// Gather saves frozen pages of the open cut until the budget is used up, all is saved, or the limit of saved bytes is
// reached; it never waits. Between batches of work about 20 microseconds are a good budget, more when idle.
func (s *Store) Gather(budget time.Duration) {
	c := s.cut
	if c == nil || c.complete || s.err != nil {
		return
	}
	const few = 8 // pages between looks at the clock: about two microseconds
	for start := time.Now(); ; {
		if c.over.Load() || c.full() || c.step(few, false) || time.Since(start) >= budget {
			return
		}
	}
}

// Settle takes the verdict of the open cut in if there is one, without waiting. It is done when no cut is open; err is
// what ended the cut that was just taken in.
func (s *Store) Settle() (done bool, err error) {
	c := s.cut
	if c == nil {
		return true, s.err
	}
	v, ok := c.outcome()
	if !ok {
		return false, nil
	}
	s.takeIn(c, v)
	return true, v.Err
}

// Wait is for the owner. When ctx ends first, the cut is aborted and everything that was frozen is dirty again. A success
// that is told later only moves the base on: the next cut holds all that has changed since, and more.
func (c *cut) Wait(ctx context.Context) (err error) {
	s := c.store
	if s.cut != c {
		return c.result
	}
	defer catch(&err)
	c.until = ctx.Done()
	defer func() { c.until = nil }()
	for !c.over.Load() && ctx.Err() == nil && !c.step(1024, true) {
	}
	v, ok := c.outcome()
	for !ok && ctx.Err() == nil {
		select {
		case <-c.toOwner:
		case <-ctx.Done():
		}
		v, ok = c.outcome()
	}
	if !ok {
		v = c.giveUp(fmt.Errorf("%w: %w", meta.ErrAborted, context.Cause(ctx)))
	}
	s.takeIn(c, v)
	return v.Err
}

// takeIn ends the open cut. On commit there is nothing to do now: the leftovers of the frozen set are cleared when
// their shard next catches up.
func (s *Store) takeIn(c *cut, v meta.Verdict) {
	s.cut, c.result = nil, v.Err
	s.blank = c.successor()
	if v.Err == nil {
		s.base, s.wantWhole = v.Base, v.Whole
		s.needsCheckpoint, s.wishes = false, nil
		s.wish(v)
		if v.Loader != nil {
			s.ownLoader(v.Loader)
		}
		return
	}
	s.wantWhole = s.wantWhole || v.Whole // a wish outlives the cut that failed to grant it
	s.wish(v)                            // rule: wish-outlives-abort
	for i := range s.shards {
		s.shards[i].thaw()
	}
}

// step gathers a few pages and tells whether all are gathered. At the limit of saved bytes it waits or gives up.
func (c *cut) step(few int, wait bool) bool {
	if c.complete {
		return true
	}
	for ; c.shard < len(c.store.shards); c.shard, c.page = c.shard+1, 0 {
		sh := c.store.look(c.shard)
		for {
			p, ok := sh.nextFrozen(c.page)
			if !ok {
				break
			}
			if few--; few < 0 || !wait && c.full() {
				c.page = p
				return false
			}
			if g := p / groupPages; c.wantsLoader && sh.isAbsent(g) {
				sh.carryAbsent(g)
			} else {
				sh.at(p) // rule: absent-pages-are-carried
				sh.save(p)
			}
			if !sh.isGathered(p) { // the cut is over, or the wait for room was cut short
				c.page = p
				return false
			}
			c.page = p + 1
		}
		few--
	}
	c.finish()
	return true
}

// nextFrozen finds the first page from p on that is frozen and not gathered, skipping clean stretches.
func (sh *shard) nextFrozen(p uint32) (uint32, bool) {
	for p < sh.pages {
		w := sh.frozenSummary[p>>12] >> (p >> 6 & 63)
		if w == 0 {
			p = (p>>12 + 1) << 12
			continue
		}
		if skip := uint32(bits.TrailingZeros64(w)); skip > 0 {
			p = (p>>6 + skip) << 6
			continue
		}
		for end := min((p>>6+1)<<6, sh.pages); p < end; p++ {
			if sh.frozen[p] != 0 && !sh.isGathered(p) {
				return p, true
			}
		}
	}
	return 0, false
}

// describe notes what a shard is at the barrier: it runs before the first access after it.
func (c *cut) describe(sh *shard) {
	if sh.pages == 0 {
		return
	}
	first := len(c.entries)
	for no := range sh.heads {
		if h := &sh.heads[no]; h.entries > 0 {
			st := meta.ShardState{No: uint16(no), Entries: h.entries}
			if c.store.states[no].Kind == meta.KindIndex {
				st.Earliest = h.earliest
			}
			c.entries = append(c.entries, st)
		}
	}
	c.infos = append(c.infos, meta.Shard{ID: sh.id, Pages: sh.pages, States: slices.Clip(c.entries[first:])})
}
