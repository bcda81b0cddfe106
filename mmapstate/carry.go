package mmapstate

import "github.com/pagetide/pagetide/meta"

// wishes are what the next cut is to carry though it was not written, by shard: a snapshotter that wants to drop an old
// file has what it still needs of it written anew. A wish is granted by the cut that commits, not by the one that tries.
type wishes map[meta.ShardID]*wish

type wish struct {
	pages []meta.Stretch
	lines []meta.Head
}

// wish adds what a verdict asks for of the store's own shards.
func (s *Store) wish(v meta.Verdict) {
	for _, st := range v.Pages {
		if w := s.wishFor(st.Shard); w != nil {
			w.pages = append(w.pages, st)
		}
	}
	for _, h := range v.Lines {
		if w := s.wishFor(h.Shard); w != nil {
			w.lines = append(w.lines, h)
		}
	}
}

func (s *Store) wishFor(id meta.ShardID) *wish {
	if i := int(id.Group()) - s.first; id.Operator() != s.opt.Operator || i < 0 || i >= len(s.shards) {
		return nil
	}
	if s.wishes == nil {
		s.wishes = wishes{}
	}
	w := s.wishes[id]
	if w == nil {
		w = &wish{}
		s.wishes[id] = w
	}
	return w
}

// grant freezes what was wished for, absent pages too. What does not exist need not be carried.
func (sh *shard) grant(w *wish) {
	if w == nil {
		return
	}
	for _, st := range w.pages {
		for n, p := st.Count, uint32(st.First); n > 0 && p < sh.pages; n, p = n-1, p+1 {
			sh.carry(p, meta.AllLines) // rule: carry-pages
		}
	}
	for _, h := range w.lines {
		if p := uint32(h.Page); p < sh.pages && h.Mask != 0 {
			sh.carry(p, h.Mask) // rule: carry-lines
		}
	}
}
