package mmapstate

import (
	"errors"
	"math"
)

var errSameHash = errors.New("an index holds 4 billion keys of one time and hash")

// insert adds a key at a time, unless it is there.
func (t *tree) insert(sh *shard, k Key, at int64) bool {
	h := &sh.heads[t.no]
	if !t.open(sh, h) {
		t.create(sh, h)
	}
	r := rank{at: at, hash: k.Hash}
	w := t.seek(sh, h, r)
	if h.entries == 0 {
		h.earliest = math.MaxInt64
	} else if t.meets(sh, w, r) {
		_, seq, found := t.lookup(sh, h, k, at)
		if found {
			return false
		}
		r.seq = seq
		w = t.seek(sh, h, r)
	}
	if sh.page(w.page[w.last]).count() == t.cap {
		t.splitLeaf(sh, h, &w, r)
		w = t.seek(sh, h, r)
	}
	t.put(sh, h, &w, r, k.Bytes)
	h.entries++
	h.earliest = min(h.earliest, at)
	sh.put64(h.root, offEntries, h.entries)
	return true
}

// meets tells whether there is an entry at a place with the time and hash of a rank.
func (t *tree) meets(sh *shard, w path, r rank) bool {
	if !t.settle(sh, &w) {
		return false
	}
	pg, off := t.here(sh, &w)
	o := rankAt(pg, off)
	return o.at == r.at && o.hash == r.hash
}

// create makes the root page and the first leaf, which the caller fills.
func (t *tree) create(sh *shard, h *head) {
	h.root, _ = sh.alloc(pageIndex, t.no)
	sh.put32(0, offRoots+4*uint32(t.no), h.root)
	leaf := t.newLeaf(sh)
	root := sh.edit(h.root, 0, headSize)
	store16(root, offSize, uint16(t.entry))
	store32(root, offLink, leaf)
	h.checked = true
}

func (t *tree) newLeaf(sh *shard) uint32 {
	p, pg := sh.alloc(pageLeaf, t.no)
	store16(pg, offSize, uint16(t.entry))
	for i := range t.cap {
		pg[headSize+i] = byte(i)
	}
	return p
}

// put writes an entry into a leaf with room, in the first free slot, and moves its order byte into place.
func (t *tree) put(sh *shard, h *head, w *path, r rank, key []byte) {
	p, pos := w.page[w.last], w.pos[w.last]
	pg := sh.page(p)
	n := pg.count()
	off := t.slotAt(pg, n)
	sh.touch(p, lineBits(0, headSize)|lineBits(headSize+pos, n-pos+1)|lineBits(off, t.entry))
	order := pg[headSize : headSize+n+1]
	slot := order[n]
	copy(order[pos+1:], order[pos:])
	order[pos] = slot
	store16(pg, offCount, uint16(n+1))
	clear(bytesOf(ptrAt(pg, off), int(t.entry)))
	putRank(pg, off, r)
	if t.key.Fixed == 0 {
		sh.putRef(h, t.no, p, off+offKey, key)
		return
	}
	copy(bytesOf(ptrAt(pg, off+offKey), t.key.Fixed), key)
}

// splitLeaf makes room for r: half of the entries move to a new leaf; none if r is the last of all, because times
// usually ascend and full leaves stay full.
func (t *tree) splitLeaf(sh *shard, h *head, w *path, r rank) {
	p := w.page[w.last]
	keep, sep := t.cap, r
	if !t.atEnd(sh, w) {
		keep = t.cap / 2
		pg := sh.page(p)
		sep = rankAt(pg, t.slotAt(pg, keep))
	}
	q := t.newLeaf(sh)
	from, to := sh.page(p), sh.page(q)
	for i := keep; i < t.cap; i++ {
		copy(bytesOf(ptrAt(to, t.slotAt(to, i-keep)), int(t.entry)), bytesOf(ptrAt(from, t.slotAt(from, i)), int(t.entry)))
	}
	store16(to, offCount, uint16(t.cap-keep))
	sh.put16(p, offCount, uint16(keep))
	t.addChild(sh, h, w, w.last-1, sep, q)
}

// atEnd tells whether a place is behind the last entry of the tree.
func (t *tree) atEnd(sh *shard, w *path) bool {
	for i := range w.last {
		if w.pos[i]+1 < sh.page(w.page[i]).count() {
			return false
		}
	}
	return w.pos[w.last] == sh.page(w.page[w.last]).count()
}

// addChild puts a page behind the child that the path takes at a depth. Depth -1 is above the root.
func (t *tree) addChild(sh *shard, h *head, w *path, depth int, sep rank, p uint32) {
	if depth < 0 {
		t.growRoot(sh, h, sep, p)
		return
	}
	to, pos := w.page[depth], w.pos[depth]+1
	if sh.page(to).count() == innerCap {
		q := t.splitInner(sh, h, w, depth)
		if pos > innerCap/2 {
			to, pos = q, pos-innerCap/2
		}
	}
	n := sh.page(to).count()
	pg := sh.edit(to, separatorAt(pos), (n-pos+1)*innerSize)
	copy(pg[separatorAt(pos+1):separatorAt(n+1)], pg[separatorAt(pos):separatorAt(n)])
	putSeparator(pg, pos, sep, p)
	sh.put16(to, offCount, uint16(n+1))
}

func putSeparator(pg *page, i uint32, r rank, p uint32) {
	putRank(pg, separatorAt(i), r)
	store32(pg, separatorAt(i)+offChild, p)
}

// splitInner moves the upper half of an inner page to a new one.
func (t *tree) splitInner(sh *shard, h *head, w *path, depth int) uint32 {
	const keep = innerCap / 2
	q, to := sh.alloc(pageInner, t.no)
	from := sh.page(w.page[depth])
	to[offLevel] = from.level()
	copy(to[headSize:], from[separatorAt(keep):separatorAt(innerCap)])
	store16(to, offCount, innerCap-keep)
	store16(to, offSize, innerSize)
	sh.put16(w.page[depth], offCount, keep)
	t.addChild(sh, h, w, depth-1, rankAt(to, headSize), q)
	return q
}

func (t *tree) growRoot(sh *shard, h *head, sep rank, p uint32) {
	root := sh.at(h.root)
	if root.level() >= maxHeight {
		sh.damaged(h.root, "tree is too high")
	}
	q, pg := sh.alloc(pageInner, t.no)
	store16(pg, offSize, innerSize)
	store16(pg, offCount, 2)
	putSeparator(pg, 0, least, root.link())
	putSeparator(pg, 1, sep, p)
	root = sh.edit(h.root, 0, headSize)
	root[offLevel]++
	pg[offLevel] = root.level()
	store32(root, offLink, q)
}

// delete removes a key at a time and tells whether it was there.
func (t *tree) delete(sh *shard, k Key, at int64) bool {
	h := &sh.heads[t.no]
	if !t.open(sh, h) {
		return false
	}
	w, _, found := t.lookup(sh, h, k, at)
	if found {
		t.remove(sh, h, &w)
	}
	return found
}

// remove takes the entry at a settled place out.
func (t *tree) remove(sh *shard, h *head, w *path) {
	p, pos := w.page[w.last], w.pos[w.last]
	pg, off := t.here(sh, w)
	at := rankAt(pg, off).at
	if t.key.Fixed == 0 {
		sh.freeRef(h, t.no, pg, off+offKey)
	}
	n, first := pg.count(), w.isFirst()
	sh.touch(p, lineBits(0, headSize)|lineBits(headSize+pos, n-pos))
	order := pg[headSize : headSize+n]
	slot := order[pos]
	copy(order[pos:], order[pos+1:])
	order[n-1] = slot
	store16(pg, offCount, uint16(n-1))
	if n == 1 && w.last > 0 { // a tree of one leaf keeps it, as a table of one bucket does
		t.removePage(sh, h, w)
	}
	if h.entries--; h.entries == 0 && w.last > 0 {
		sh.dropRoot(t.no)
		return
	}
	sh.put64(h.root, offEntries, h.entries)
	switch {
	case h.entries == 0 || at != h.earliest || !first: // what was the first entry still is
	case n > 1:
		h.earliest = rankAt(pg, t.slotAt(pg, 0)).at
	default:
		h.earliest = t.earliest(sh, h)
	}
}

// isFirst tells whether a place is that of the first entry.
func (w *path) isFirst() bool {
	for _, pos := range w.pos[:w.last+1] {
		if pos != 0 {
			return false
		}
	}
	return true
}

// removePage frees an empty leaf, and every inner page that is left without children; then the root gives up levels
// that only lead to one page.
func (t *tree) removePage(sh *shard, h *head, w *path) {
	sh.free(w.page[w.last])
	depth := w.last - 1
	for ; depth >= 0; depth-- {
		p, pos := w.page[depth], w.pos[depth]
		n := sh.page(p).count()
		if n > 1 {
			pg := sh.edit(p, separatorAt(pos), (n-pos)*innerSize)
			copy(pg[separatorAt(pos):], pg[separatorAt(pos+1):separatorAt(n)])
			sh.put16(p, offCount, uint16(n-1))
			break
		}
		sh.free(p)
	}
	if (depth < 0) != (h.entries == 1) {
		sh.damaged(h.root, "index counts %d entries when its last page empties", h.entries)
	}
	root := sh.at(h.root)
	for depth >= 0 && root.level() > 0 {
		top := root.link()
		pg := t.inner(sh, top, root.level())
		if pg.count() > 1 {
			return
		}
		root = sh.edit(h.root, 0, headSize)
		root[offLevel]--
		store32(root, offLink, child(pg, 0))
		sh.free(top)
	}
}
