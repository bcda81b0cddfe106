package snapshotter

import (
	"cmp"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// The sweep keeps a chain short without reading it. Each checkpoint is asked to carry whole pages of the next stretch of
// the page space, as many bytes as were written fresh and an eighth more. A file is dead when the hand has gone round
// since it was written: every page has been written anew by then.
//
//	page space   0/0 ···· 0/7 ···· 1/0 ·········
//	                  ▲ hand: all before it was written in this turn
//
// The hand moves over what the packer saw arrive, not over what was asked, and stands in _metadata with what is owed: so
// an abort, a restart and a store that has forgotten its wishes only delay it. It passes pages that do not exist freely:
// a page born behind it is written whole by its birth.

// pageCost is what a whole page takes in a file, with its share of the index.
const pageCost = recordHead + meta.PageSize + offsetBytes

// sweep moves the hand on over the whole pages of the file that was just finished and tells how many those were. A turn
// is the most it goes.
func sweep(h meta.Hand, shards []meta.Shard, whole func(s meta.ShardID, from, to meta.PageNo) meta.PageNo) (_ meta.Hand, pages int64) {
	end := h.Round()
	for len(shards) > 0 && h.Compare(end) < 0 {
		s, ok := shardAt(h, shards)
		if !ok {
			h = meta.Hand{Turn: h.Turn + 1}
			continue
		}
		if s.ID != h.Shard {
			h.Shard, h.Page = s.ID, 0
			continue
		}
		to := s.Pages
		if h.Turn == end.Turn && s.ID == end.Shard {
			to = min(to, uint32(end.Page))
		}
		reached := whole(s.ID, h.Page, meta.PageNo(to))
		pages += int64(reached - h.Page)
		if h.Page = reached; uint32(reached) < to {
			return h, pages
		}
	}
	return h, pages
}

// shardAt finds the shard that has the hand's page, or the first behind it with any. Shards ascend.
func shardAt(h meta.Hand, shards []meta.Shard) (meta.Shard, bool) {
	i, found := slices.BinarySearchFunc(shards, h.Shard, func(s meta.Shard, id meta.ShardID) int { return cmp.Compare(s.ID, id) })
	if found && uint32(h.Page) >= shards[i].Pages {
		i++
	}
	if i == len(shards) {
		return meta.Shard{}, false
	}
	return shards[i], true
}

// stretches are the next pages worth so many bytes, a turn at most.
func stretches(h meta.Hand, shards []meta.Shard, bytes uint64) (list []meta.Stretch) {
	left := min((bytes+pageCost-1)/pageCost, pagesOf(shards))
	for left > 0 {
		s, ok := shardAt(h, shards)
		if !ok {
			h = meta.Hand{}
			continue
		}
		if s.ID != h.Shard {
			h.Shard, h.Page = s.ID, 0
		}
		n := min(left, uint64(s.Pages)-uint64(h.Page))
		list = append(list, meta.Stretch{Shard: s.ID, First: h.Page, Count: uint32(n)})
		h.Page += meta.PageNo(n)
		left -= n
	}
	return list
}

// pageSpace lists the shards that own pages, ascending.
func pageSpace(m *meta.Metadata) (shards []meta.Shard) {
	for _, o := range m.Operators {
		for _, s := range o.Shards {
			if s.Pages > 0 {
				shards = append(shards, s)
			}
		}
	}
	slices.SortFunc(shards, func(a, b meta.Shard) int { return cmp.Compare(a.ID, b.ID) })
	return shards
}

func pagesOf(shards []meta.Shard) (n uint64) {
	for _, s := range shards {
		n += uint64(s.Pages)
	}
	return n
}

// isDead says that every page has been written since the file was.
func isDead(f meta.DataFile, hand meta.Hand) bool { return f.Hand.Round().Compare(hand) <= 0 }
