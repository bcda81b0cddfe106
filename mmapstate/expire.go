package mmapstate

// clocks are what a store knows of time.
type clocks struct {
	now     [2]int64 // by Clock; never falls
	record  int64    // event time of the record in hand
	shard   int      // where the next sweep goes on
	removed int64
	key     []byte
}

// SetTime tells the store the time, for states with a [TTL]: the watermark and the machine's clock, both in
// nanoseconds since 1970. It costs nothing: call it before each batch of records. Time that falls is ignored; the least
// int64 stands for no time yet, as before the first call. Call it before the states are declared, so that they begin
// where the checkpoint ended.
func (s *Store) SetTime(event, processing int64) {
	s.clocks.now[EventTime] = max(event, s.clocks.now[EventTime])
	s.clocks.now[ProcessingTime] = max(processing, s.clocks.now[ProcessingTime])
}

// SetRecordTime tells the store the event time of the record whose writes follow; the least int64 stands for none. A
// record is ahead of the watermark, by much if another input is behind: the life of what it writes begins at its own
// time, so that it does not depend on how the inputs were read. Without the call lives begin at the watermark.
func (s *Store) SetRecordTime(event int64) { s.clocks.record = event }

// Expire removes entries that have expired and returns how many, having looked at no more than budget entries. It goes
// on where the last call ended, also over a restore: the place lies in the pages. An absent page group is loaded when
// its turn comes, at most one per call. Between batches of work a budget of about 32 is a good one: a few microseconds.
func (s *Store) Expire(budget int) (removed int) {
	if s.err != nil || !s.anyTTL() {
		return 0
	}
	for range min(len(s.shards), maxShardsSwept) {
		if s.clocks.shard >= len(s.shards) {
			s.clocks.shard = 0
		}
		sh := s.look(s.clocks.shard)
		if sh.anyMortal() {
			n, done := sh.reap(&budget)
			removed += n
			if !done {
				break
			}
		}
		s.clocks.shard++
		if budget <= 0 {
			break
		}
	}
	s.clocks.removed += int64(removed)
	return removed
}

// maxShardsSwept bounds the shards that one call looks at: those without entries that can expire cost next to nothing.
const maxShardsSwept = 256

func (s *Store) anyTTL() bool {
	for _, t := range s.tables {
		if t.swept() {
			return true
		}
	}
	return false
}

// anyMortal tells whether a shard has entries of a table that is swept.
func (sh *shard) anyMortal() bool {
	for no, t := range sh.store.tables {
		if t.swept() && sh.heads[no].entries > 0 {
			return true
		}
	}
	return false
}

// swept tells whether a sweep has to look at a table's entries.
func (t *table) swept() bool { return t != nil && t.ttl != nil && t.ttl.visit != nil }

// The place of the sweep in a shard lies on page 0: the page, and the number of the slot there.
const (
	offSweepPage = 16
	offSweepSlot = 20
)

// reap looks at entries from the shard's place on, while the budget lasts. It is done at the end of the shard, and
// begins again with the next call.
func (sh *shard) reap(budget *int) (removed int, done bool) {
	pg := sh.page0()
	p, slot := load32(pg, offSweepPage), load32(pg, offSweepSlot)
	loaded := false
	for ; p < sh.pages && *budget > 0; p, slot = p+1, 0 {
		if sh.isAbsent(p / groupPages) {
			if loaded {
				*budget = 0
				break
			}
			loaded = true
			sh.bring(p / groupPages) // which is no use of the group
		}
		n, next, more := sh.reapPage(p, slot, budget)
		removed += n
		if more {
			slot = next
			break
		}
	}
	if done = p >= sh.pages; done {
		p, slot = 0, 0
	}
	if sh.pages > 0 {
		pg = sh.edit(0, offSweepPage, 8)
		store32(pg, offSweepPage, p)
		store32(pg, offSweepSlot, slot)
	}
	return removed, done
}

// reapPage looks at the entries of one page from a slot on. There is more if the budget ended first.
func (sh *shard) reapPage(p, slot uint32, budget *int) (removed int, next uint32, more bool) {
	t := sh.bucketTable(p)
	if t == nil {
		*budget--
		return 0, 0, false
	}
	for ; slot < t.capacity(); slot++ {
		if *budget <= 0 {
			return removed, slot, true
		}
		pg := sh.page(p)
		group, lane := slot/t.lanes, slot%t.lanes
		base := headSize + group*t.stride
		if pg[base+lane] < 0x80 {
			continue
		}
		n := t.ttl.visit(sh, p, base+8+lane*t.slot, *budget)
		removed += n
		*budget -= max(n, 1)
		if sh.bucketTable(p) != t {
			break // that was its last entry
		}
	}
	return removed, 0, false
}

// bucketTable is the table whose bucket a resident page is, if it is swept.
func (sh *shard) bucketTable(p uint32) *table {
	pg := sh.page(p)
	if pg.kind() != pageBucket || int(pg.state()) >= len(sh.store.tables) {
		return nil
	}
	t := sh.store.tables[pg.state()]
	if !t.swept() || !t.fits(pg) {
		return nil
	}
	return t
}

func (t *table) sweepPlain() {
	if t.ttl != nil {
		t.ttl.visit = t.visitPlain
	}
}

// visitPlain is the sweep of a table whose entries stand for themselves.
func (t *table) visitPlain(sh *shard, p, off uint32, _ int) int {
	pg := sh.page(p)
	if !t.expired(pg, off) {
		t.begin(sh, p, off)
		return 0
	}
	t.delete(sh, t.keyOf(sh, pg, off))
	return 1
}

// begin gives an entry without a time that of now, if there is one.
func (t *table) begin(sh *shard, p, off uint32) {
	if t.stampAt(sh.page(p), off) == noTime && *t.ttl.now != noTime {
		sh.put64(p, off+t.stamp, uint64(*t.ttl.now))
	}
}

// keyOf is the key of a slot. Its bytes lie in the store's buffer until the next call.
func (t *table) keyOf(sh *shard, pg *page, off uint32) Key {
	c := &t.store.clocks
	c.key = t.keyAt(sh, pg, off, c.key[:0])
	return Key{Hash: t.slotHash(pg, off), Group: sh.id.Group(), Bytes: c.key}
}
