package mmapstate

import (
	"context"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
)

// need makes a page resident.
func (sh *shard) need(p uint32) {
	if !sh.isResident(p / groupPages) {
		sh.load(p / groupPages)
	}
}

func (sh *shard) isResident(g uint32) bool { return sh.resident[g/64]>>(g%64)&1 != 0 }

// load brings an absent group back and checks its pages before anything can see them. All pages of an absent group are
// in the checkpoint: it was absent since Open, or clean when it was evicted, and no page was appended to it since.
func (sh *shard) load(g uint32) {
	s := sh.store
	if s.err != nil {
		panic(&Failure{Err: s.err})
	}
	first := g * groupPages
	n := min(sh.pages-first, groupPages)
	buf := s.loadBuffer()[:n*pageSize]
	if err := s.loader.Load(context.Background(), sh.id, meta.PageNo(first), buf); err != nil {
		s.fail(err)
	}
	for i := range n {
		pg := (*page)(buf[i*pageSize:])
		if err := sh.inspect(first+i, pg); err != nil {
			s.fail(err)
		}
	}
	for i := range n {
		sh.back(first + i)
		copy(sh.page(first + i)[:], buf[i*pageSize:])
		sh.unexpect(first + i)
	}
	sh.resident[g/64] |= 1 << (g % 64)
}

// loadAll makes a whole shard resident, and spares later lookups the test.
func (sh *shard) loadAll() {
	for p := uint32(0); p < sh.pages; p += groupPages {
		sh.need(p)
	}
	sh.allResident, sh.expect = true, nil
}

// loadBuffer is where a group lies until its pages are checked. It is word-aligned.
func (s *Store) loadBuffer() []byte {
	if s.loadWords == nil {
		s.loadWords = make([]uint64, blockSize/8)
	}
	return bytesOf(unsafe.Pointer(&s.loadWords[0]), blockSize)
}

// Evict drops page groups from memory that are unchanged since the last committed checkpoint, until bytes are freed,
// and returns how many were. A dropped group is loaded again when it is next looked up. The store needs a loader of
// that checkpoint: see [Store.SetLoader]. No reference into the store's pages may be in use.
func (s *Store) Evict(bytes int64) (freed int64) {
	if s.loader == nil || s.err != nil {
		return 0
	}
	for i := range s.shards {
		sh := s.look(i)
		for g := range (sh.pages + groupPages - 1) / groupPages {
			if freed >= bytes {
				return freed
			}
			freed += sh.evict(g)
		}
	}
	return freed
}

// evict drops one group if all its pages are clean, and returns its size.
func (sh *shard) evict(g uint32) int64 {
	first, end := g*groupPages, min((g+1)*groupPages, sh.pages)
	if sh.isAbsent(g) {
		return 0
	}
	for p := first; p < end; p++ {
		if !sh.clean(p) {
			return 0
		}
	}
	sh.markAllResident()
	sh.forget()
	sh.allResident = false
	sh.resident[g/64] &^= 1 << (g % 64)
	for p := first; p < end; p++ {
		if pg := sh.page(p); pg.kind() == pageBucket {
			sh.expectBucket(p, pg.state())
		}
	}
	for p := first; p < end; p += extentPages {
		x := sh.ext[p/extentPages]
		discard(bytesOf(unsafe.Pointer(x), extentSize))
	}
	return int64(end-first) * pageSize
}

func (sh *shard) isAbsent(g uint32) bool { return !sh.allResident && !sh.isResident(g) }

// markAllResident makes the bits say what allResident says.
func (sh *shard) markAllResident() {
	if !sh.allResident {
		return
	}
	for g := range (sh.pages + groupPages - 1) / groupPages {
		sh.resident[g/64] |= 1 << (g % 64)
	}
}

// SetLoader says where evicted groups come back from: the checkpoint that was committed last.
func (s *Store) SetLoader(l meta.Loader) { s.loader = l }

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
