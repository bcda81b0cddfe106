package mmapstate

// What Check asks of states that are made of several tables: each head's numbers lead to an entry, and there are no
// other entries.

func (l *Lists) check(c *checker) (err error) {
	sh, h := c.sh, l.heads.table
	elements := uint64(0)
	h.walk(sh, func(pg *page, off uint32) bool {
		k := Key{Hash: h.slotHash(pg, off), Group: sh.id.Group(), Bytes: h.keyAt(sh, pg, off, nil)}
		span := l.span(k)
		for n := span.First; n < span.Next; n++ {
			l.item(sh, k, n)
		}
		elements += span.Next - span.First
		return true
	})
	if n := sh.heads[l.items.no].entries; n != elements {
		return c.fault(0, "lists have %d elements, there are %d", elements, n)
	}
	return nil
}

func (m *Maps) check(c *checker) (err error) {
	sh, h := c.sh, m.heads.table
	entries := uint64(0)
	h.walk(sh, func(pg *page, off uint32) bool {
		k := Key{Hash: h.slotHash(pg, off), Group: sh.id.Group(), Bytes: h.keyAt(sh, pg, off, nil)}
		count := m.count(k)
		for n := range count {
			field := m.fieldAt(sh, k, n, nil)
			pg, _, at := m.items.find(sh, k.join(field, m.key, m.field, &m.itemKey))
			if pg == nil || load64(pg, at+m.num) != n {
				err = c.fault(sh.heads[h.no].root, "map's field with number %d has no such entry", n)
				return false
			}
		}
		entries += count
		return true
	})
	if n, o := sh.heads[m.items.no].entries, sh.heads[m.orderTable().no].entries; err == nil && (n != entries || o != entries) {
		return c.fault(0, "maps have %d entries, there are %d with %d fields", entries, n, o)
	}
	return err
}
