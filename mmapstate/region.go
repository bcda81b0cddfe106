package mmapstate

import (
	"math/bits"
	"sync"
)

// regions hands out memory for extents from large mapped regions, which stay mapped until close. A resident page never
// moves. Blocks that come back are handed out again, those first whose huge page is in use anyway, so that what the
// store takes stays dense. Only whole huge pages go back to the system: a part of one costs more than it frees.
type regions struct {
	mu       sync.Mutex // guards all below: the background loader takes blocks too
	all      []region
	free     []byte             // what is left of the newest region, in whole blocks
	small    []byte             // what is left of a block that is handed out in extents
	used     int                // blocks that are handed out
	chunks   map[uintptr]*chunk // with spare blocks, by address
	partial  []*chunk           // of chunks: some blocks are spare
	whole    []*chunk           // of chunks: all are; the first ones were discarded
	returned int                // how many of whole
}

// chunk is a huge page of which blocks were given back.
type chunk struct {
	bytes []byte
	spare uint32 // bit by block
	at    int    // its place in partial
}

const (
	chunkBlocks = chunkSize / blockSize
	fullChunk   = 1<<chunkBlocks - 1
)

// block returns blockSize bytes of unspecified content.
func (r *regions) block() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nextBlock()
}

func (r *regions) nextBlock() ([]byte, error) {
	if b := r.spareBlock(); b != nil {
		r.used++
		return b, nil
	}
	if len(r.free) == 0 {
		reg, err := mapRegion()
		if err != nil {
			return nil, err
		}
		r.all = append(r.all, reg)
		r.free = reg.bytes
	}
	b := r.free[:blockSize:blockSize]
	r.free = r.free[blockSize:]
	r.used++
	return b, nil
}

// spareBlock takes a block that was given back, nil if there is none.
func (r *regions) spareBlock() []byte {
	if n := len(r.whole); len(r.partial) == 0 && n > 0 {
		c := r.whole[n-1]
		r.whole = r.whole[:n-1]
		r.returned = min(r.returned, n-1)
		r.addPartial(c)
	}
	n := len(r.partial)
	if n == 0 {
		return nil
	}
	c := r.partial[n-1]
	i := bits.TrailingZeros32(c.spare)
	if c.spare &= c.spare - 1; c.spare == 0 {
		r.partial = r.partial[:n-1]
		delete(r.chunks, addressOf(c.bytes))
	}
	return c.bytes[i*blockSize:][:blockSize:blockSize]
}

func (r *regions) addPartial(c *chunk) {
	c.at = len(r.partial)
	r.partial = append(r.partial, c)
}

func (r *regions) dropPartial(c *chunk) {
	last := r.partial[len(r.partial)-1]
	r.partial[c.at], last.at = last, c.at
	r.partial = r.partial[:len(r.partial)-1]
}

// extent returns extentSize bytes of unspecified content.
func (r *regions) extent() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.small) == 0 {
		b, err := r.nextBlock()
		if err != nil {
			return nil, err
		}
		r.small = b
	}
	b := r.small[:extentSize:extentSize]
	r.small = r.small[extentSize:]
	return b, nil
}

// giveBack takes a block back that nothing refers to any more.
func (r *regions) giveBack(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used--
	c, i := r.chunkOf(b)
	if c.spare |= 1 << i; c.spare != fullChunk {
		return
	}
	r.dropPartial(c)
	r.whole = append(r.whole, c)
	for len(r.whole)-r.returned > r.reserve() { // rule: memory-goes-back
		discard(r.whole[r.returned].bytes)
		r.returned++
	}
}

// chunkOf finds the chunk of a block that comes back, and the block's number in it.
func (r *regions) chunkOf(b []byte) (c *chunk, i uintptr) {
	at := addressOf(b)
	i = at % chunkSize / blockSize
	if c = r.chunks[at-at%chunkSize]; c != nil {
		return c, i
	}
	c = &chunk{bytes: chunkAround(b)}
	if r.chunks == nil {
		r.chunks = map[uintptr]*chunk{}
	}
	r.chunks[at-at%chunkSize] = c
	r.addPartial(c)
	return c, i
}

// reserve is how many whole chunks stay in memory for those who come next: an eighth of what is used. Under a memory
// limit that is more than one round of evictions gives back.
func (r *regions) reserve() int { return 2 + r.used/(8*chunkBlocks) }

// close unmaps everything; every pointer into a page is invalid afterwards.
func (r *regions) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first error
	for i := range r.all {
		if err := r.all[i].unmap(); err != nil && first == nil {
			first = err
		}
	}
	r.all, r.free, r.small, r.used = nil, nil, nil, 0
	r.chunks, r.partial, r.whole, r.returned = nil, nil, nil, 0
	return first
}

// account is how many bytes of address space the regions take, and how many of them were given back to the system in
// whole chunks and not taken again.
func (r *regions) account() (mapped, returned int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.all)) * regionSize, int64(r.returned) * chunkSize
}

// discardSpare gives the memory of all spare blocks back to the system; they stay spare.
func (r *regions) discardSpare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.returned < len(r.whole); r.returned++ {
		discard(r.whole[r.returned].bytes)
	}
	for _, c := range r.partial {
		for w := c.spare; w != 0; w &= w - 1 {
			discard(c.bytes[bits.TrailingZeros32(w)*blockSize:][:blockSize])
		}
	}
}
