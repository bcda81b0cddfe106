package mmapstate

import "math"

// Elements of a list expire oldest first: an element lives for as long as one in front of it does, whose record may have
// been ahead of its own, and what reading renews is the whole list, by the time in its head. So what has expired is a
// prefix, and what is left after trim is alive.

// read is span for a reader: of what is alive, which is renewed if reads do.
func (l *Lists) read(k Key) listSpan {
	if l.items.ttl == nil {
		return l.span(k)
	}
	l.trim(k, math.MaxInt)
	h, sh := l.heads.table, l.shard(k)
	pg, p, off := h.lookup(sh, k)
	if pg == nil {
		return listSpan{}
	}
	if h.ttl.reads {
		h.renew(sh, p, off)
	}
	return l.spanAt(sh, p, off)
}

// trim drops the elements that have expired, at most budget, and returns how many.
func (l *Lists) trim(k Key, budget int) int {
	h, sh := l.heads.table, l.shard(k)
	pg, p, off := h.lookup(sh, k)
	if pg == nil {
		return 0
	}
	span, read := l.spanAt(sh, p, off), h.stampAt(pg, off)
	keep := span
	for keep.First < span.Next && int(keep.First-span.First) < budget {
		if at := l.stampOf(sh, k, keep.First, span.Next); !h.ttl.over(max(at, read)) {
			break
		}
		keep.First++
	}
	if keep != span {
		l.drop(k, span, keep)
	}
	return int(keep.First - span.First)
}

// stampOf is the time of an element. Elements that were appended before there was a time get that of the first one
// behind them that has one, or that of now.
func (l *Lists) stampOf(sh *shard, k Key, n, end uint64) int64 {
	at := l.itemStamp(sh, k, n)
	if at != noTime || *l.items.ttl.now == noTime {
		return at
	}
	at = *l.items.ttl.now
	timed := n + 1
	for ; timed < end; timed++ {
		if s := l.itemStamp(sh, k, timed); s != noTime {
			at = s
			break
		}
	}
	for ; n < timed; n++ {
		p, off := l.item(sh, k, n)
		sh.put64(p, off+l.items.stamp, uint64(at))
	}
	return at
}

func (l *Lists) itemStamp(sh *shard, k Key, n uint64) int64 {
	p, off := l.item(sh, k, n)
	return l.items.stampAt(sh.page(p), off)
}

// item finds an element that its list's head promises.
func (l *Lists) item(sh *shard, k Key, n uint64) (p, off uint32) {
	pg, p, off := l.items.find(sh, k.With(n, &l.buf))
	if pg == nil {
		sh.damaged(sh.heads[l.heads.table.no].root, "list misses its element %d", n)
	}
	return p, off
}

// visit is what a sweep does with the head of a list.
func (l *Lists) visit(sh *shard, p, off uint32, budget int) int {
	return l.trim(l.heads.table.keyOf(sh, sh.page(p), off), budget)
}
