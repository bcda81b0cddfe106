package mmapstate

import "math/bits"

// The directory names the bucket of every combination of the hash's low bits. Low bits make doubling an append: the new
// half repeats the old one. The pages are the truth, head.dir is a cache of it.

// open reads the directory of a shard's table, once. It is false if the table has no entries.
func (t *table) open(sh *shard, h *head) bool {
	if !sh.opened {
		sh.open()
	}
	if h.root == 0 {
		return false
	}
	root := sh.see(h.root, pageTable, t.no)
	depth := root.level()
	if depth > maxDepth || load64(root, offEntries) != h.entries {
		sh.damaged(h.root, "table of depth %d with %d entries, expected %d", depth, load64(root, offEntries), h.entries)
	}
	dir := make([]uint32, 1<<depth)
	if depth <= inlineDepth {
		for i := range dir {
			dir[i] = load32(root, offDirectory+4*uint32(i))
		}
	} else {
		for i := 0; i < len(dir); i += directorySpan {
			pg := sh.see(load32(root, offDirectory+4*uint32(i/directorySpan)), pageDirectory, t.no)
			for j := range min(directorySpan, len(dir)-i) {
				dir[i+j] = load32(pg, headSize+4*uint32(j))
			}
		}
	}
	for _, p := range dir {
		t.expect(sh, p)
	}
	h.dir, h.at = dir, make([]*page, len(dir))
	return true
}

// expect makes sure that lookups may take a page for a bucket: now if it is there, else when it is loaded.
func (t *table) expect(sh *shard, p uint32) {
	if p < sh.pages && sh.isAbsent(p/groupPages) {
		sh.expectBucket(p, t.no)
		return
	}
	t.bucket(sh, p)
}

// create makes the root page and the first bucket.
func (t *table) create(sh *shard, h *head) {
	h.root, _ = sh.alloc(pageTable, t.no)
	sh.put32(0, offRoots+4*uint32(t.no), h.root)
	h.dir, h.at = []uint32{0}, []*page{nil}
	t.setDirectory(sh, h, 0, t.newBucket(sh, 0))
}

// release frees all pages of a table that has lost its last entry. One that never grew keeps them: it is likely to get
// entries again before the next checkpoint, which then has a few of their lines and not all.
func (t *table) release(sh *shard, h *head) {
	if len(h.dir) == 1 && t.bucket(sh, h.dir[0]).link() == 0 {
		sh.put64(h.root, offEntries, 0)
		return
	}
	for i := len(h.dir) - 1; i >= 0; i-- { // downwards, because a bucket is named first at its own low bits
		p := h.dir[i]
		if i >= 1<<t.bucket(sh, p).level() {
			continue
		}
		for p != 0 { // a circle ends at the first page that is free already
			next := t.bucket(sh, p).link()
			sh.free(p)
			p = next
		}
	}
	for i := range directoryPages(len(h.dir)) {
		p := load32(sh.at(h.root), offDirectory+4*i)
		sh.see(p, pageDirectory, t.no)
		sh.free(p)
	}
	sh.dropRoot(t.no)
}

// dropRoot frees a state's root page and forgets it.
func (sh *shard) dropRoot(no uint16) {
	h := &sh.heads[no]
	sh.free(h.root)
	sh.put32(0, offRoots+4*uint32(no), 0)
	*h = head{}
}

// directoryPages is how many pages a directory of n numbers takes beside the root.
func directoryPages(n int) uint32 {
	if n <= 1<<inlineDepth {
		return 0
	}
	return uint32(n+directorySpan-1) / directorySpan
}

// setDirectory changes one number, in the page and in the cache.
func (t *table) setDirectory(sh *shard, h *head, i, p uint32) {
	h.dir[i], h.at[i] = p, nil
	if len(h.dir) <= 1<<inlineDepth {
		sh.put32(h.root, offDirectory+4*i, p)
		return
	}
	d := load32(sh.at(h.root), offDirectory+4*(i/directorySpan))
	sh.see(d, pageDirectory, t.no)
	sh.put32(d, headSize+4*(i%directorySpan), p)
}

// resolve finds where a bucket lies, loading it if it is absent. Pages never move, so the answer holds until eviction.
//
//go:noinline
func (sh *shard) resolve(h *head, i uint64) *page {
	h.at[i] = sh.at(h.dir[i])
	return h.at[i]
}

// forget drops the pointers to buckets: some may lead to pages that are absent now.
func (sh *shard) forget() {
	sh.store.moves++
	for i := range sh.heads {
		clear(sh.heads[i].at)
	}
}

// double makes the directory look at one more bit.
func (t *table) double(sh *shard, h *head) {
	n := len(h.dir)
	from := n
	if n == 1<<inlineDepth {
		from = 0 // the numbers leave the root page
	}
	had := directoryPages(n)
	h.dir, h.at = append(h.dir, h.dir...), append(h.at, h.at...)
	root := sh.edit(h.root, 0, headSize)
	root[offLevel] = byte(bits.TrailingZeros(uint(len(h.dir))))
	for i := had; i < directoryPages(len(h.dir)); i++ {
		d, _ := sh.alloc(pageDirectory, t.no)
		sh.put32(h.root, offDirectory+4*i, d)
	}
	for i := from; i < len(h.dir); i++ {
		t.setDirectory(sh, h, uint32(i), h.dir[i])
	}
}
