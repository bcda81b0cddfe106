package mmapstate

import (
	"context"
	"io"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
)

// Residency. A group of pages is absent from Open until something wants it, and again after it was evicted. The owner
// alone says what is resident, in plain words that only shards with absent groups look at: what the background loader
// (preload.go) has filled, the owner takes over when it meets it, or in Maintain.

// need makes a page resident, and notes that its group was used.
func (sh *shard) need(p uint32) {
	g := p / groupPages
	if !sh.isResident(g) {
		sh.bring(g)
	}
	sh.used[g/64] |= 1 << (g % 64)
}

func (sh *shard) isResident(g uint32) bool { return sh.resident[g/64]>>(g%64)&1 != 0 }
func (sh *shard) isAbsent(g uint32) bool   { return !sh.allResident && !sh.isResident(g) }

// groups is how many page groups a shard has, and groupOf which pages are in one.
func (sh *shard) groups() uint32 { return (sh.pages + groupPages - 1) / groupPages }

func (sh *shard) group(g uint32) (first, end uint32) {
	return g * groupPages, min((g+1)*groupPages, sh.pages)
}

// bring makes an absent group resident: it takes over what the background loader has or is about to have, and loads
// anything else. All pages of an absent group are in the checkpoint: it was absent since Open, or clean when it was
// evicted, and no page was appended to it since.
func (sh *shard) bring(g uint32) {
	s := sh.store
	if s.err != nil {
		panic(&Failure{Err: s.err})
	}
	block, err := s.preload.take(sh.index(), g)
	if err != nil {
		s.fail(err)
	}
	if block != nil {
		sh.adopt(g, block)
		return
	}
	first, end := sh.group(g)
	buf := s.readGroup(sh, g)
	for p := first; p < end; p++ {
		sh.back(p)
		copy(sh.page(p)[:], buf[(p-first)*pageSize:]) // rule: load-fills
	}
	sh.arrived(g)
}

// readGroup reads an absent group into a buffer that the next call reuses, and checks its pages.
func (s *Store) readGroup(sh *shard, g uint32) []byte {
	first, end := sh.group(g)
	buf := s.loadBuffer()[:(end-first)*pageSize]
	if err := s.loader.Load(context.Background(), sh.id, meta.PageNo(first), buf); err != nil {
		s.fail(err)
	}
	for p := first; p < end; p++ {
		pg := (*page)(buf[(p-first)*pageSize:])
		err := sh.inspect(p, pg)
		if err == nil {
			err = sh.expected(p, pg)
		}
		if err != nil {
			s.fail(err)
		}
	}
	return buf
}

// adopt makes the block of a group that the background loader has read and checked the shard's own.
func (sh *shard) adopt(g uint32, block []byte) {
	s := sh.store
	first, end := sh.group(g)
	for p := first; p < end; p++ {
		if err := sh.expected(p, (*page)(block[(p-first)*pageSize:])); err != nil {
			s.fail(err)
		}
	}
	if g > 0 {
		sh.hold(g, block)
	} else { // its memory comes in extents
		for p := first; p < end; p++ {
			sh.back(p)
			copy(sh.page(p)[:], block[p*pageSize:])
		}
		s.regions.giveBack(block)
	}
	sh.arrived(g)
}

// arrived notes that the pages of a group are in memory. A shard whose last group has arrived spares its lookups the
// question.
func (sh *shard) arrived(g uint32) {
	first, end := sh.group(g)
	for p := first; p < end; p++ {
		sh.unexpect(p)
		sh.learn(p)
		if sh.page(p).kind() == pageFree {
			sh.noteFree(p)
		}
	}
	sh.resident[g/64] |= 1 << (g % 64)
	sh.store.residentPages += int64(end - first)
	sh.store.loads++
	if sh.absent--; sh.absent == 0 {
		sh.allResident, sh.expect = true, nil
	}
}

// loadAll makes a whole shard resident.
func (sh *shard) loadAll() {
	for g := range sh.groups() {
		if sh.isAbsent(g) {
			sh.bring(g)
		}
	}
}

// loadBuffer is where a group lies until its pages are checked. It is word-aligned.
func (s *Store) loadBuffer() []byte {
	if s.loadWords == nil {
		s.loadWords = make([]uint64, blockSize/8)
	}
	return bytesOf(unsafe.Pointer(&s.loadWords[0]), blockSize)
}

// Residency tells how many pages are in memory, of how many that exist.
func (s *Store) Residency() (resident, pages int64) { return s.residentPages, s.pageCount }

// Loading tells whether page groups are still loaded in the background, or wait for Maintain to take them over.
func (s *Store) Loading() bool { return s.preload != nil }

// Reads tells whether the store may still read from a loader. Once it does not it never will again, unless the loader is
// given to it anew.
func (s *Store) Reads(from meta.Loader) bool {
	if s.preload != nil && s.preload.from == from {
		return true
	}
	return s.loader == from && (s.opt.MemoryLimit > 0 || s.residentPages < s.pageCount)
}

// SetLoader says where evicted groups come back from: the checkpoint that was committed last. The caller closes it, not
// before the store has another one. Nobody needs to call it whose verdicts have a loader.
func (s *Store) SetLoader(l meta.Loader) {
	s.dropLoader()
	s.loader = l
}

// ownLoader is SetLoader with a loader that the store closes.
func (s *Store) ownLoader(l meta.Loader) {
	s.SetLoader(l)
	s.closeLoader, _ = l.(io.Closer)
}

func (s *Store) dropLoader() {
	if s.closeLoader != nil { // rule: old-loader-is-closed
		_ = s.closeLoader.Close() // of files that were only read
	}
	s.loader, s.closeLoader = nil, nil
}

// discardLoader closes a loader that came with a verdict nobody believes.
func discardLoader(l meta.Loader) {
	if c, ok := l.(io.Closer); ok {
		_ = c.Close()
	}
}

// expectBucket notes that a cached directory takes an absent page for a bucket of a state: lookups go there without
// asking, so loading has to ask.
func (sh *shard) expectBucket(p uint32, no uint16) {
	grow(&sh.expect, sh.pages)
	sh.expect[p] = uint8(no) + 1
}

func (sh *shard) unexpect(p uint32) {
	if p < uint32(len(sh.expect)) {
		sh.expect[p] = 0
	}
}

// expected compares a page that was loaded with what a cached directory takes it for.
func (sh *shard) expected(p uint32, pg *page) error {
	if p >= uint32(len(sh.expect)) || sh.expect[p] == 0 {
		return nil
	}
	no := uint16(sh.expect[p] - 1)
	if t := sh.store.tables[no]; !pg.is(pageBucket, no) || t != nil && !t.fits(pg) {
		return sh.damage(p, "not the bucket that a directory takes it for")
	}
	return nil
}
