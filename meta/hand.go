package meta

import "cmp"

// Hand is where the sweep stands that writes old pages anew: it goes through the pages of all shards in ascending order,
// turn after turn. All pages before it have been written whole, since the turn began, by the files of the chain.
type Hand struct {
	Turn  uint32
	Shard ShardID
	Page  PageNo // the next to be written
}

// Compare orders hands by how far they have come.
func (h Hand) Compare(o Hand) int {
	return cmp.Or(cmp.Compare(h.Turn, o.Turn), cmp.Compare(h.Shard, o.Shard), cmp.Compare(h.Page, o.Page))
}

// Round is the same place, one turn later: when the hand has come there, every page has been written since it stood at h.
func (h Hand) Round() Hand {
	h.Turn++
	return h
}
