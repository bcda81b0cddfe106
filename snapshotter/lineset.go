package snapshotter

import (
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/pagetide/pagetide/meta"
)

// lineSet is a set of lines of a job. Within a shard a line's number is that of its page times meta.PageLines and its own.
type lineSet map[meta.ShardID]*roaring.Bitmap

// setPages bounds the pages whose lines have a number.
const setPages = 1 << 26

// lines are those that the finished file has; ok is false if some have no number.
func (p *packer) lineSet() (set lineSet, ok bool) {
	set, ok = lineSet{}, true
	var s lines
	for id, x := range p.shards {
		s.some, s.whole = s.some[:0], s.whole[:0]
		for _, pl := range x.places {
			if pl.page >= setPages {
				ok = false
				continue
			}
			s.add(pl.page, pl.mask)
		}
		set[id] = s.set()
	}
	return set, ok
}

// lines are collected for a set: single ones apart from whole pages, because a set with runs takes single ones slowly.
type lines struct {
	some  []uint32
	whole []pageRun
}

// pageRun is pages in a row: first <= p < end.
type pageRun struct{ first, end meta.PageNo }

func (s *lines) add(p meta.PageNo, m meta.LineMask) {
	if m != meta.AllLines {
		s.some = appendNumbers(s.some, p, m)
		return
	}
	if n := len(s.whole); n > 0 && s.whole[n-1].end == p {
		s.whole[n-1].end++
		return
	}
	s.whole = append(s.whole, pageRun{p, p + 1})
}

func (s *lines) set() *roaring.Bitmap {
	b := roaring.New()
	b.AddMany(s.some)
	for _, r := range s.whole {
		b.AddRange(uint64(r.first)*meta.PageLines, uint64(r.end)*meta.PageLines)
	}
	b.RunOptimize()
	return b
}

func appendNumbers(to []uint32, p meta.PageNo, m meta.LineMask) []uint32 {
	for ; m != 0; m &= m - 1 {
		to = append(to, uint32(p)*meta.PageLines+uint32(bits.TrailingZeros64(uint64(m))))
	}
	return to
}

// without is the set less another, and less what does not exist.
func (s lineSet) without(o lineSet, shards []meta.Shard) lineSet {
	left := lineSet{}
	for _, sh := range shards {
		b := s[sh.ID]
		if b == nil {
			continue
		}
		if n := o[sh.ID]; n != nil {
			b = roaring.AndNot(b, n)
		}
		if end := uint64(sh.Pages) * meta.PageLines; !b.IsEmpty() && uint64(b.Maximum()) >= end {
			b = b.Clone()
			b.RemoveRange(end, setPages*meta.PageLines)
		}
		if !b.IsEmpty() {
			left[sh.ID] = b
		}
	}
	return left
}

// add makes the set a union.
func (s lineSet) add(o lineSet) {
	for id, b := range o {
		if s[id] == nil {
			s[id] = roaring.New()
		}
		s[id].Or(b)
	}
}

// common counts the lines that are in both sets.
func (s lineSet) common(o lineSet) (n int64) {
	for id, b := range s {
		if c := o[id]; c != nil {
			n += int64(b.AndCardinality(c))
		}
	}
	return n
}

// heads lists the set by pages.
func (s lineSet) heads() (list []meta.Head) {
	for id, b := range s {
		for it := b.Iterator(); it.HasNext(); {
			n := it.Next()
			p, bit := meta.PageNo(n/meta.PageLines), meta.LineMask(1)<<(n%meta.PageLines)
			if k := len(list) - 1; k >= 0 && list[k].Shard == id && list[k].Page == p {
				list[k].Mask |= bit
				continue
			}
			list = append(list, meta.Head{Shard: id, Page: p, Mask: bit})
		}
	}
	return list
}

// readLines gathers the lines of a file from its records.
func readLines(f *dataFile) (lineSet, error) {
	numbers := map[meta.ShardID][]uint32{}
	seen := map[extent]bool{}
	for _, e := range f.root.entries {
		x, err := f.index(e.shard)
		if err != nil {
			return nil, err
		}
		for _, at := range x.blocks {
			if seen[at] {
				continue
			}
			seen[at] = true
			b, err := f.block(at)
			if err != nil {
				return nil, err
			}
			for len(b) > 0 {
				r, ok := decodeRecord(b)
				if !ok || r.page >= setPages {
					return nil, damaged(f.name, at.offset, "record")
				}
				numbers[r.shard] = appendNumbers(numbers[r.shard], r.page, r.mask)
				b = b[r.size():]
			}
		}
	}
	set := lineSet{}
	for id, n := range numbers {
		set[id] = roaring.BitmapOf(n...)
		set[id].RunOptimize()
	}
	return set, nil
}
