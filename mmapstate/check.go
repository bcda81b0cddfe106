package mmapstate

import (
	"fmt"

	"github.com/pagetide/pagetide/meta"
)

// Check reads the whole structure and returns the first thing that is not as it must be. It loads absent pages. States
// that were not declared are only inspected page by page. It is for tests and tools, and takes as long as it takes.
func (s *Store) Check() (err error) {
	defer catch(&err)
	if s.err != nil {
		return s.err
	}
	for i := range s.shards {
		sh := s.look(i)
		if sh.pages == 0 {
			continue
		}
		c := checker{sh: sh, owned: make([]bool, sh.pages)}
		if err := c.shard(); err != nil {
			return err
		}
	}
	return nil
}

// checker walks one shard. Every page has exactly one owner.
type checker struct {
	sh      *shard
	owned   []bool
	slots   map[uint32]uint32 // references into slabs, by page
	foreign bool              // some state was not declared, so not all pages have a known owner
}

func (c *checker) fault(p uint32, format string, args ...any) error {
	return c.sh.damage(p, fmt.Sprintf(format, args...))
}

// own claims a page of a kind for its only owner.
func (c *checker) own(p uint32, kind byte, state uint16) (*page, error) {
	pg := c.sh.see(p, kind, state)
	if c.owned[p] {
		return nil, c.fault(p, "page has two owners")
	}
	c.owned[p] = true
	return pg, nil
}

func (c *checker) shard() error {
	sh := c.sh
	for p := range sh.pages {
		if err := sh.inspect(p, sh.at(p)); err != nil {
			return err
		}
	}
	if !sh.opened {
		sh.open()
	}
	c.owned[0] = true
	if err := c.freeList(); err != nil {
		return err
	}
	for no := range sh.heads {
		if err := c.state(uint16(no)); err != nil {
			return err
		}
	}
	for _, check := range sh.store.checks {
		if err := check(c); err != nil {
			return err
		}
	}
	for p, owned := range c.owned {
		if !owned && !c.foreign {
			return c.fault(uint32(p), "page of kind %d has no owner", sh.page(uint32(p)).kind())
		}
	}
	return c.guard()
}

// guard checks: a non-empty mask has its summary bit.
func (c *checker) guard() error {
	for p := range c.sh.pages {
		if c.sh.mask[p] != 0 && c.sh.summary[p>>12]>>(p>>6&63)&1 == 0 {
			return c.fault(p, "dirty page is missing from the summary")
		}
	}
	return nil
}

func (c *checker) freeList() error {
	n, h := uint32(0), c.sh.page0()
	for p, prev := h.link(), uint32(0); p != 0; n++ {
		if _, err := c.own(p, pageFree, 0); err != nil {
			return err
		}
		pg := c.sh.image(p)
		if pg.extra() != prev {
			return c.fault(p, "free page is linked wrongly")
		}
		prev, p = p, pg.link()
	}
	if n != h.extra() {
		return c.fault(0, "free list has %d pages, the header says %d", n, h.extra())
	}
	return nil
}

func (c *checker) state(no uint16) error {
	h := &c.sh.heads[no]
	c.slots = map[uint32]uint32{}
	switch t := c.sh.store.tables[no]; {
	case h.root == 0:
		if h.entries != 0 {
			return c.fault(0, "state %d has %d entries and no root", no, h.entries)
		}
		return nil
	case !c.sh.store.declared[no]:
		c.foreign = true
		return nil
	case c.sh.store.states[no].Kind == meta.KindIndex:
		if err := c.index(c.sh.store.trees[no], h); err != nil {
			return err
		}
	default:
		if err := c.table(t, h); err != nil {
			return err
		}
	}
	return c.slabs(no, h)
}

func (c *checker) table(t *table, h *head) error {
	if len(h.dir) == 0 {
		t.open(c.sh, h)
	}
	if _, err := c.own(h.root, pageTable, t.no); err != nil {
		return err
	}
	for i := range directoryPages(len(h.dir)) {
		if _, err := c.own(load32(c.sh.page(h.root), offDirectory+4*i), pageDirectory, t.no); err != nil {
			return err
		}
	}
	entries := uint64(0)
	for i, p := range h.dir {
		level := t.bucket(c.sh, p).level()
		if low := i & (1<<level - 1); 1<<level > len(h.dir) || h.dir[low] != p {
			return c.fault(p, "bucket of depth %d is named at %d and not at %d", level, i, low)
		}
		if i >= 1<<level {
			continue
		}
		n, err := c.bucket(t, h, p, uint64(i), level)
		if err != nil {
			return err
		}
		entries += n
	}
	if entries != h.entries || load64(c.sh.page(h.root), offEntries) != entries {
		return c.fault(h.root, "table has %d entries, its head says %d", entries, h.entries)
	}
	return nil
}

// bucket checks a chain: its entries belong there and can be found.
func (c *checker) bucket(t *table, h *head, p uint32, low uint64, level byte) (n uint64, err error) {
	for p != 0 {
		pg, err := c.own(p, pageBucket, t.no)
		if err != nil {
			return 0, err
		}
		n += uint64(pg.count())
		t.slots(pg, func(off uint32) bool {
			if t.key.Fixed == 0 && longKey(pg, off) {
				c.ref(pg, off+offVarRef)
			}
			if t.blob {
				c.ref(pg, off+t.value)
			}
			k := Key{Hash: t.slotHash(pg, off), Bytes: t.keyAt(c.sh, pg, off, nil)}
			_, at, found := t.find(c.sh, k)
			if k.Hash&(1<<level-1) != low || at != p || found != off {
				err = c.fault(p, "entry at %d cannot be found", off)
			}
			return err == nil
		})
		if err != nil {
			return 0, err
		}
		p = pg.link()
	}
	return n, nil
}

// ref counts what a reference stands for.
func (c *checker) ref(pg *page, off uint32) {
	n, at := load32(pg, off), load32(pg, off+8)
	c.sh.refBytes(pg, off, pg.state(), nil) // follows it, or fails
	switch {
	case n > maxSlab:
		for ; n > 0; n -= min(n, runBytes) {
			c.owned[at] = true
			at = c.sh.page(at).link()
		}
	case n > maxShort:
		c.slots[at]++
	}
}

// slabs checks: every used slot has one reference, and every slab with room is listed.
func (c *checker) slabs(no uint16, h *head) error {
	for p, refs := range c.slots {
		pg, err := c.own(p, pageSlab, no)
		if err != nil {
			return err
		}
		if refs != pg.count() {
			return c.fault(p, "slab has %d slots in use and %d references", pg.count(), refs)
		}
	}
	withRoom := 0
	for class := range uint32(len(slabClass)) {
		prev := uint32(0)
		for p := load32(c.sh.page(h.root), slabList(class)); p != 0; withRoom-- {
			pg := c.sh.slab(no, p, class)
			if pg.extra() != prev || pg.count() == slabSlots(class) || c.slots[p] == 0 {
				return c.fault(p, "slab is listed wrongly")
			}
			prev, p = p, pg.link()
			if -withRoom > int(c.sh.pages) {
				return c.fault(p, "list of slabs goes in circles")
			}
		}
	}
	for p := range c.slots {
		if pg := c.sh.page(p); pg.count() < slabSlots(uint32(pg.level())) {
			withRoom++
		}
	}
	if withRoom != 0 {
		return c.fault(h.root, "%d slabs with room are not listed", withRoom)
	}
	return nil
}

func (c *checker) index(t *tree, h *head) error {
	t.open(c.sh, h)
	root, err := c.own(h.root, pageIndex, t.no)
	if err != nil {
		return err
	}
	if err := c.treePages(t, root.link(), root.level()); err != nil {
		return err
	}
	n, last := uint64(0), least
	for w := t.seek(c.sh, h, least); t.settle(c.sh, &w); w.pos[w.last]++ {
		pg, off := t.here(c.sh, &w)
		r := rankAt(pg, off)
		if n > 0 && r.compare(last) <= 0 {
			return c.fault(w.page[w.last], "index is out of order")
		}
		if at := t.seek(c.sh, h, r); at != w {
			return c.fault(w.page[w.last], "index entry cannot be found")
		}
		if t.key.Fixed == 0 {
			c.ref(pg, off+offKey)
		}
		n, last = n+1, r
	}
	if n != h.entries || load64(c.sh.page(h.root), offEntries) != n || n > 0 && t.earliest(c.sh, h) != h.earliest {
		return c.fault(h.root, "index has %d entries, its head says %d", n, h.entries)
	}
	return nil
}

func (c *checker) treePages(t *tree, p uint32, level byte) error {
	if level == 0 {
		_, err := c.own(p, pageLeaf, t.no)
		return err
	}
	pg, err := c.own(p, pageInner, t.no)
	if err != nil {
		return err
	}
	for i := range pg.count() {
		if err := c.treePages(t, child(pg, i), level-1); err != nil {
			return err
		}
	}
	return nil
}
