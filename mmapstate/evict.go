package mmapstate

import "unsafe"

// Eviction is a restore run backwards: a group that the last committed checkpoint has as it is leaves memory, and comes
// back from there when it is next looked up.

// Maintain is for the owner, between batches of work, when no reference into the store's pages is in use: it takes over
// what was loaded in the background, gives memory back that the state needs no more, and keeps to Options.MemoryLimit.
// It costs next to nothing when there is nothing to do, tens of microseconds while a table shrinks. An error means that
// the store is poisoned.
func (s *Store) Maintain() (err error) {
	defer catch(&err)
	if s.err != nil {
		return s.err
	}
	s.receive()
	s.mergeSome()
	s.letVacantGo()
	limit := s.opt.MemoryLimit
	over := s.residentPages*pageSize - limit
	if limit == 0 || over <= 0 {
		return nil
	}
	over += limit / 16 // so that the next calls have nothing to do
	if s.needsCheckpoint = s.shrink(over) < over-limit/16; s.needsCheckpoint {
		s.atLimit++
	}
	return nil
}

// SetMemoryLimit changes the memory limit of a store that was opened with one; the next Maintain keeps to it. It is for the
// owner.
func (s *Store) SetMemoryLimit(bytes int64) {
	if s.opt.MemoryLimit > 0 {
		s.opt.MemoryLimit = max(bytes, 1)
	}
}

// Evictions counts the page groups that were dropped from memory.
func (s *Store) Evictions() int64 { return s.evictions }

// NeedsCheckpoint tells whether the last call of Maintain has left more in memory than Options.MemoryLimit, because
// nothing more could be evicted. A committed checkpoint makes what it holds evictable: records should wait for it.
func (s *Store) NeedsCheckpoint() bool { return s.needsCheckpoint }

// Evict drops page groups from memory that are unchanged since the last committed checkpoint, until bytes are freed,
// and returns how many were. A dropped group is loaded again when it is next looked up. Groups that were used since the
// last round are spared for one more. The store needs a loader of that very checkpoint: from a verdict, or see
// [Store.SetLoader]. No reference into the store's pages may be in use.
func (s *Store) Evict(bytes int64) (freed int64) {
	freed = s.shrink(bytes)
	s.regions.discardSpare()
	return freed
}

// shrink goes round the groups like the hand of a clock: what was used since the last round is passed over once.
func (s *Store) shrink(bytes int64) (freed int64) {
	if s.err != nil || s.loader == nil || s.loader.Base() != s.base { // rule: evict-to-the-newest-base
		return 0
	}
	for range 2*len(s.shards) + 1 { // twice round: the first may only clear what says that groups were used
		if freed += s.look(s.hand.shard).sweep(&s.hand.group, bytes-freed); freed >= bytes {
			break
		}
		s.hand = clockHand{shard: (s.hand.shard + 1) % len(s.shards)}
	}
	return freed
}

// sweep takes the hand on through one shard, until bytes are freed. Buckets are found again afterwards, which says that
// they are used.
func (sh *shard) sweep(g *uint32, bytes int64) (freed int64) {
	sh.forget() // rule: evicted-is-forgotten
	for ; *g < sh.groups() && freed < bytes; *g++ {
		freed += sh.pass(*g)
	}
	return freed
}

// clockHand is where the next round of evictions goes on.
type clockHand struct {
	shard int
	group uint32
}

// pass evicts a group if it was not used since the hand was here last. Of a shard with everything resident nobody
// knows, so all of it counts as used.
func (sh *shard) pass(g uint32) int64 {
	sh.watch()
	if bit := uint64(1) << (g % 64); sh.used[g/64]&bit != 0 {
		sh.used[g/64] &^= bit
		return 0
	}
	return sh.evict(g)
}

// watch makes lookups say what they use.
func (sh *shard) watch() {
	if !sh.allResident {
		return
	}
	sh.allResident = false
	for g := range sh.groups() {
		sh.resident[g/64] |= 1 << (g % 64)
		sh.used[g/64] |= 1 << (g % 64)
	}
}

// evict drops one group if all its pages are clean, and returns its size.
func (sh *shard) evict(g uint32) int64 {
	first, end := sh.group(g)
	if sh.isAbsent(g) || sh.husks[g] != nil {
		return 0
	}
	for p := first; p < end; p++ {
		if !sh.clean(p) {
			return 0
		}
	}
	sh.watch()
	for p := first; p < end; p++ {
		sh.verify(p)
		sh.unlearn(p)
		if pg := sh.page(p); pg.kind() == pageBucket {
			sh.expectBucket(p, pg.state())
		}
	}
	sh.resident[g/64] &^= 1 << (g % 64)
	sh.absent++
	if g > 0 {
		sh.store.regions.giveBack(sh.letGo(g))
	} else { // its extents stay: they are no block
		for p := first; p < end; p += extentPages {
			discard(bytesOf(unsafe.Pointer(sh.ext[p/extentPages]), extentSize))
		}
	}
	sh.store.residentPages -= int64(end - first)
	sh.store.evictions++
	return int64(end-first) * pageSize
}

// hold gives a group's extents the memory of a block, and letGo takes it away. They are for groups from 1 on.
func (sh *shard) hold(g uint32, block []byte) {
	first := g * groupPages / extentPages
	grow(&sh.ext, first+groupPages/extentPages)
	for i := range uint32(groupPages / extentPages) {
		sh.ext[first+i] = asExtent(block[i*extentSize:])
	}
}

func (sh *shard) letGo(g uint32) []byte {
	ext := sh.ext[g*groupPages/extentPages:][:groupPages/extentPages]
	block := bytesOf(unsafe.Pointer(ext[0]), blockSize)
	clear(ext)
	return block
}

// clean tells whether the last committed checkpoint has a page as it is in memory.
func (sh *shard) clean(p uint32) bool {
	if sh.mask[p] != 0 { // rule: dirty-stays
		return false
	}
	if sh.store.cut == nil || sh.frozen[p] == 0 { // rule: in-flight-stays
		return true
	}
	return sh.isCarried(p) // frozen without having been written: gathering can read it from the checkpoint too
}

// carryAbsent saves what is frozen of an absent group without making it resident: carrying a state that is larger than
// memory must not bring it all back.
func (sh *shard) carryAbsent(g uint32) {
	buf := sh.store.readGroup(sh, g)
	first, end := sh.group(g)
	for p := first; p < end; p++ {
		if sh.frozen[p] != 0 && !sh.isGathered(p) {
			sh.saveFrom(p, (*page)(buf[(p-first)*pageSize:]))
		}
	}
}
