package mmapstate

// regions hands out memory for extents from large mapped regions. Memory is never given back before close; a shard's
// extents never move.
type regions struct {
	all   []region
	free  []byte // what is left of the newest region, in whole blocks
	small []byte // what is left of a block that is handed out in extents
}

// block returns blockSize bytes of unspecified content.
func (r *regions) block() ([]byte, error) {
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
	if len(r.small) == 0 {
		b, err := r.block()
		if err != nil {
			return nil, err
		}
		r.small = b
	}
	b := r.small[:extentSize:extentSize]
	r.small = r.small[extentSize:]
	return b, nil
}

// close unmaps everything; every pointer into a page is invalid afterwards.
func (r *regions) close() error {
	var first error
	for i := range r.all {
		if err := r.all[i].unmap(); err != nil && first == nil {
			first = err
		}
	}
	*r = regions{}
	return first
}

// mapped is how many bytes of address space the regions take.
func (r *regions) mapped() int64 { return int64(len(r.all)) * regionSize }
