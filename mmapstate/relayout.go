package mmapstate

// relayout moves the entries of a state from buckets of an old layout to buckets of this one, shard by shard. Key and
// value stay as they are, references too; each entry's life begins anew. It loads every page of the state's tables and
// costs time in proportion to its entries. A failure poisons the store.
func (t *table) relayout(old *table) (err error) {
	defer catch(&err)
	t.store.tables[t.no] = nil // pages of both layouts are loaded meanwhile
	for i := range t.store.shards {
		sh := t.store.look(i)
		if h := &sh.heads[t.no]; len(h.dir) > 0 || old.open(sh, h) {
			t.relayoutShard(sh, h, old)
		}
	}
	return nil
}

func (t *table) relayoutShard(sh *shard, h *head, old *table) {
	was := *h
	*h = head{entries: was.entries}
	t.createBeside(sh, h, was.root)
	image := new(page)
	for i := len(was.dir) - 1; i >= 0; i-- { // downwards, because a bucket is named first at its own low bits
		p := was.dir[i]
		if i >= 1<<old.bucket(sh, p).level() {
			continue
		}
		for p != 0 {
			*image = *old.bucket(sh, p)
			sh.free(p) // a circle ends here: the page is no bucket any more
			old.slots(image, func(off uint32) bool {
				t.adopt(sh, h, old, image, off)
				return true
			})
			p = image.link()
		}
	}
	for i := range directoryPages(len(was.dir)) {
		p := load32(sh.at(was.root), offDirectory+4*i)
		sh.see(p, pageDirectory, t.no)
		sh.free(p)
	}
	sh.see(was.root, pageTable, t.no)
	sh.free(was.root)
}

// createBeside makes a root page and the first bucket; the slabs of the old root become the new one's.
func (t *table) createBeside(sh *shard, h *head, root uint32) {
	t.create(sh, h)
	const n = 4 * uint32(len(slabClass))
	to, from := sh.edit(h.root, offSlabs, n), sh.see(root, pageTable, t.no)
	copy(to[offSlabs:offSlabs+n], from[offSlabs:offSlabs+n])
	sh.put64(h.root, offEntries, h.entries)
}

// adopt copies an entry of the old layout.
func (t *table) adopt(sh *shard, h *head, old *table, from *page, off uint32) {
	p, to := t.place(sh, h, old.slotHash(from, off))
	pg := sh.page(p)
	n := t.value + t.size
	copy(pg[to:to+n], from[off:off+n])
	if t.ttl != nil {
		none := int64(noTime)
		store64(pg, to+t.stamp, uint64(none))
	}
}
