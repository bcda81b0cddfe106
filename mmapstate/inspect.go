package mmapstate

import (
	"math/bits"

	"github.com/pagetide/pagetide/meta"
)

// inspect checks a loaded page by itself, once, so that nothing that uses it needs to: kinds, counts and references are
// possible ones. Whether a reference leads to the right kind of page is asked when it is followed; only directories are
// cached, so what they name is checked by expected.
func (sh *shard) inspect(p uint32, pg *page) error { return sh.inspector().inspect(p, pg) }

// inspector knows of a shard what it takes to inspect its pages; it does not change, so any goroutine may have it.
type inspector struct {
	id     meta.ShardID
	pages  uint32
	states []meta.State
}

func (sh *shard) inspector() inspector {
	return inspector{id: sh.id, pages: sh.pages, states: sh.store.states}
}

func (sh inspector) inspect(p uint32, pg *page) error {
	if what := sh.fault(p, pg); what != "" {
		return damage(sh.id, p, what)
	}
	return nil
}

// fault says what is wrong with a page, or nothing.
func (sh inspector) fault(p uint32, pg *page) string {
	kind := pg.kind()
	if (kind == pageShard) != (p == 0) {
		return "the shard's header belongs to page 0, and only there"
	}
	if pg.link() >= sh.pages {
		return "link beyond the shard's pages"
	}
	if kind == pageFree && pg.extra() >= sh.pages {
		return "link beyond the shard's pages"
	}
	if kind == pageShard || kind == pageFree {
		return ""
	}
	if int(pg.state()) >= len(sh.states) {
		return "unknown state"
	}
	index := sh.states[pg.state()].Kind == meta.KindIndex
	switch kind {
	case pageTable, pageDirectory, pageBucket:
		if index {
			return "page of a table in an index"
		}
	case pageIndex, pageLeaf, pageInner:
		if !index {
			return "page of an index in a table"
		}
	}
	return sh.content(pg)
}

func (sh inspector) content(pg *page) string {
	switch pg.kind() {
	case pageTable, pageDirectory:
		return ""
	case pageBucket:
		return bucketFault(pg)
	case pageSlab:
		return slabFault(pg, sh.pages)
	case pageRun:
		if pg.count() > runBytes {
			return "run holds more bytes than fit"
		}
		return ""
	case pageIndex:
		if pg.level() > maxHeight {
			return "tree is too high"
		}
		return ""
	case pageLeaf:
		return leafFault(pg)
	case pageInner:
		return innerFault(pg, sh.pages)
	}
	return "unknown kind of page"
}

func bucketFault(pg *page) string {
	lanes, groups, slot := uint32(pg[offLanes]), uint32(pg[offGroups]), pg.size()
	stride := strideOf(lanes, slot)
	if lanes < 1 || lanes > 8 || groups < 1 || slot < 8 || headSize+groups*stride > pageSize {
		return "impossible bucket layout"
	}
	if pg.level() > maxDepth {
		return "bucket is too deep"
	}
	count, tombs := uint32(0), uint32(0)
	for g := range groups {
		for lane := range uint32(8) {
			switch c := pg[headSize+g*stride+lane]; {
			case lane >= lanes && c != laneNone:
				return "control byte of a slot that does not exist"
			case lane >= lanes || c == laneEmpty:
			case c == laneDeleted:
				tombs++
			case c < 0x80:
				return "unknown control byte"
			default:
				count++
			}
		}
	}
	if count != pg.count() || tombs != uint32(load16(pg, offTombs)) {
		return "bucket's counts differ from its control bytes"
	}
	return ""
}

func slabFault(pg *page, pages uint32) string {
	if int(pg.level()) >= len(slabClass) {
		return "unknown slab class"
	}
	if pg.extra() >= pages {
		return "list beyond the shard's pages"
	}
	slots, used := slabSlots(uint32(pg.level())), uint32(0)
	for i := range uint32(4) {
		w := load64(pg, offBitmap+8*i)
		used += uint32(bits.OnesCount64(w))
		if valid := max(slots, 64*i) - 64*i; valid < 64 && w>>valid != 0 {
			return "bit of a slot that does not exist"
		}
	}
	if used != pg.count() {
		return "slab's count differs from its bitmap"
	}
	return ""
}
