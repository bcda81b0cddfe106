package mmapstate

import "sync"

// regions hands out memory for extents from large mapped regions. Memory is never given back before close. A resident
// page never moves; the blocks of evicted groups are handed out again, so that what the store takes stays dense.
type regions struct {
	mu    sync.Mutex // guards all below: the background loader takes blocks too
	all   []region
	free  []byte   // what is left of the newest region, in whole blocks
	small []byte   // what is left of a block that is handed out in extents
	spare [][]byte // blocks that were given back
}

// block returns blockSize bytes of unspecified content.
func (r *regions) block() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nextBlock()
}

func (r *regions) nextBlock() ([]byte, error) {
	if n := len(r.spare); n > 0 {
		b := r.spare[n-1]
		r.spare = r.spare[:n-1]
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
	return b, nil
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
	r.spare = append(r.spare, b)
}

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
	r.all, r.free, r.small, r.spare = nil, nil, nil, nil
	return first
}

// mapped is how many bytes of address space the regions take.
func (r *regions) mapped() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.all)) * regionSize
}

// discardSpare gives the memory of all spare blocks back to the system; they stay spare.
func (r *regions) discardSpare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.spare {
		discard(b)
	}
}
