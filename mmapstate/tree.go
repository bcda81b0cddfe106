package mmapstate

import (
	"cmp"
	"math"
)

// tree is the layout of one index, the same in every shard: a B+tree in pages, ordered by rank.
//
//	leaf:  header 16 │ order: one byte per slot │ slots of entries
//	inner: header 16 │ separators: time i64 │ hash u64 │ seq u32 │ child u32
//
// A leaf's entries stay where they were put; the order bytes are a permutation of all slots, those in use first. So an
// insert writes one entry and shifts a few bytes: two or three lines. A page that loses its last entry is freed; pages
// are not merged.
type tree struct {
	store *Store
	no    uint16
	key   KeyShape
	entry uint32 // bytes of an entry
	cap   uint32 // entries of a leaf
	start uint32 // offset of the first slot
}

// An entry: time i64 │ hash u64 │ seq u32 │ 4 unused │ key, or a reference to its bytes; padded to 8.
const (
	offTime = 0
	offHash = 8
	offSeq  = 16
	offKey  = 24

	offChild  = 20 // of a separator
	innerSize = 24
	innerCap  = (pageSize - headSize) / innerSize
	maxHeight = 10 // inner pages above a leaf
)

func newTree(s *Store, no uint16, key KeyShape) *tree {
	n := uint32(key.Fixed)
	if n == 0 {
		n = refSize
	}
	t := &tree{store: s, no: no, key: key, entry: align8(offKey + n)}
	t.cap, t.start = leafLayout(t.entry)
	return t
}

// leafLayout gives how many entries of a size fit a leaf, and where the first one lies.
func leafLayout(entry uint32) (capacity, start uint32) {
	capacity = min((pageSize-headSize)/(entry+1), math.MaxUint8)
	for align8(headSize+capacity)+capacity*entry > pageSize {
		capacity--
	}
	return capacity, align8(headSize + capacity)
}

// rank is the total order of an index. seq tells keys of equal time and hash apart.
type rank struct {
	at   int64
	hash uint64
	seq  uint32
}

func (r rank) compare(o rank) int {
	if c := cmp.Compare(r.at, o.at); c != 0 {
		return c
	}
	if c := cmp.Compare(r.hash, o.hash); c != 0 {
		return c
	}
	return cmp.Compare(r.seq, o.seq)
}

func rankAt(pg *page, off uint32) rank {
	return rank{at: int64(load64(pg, off+offTime)), hash: load64(pg, off+offHash), seq: load32(pg, off+offSeq)}
}

func putRank(pg *page, off uint32, r rank) {
	store64(pg, off+offTime, uint64(r.at))
	store64(pg, off+offHash, r.hash)
	store32(pg, off+offSeq, r.seq)
}

// path is a place in the tree: the pages from the root down to a leaf, and the position in each.
type path struct {
	page [maxHeight + 1]uint32
	pos  [maxHeight + 1]uint32
	last int // index of the leaf
}

func (t *tree) leaf(sh *shard, p uint32) *page {
	pg := sh.see(p, pageLeaf, t.no)
	if pg.size() != t.entry {
		sh.damaged(p, "leaf of another layout")
	}
	return pg
}

// inner follows a reference to an inner page of a level: no page can be on a path twice.
func (t *tree) inner(sh *shard, p uint32, level byte) *page {
	pg := sh.see(p, pageInner, t.no)
	if pg.level() != level {
		sh.damaged(p, "inner page of level %d where %d belongs", pg.level(), level)
	}
	return pg
}

// slotAt is the offset of the entry at a position of a leaf.
func (t *tree) slotAt(pg *page, pos uint32) uint32 {
	return t.start + uint32(pg[headSize+pos])*t.entry
}

func separatorAt(i uint32) uint32 { return headSize + i*innerSize }

func child(pg *page, i uint32) uint32 { return load32(pg, separatorAt(i)+offChild) }

// seek finds the first entry that is not below r: the place may be behind the last entry of its leaf.
func (t *tree) seek(sh *shard, h *head, r rank) (w path) {
	root := sh.see(h.root, pageIndex, t.no)
	p := root.link()
	for level := root.level(); level > 0; level-- {
		pg := t.inner(sh, p, level)
		lo, hi := uint32(1), pg.count() // the first child takes all that is below the second separator
		for lo < hi {
			if mid := (lo + hi) / 2; rankAt(pg, separatorAt(mid)).compare(r) <= 0 {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		w.page[w.last], w.pos[w.last] = p, lo-1
		w.last++
		p = child(pg, lo-1)
	}
	pg := t.leaf(sh, p)
	lo, hi := uint32(0), pg.count()
	for lo < hi {
		if mid := (lo + hi) / 2; rankAt(pg, t.slotAt(pg, mid)).compare(r) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	w.page[w.last], w.pos[w.last] = p, lo
	return w
}

// least is below every entry.
var least = rank{at: math.MinInt64}

// settle moves a place behind the last entry of its leaf to the next leaf. It is false at the end of the tree.
func (t *tree) settle(sh *shard, w *path) bool {
	if w.pos[w.last] < t.leaf(sh, w.page[w.last]).count() {
		return true
	}
	up := w.last - 1
	for ; up >= 0; up-- {
		if w.pos[up]+1 < sh.at(w.page[up]).count() {
			break
		}
	}
	if up < 0 {
		return false
	}
	w.pos[up]++
	for ; up < w.last; up++ {
		w.page[up+1] = child(t.inner(sh, w.page[up], byte(w.last-up)), w.pos[up])
		w.pos[up+1] = 0
	}
	return t.leaf(sh, w.page[w.last]).count() > 0
}

// here gives the entry at a settled place.
func (t *tree) here(sh *shard, w *path) (pg *page, off uint32) {
	pg = t.leaf(sh, w.page[w.last])
	return pg, t.slotAt(pg, w.pos[w.last])
}

// lookup finds a key at a time. If it is missing, seq is a free sequence number for it.
func (t *tree) lookup(sh *shard, h *head, k Key, at int64) (w path, seq uint32, ok bool) {
	w = t.seek(sh, h, rank{at: at, hash: k.Hash})
	for last := (rank{at: at, hash: k.Hash}); t.settle(sh, &w); {
		pg, off := t.here(sh, &w)
		r := rankAt(pg, off)
		if r.compare(last) < 0 { // what does not ascend could go on for ever
			sh.damaged(w.page[w.last], "index is out of order")
		}
		last = rank{at: at, hash: k.Hash, seq: r.seq + 1}
		if r.at != at || r.hash != k.Hash {
			break
		}
		if t.equal(sh, pg, off, k.Bytes) {
			return w, 0, true
		}
		if seq = r.seq + 1; seq == 0 {
			sh.store.fail(errSameHash)
		}
		w.pos[w.last]++
	}
	return w, seq, false
}

func (t *tree) equal(sh *shard, pg *page, off uint32, key []byte) bool {
	if t.key.Fixed == 0 {
		return sh.refEqual(pg, off+offKey, t.no, key)
	}
	return string(bytesOf(ptrAt(pg, off+offKey), t.key.Fixed)) == string(key)
}

// keyAt appends the bytes of an entry's key.
func (t *tree) keyAt(sh *shard, pg *page, off uint32, buf []byte) []byte {
	if t.key.Fixed == 0 {
		return sh.refBytes(pg, off+offKey, t.no, buf)
	}
	return append(buf, bytesOf(ptrAt(pg, off+offKey), t.key.Fixed)...)
}

// open compares a shard's root page with what the checkpoint said, once. It is false if there are no pages.
func (t *tree) open(sh *shard, h *head) bool {
	if h.checked {
		return true
	}
	if !sh.opened {
		sh.open()
	}
	if h.root == 0 {
		return false
	}
	root := sh.see(h.root, pageIndex, t.no)
	if root.size() != t.entry || load64(root, offEntries) != h.entries {
		sh.damaged(h.root, "index with %d entries, expected %d", load64(root, offEntries), h.entries)
	}
	if h.entries > 0 {
		if at := t.earliest(sh, h); at != h.earliest {
			sh.damaged(h.root, "index begins at %d, expected %d", at, h.earliest)
		}
	}
	h.checked = true
	return true
}

// earliest is the time of the first entry of a tree that has one.
func (t *tree) earliest(sh *shard, h *head) int64 {
	w := t.seek(sh, h, least)
	if !t.settle(sh, &w) {
		sh.damaged(h.root, "index without entries")
	}
	pg, off := t.here(sh, &w)
	return rankAt(pg, off).at
}

func leafFault(pg *page) string {
	if pg.size() <= offKey || pg.size()%8 != 0 || pg.size() > pageSize/2 {
		return "impossible leaf layout"
	}
	capacity, _ := leafLayout(pg.size())
	if pg.count() > capacity {
		return "impossible number of entries in a leaf"
	}
	var seen [math.MaxUint8 + 1]bool
	for _, slot := range pg[headSize : headSize+capacity] {
		if uint32(slot) >= capacity || seen[slot] {
			return "a leaf's order is no permutation"
		}
		seen[slot] = true
	}
	return ""
}

func innerFault(pg *page, pages uint32) string {
	if pg.level() == 0 || pg.level() > maxHeight || pg.count() == 0 || pg.count() > innerCap {
		return "impossible number of children"
	}
	for i := range pg.count() {
		if c := child(pg, i); c == 0 || c >= pages {
			return "child beyond the shard's pages"
		}
	}
	return ""
}
