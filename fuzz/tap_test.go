package fuzz

import (
	"context"
	"fmt"
	"math/bits"
	"sync"

	"github.com/pagetide/pagetide/meta"
)

// tap is a cut on its way to the snapshotter: it notes what is gathered, and adds wishes to the verdict, as a
// snapshotter does that cleans old files.
type tap struct {
	meta.Cut
	granted meta.Verdict // what this cut has to carry
	add     meta.Verdict // what the next one will have to

	mu    sync.Mutex // guards seen and fault
	seen  map[pageID]meta.LineMask
	fault error
}

type pageID struct {
	shard meta.ShardID
	page  meta.PageNo
}

func (t *tap) Next(ctx context.Context) (*meta.Chunk, error) {
	c, err := t.Cut.Next(ctx)
	if c == nil {
		return c, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range c.Heads {
		id := pageID{h.Shard, h.Page}
		if t.seen[id] != 0 {
			t.fault = fmt.Errorf("page %d of shard %s is in two chunks", h.Page, h.Shard)
		}
		t.seen[id] = h.Mask
	}
	return c, err
}

func (t *tap) Done(v meta.Verdict) {
	if v.Err == nil {
		v.Whole, v.Pages, v.Lines = v.Whole || t.add.Whole, append(v.Pages, t.add.Pages...), append(v.Lines, t.add.Lines...)
		t.add = v
	}
	t.Cut.Done(v)
}

func (t *tap) WantsLoader() bool {
	l, ok := t.Cut.(meta.LoaderWanter)
	return ok && l.WantsLoader()
}

// check is for a cut that was committed: all that was wished for is in it.
func (t *tap) check() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault != nil {
		return t.fault
	}
	pages := map[meta.ShardID]uint32{}
	for _, s := range t.Cut.Shards() {
		pages[s.ID] = s.Pages
		for p := range s.Pages {
			if err := t.has(s.ID, p, meta.AllLines); err != nil && (t.granted.Whole || t.Cut.Base() == meta.Base{}) {
				return fmt.Errorf("a whole cut: %w", err)
			}
		}
	}
	for _, w := range t.granted.Pages {
		for p := uint32(w.First); p < min(uint32(w.First)+w.Count, pages[w.Shard]); p++ {
			if err := t.has(w.Shard, p, meta.AllLines); err != nil {
				return err
			}
		}
	}
	for _, h := range t.granted.Lines {
		if uint32(h.Page) >= pages[h.Shard] {
			continue
		}
		if err := t.has(h.Shard, uint32(h.Page), h.Mask); err != nil {
			return err
		}
	}
	return nil
}

func (t *tap) has(s meta.ShardID, p uint32, mask meta.LineMask) error {
	if lack := mask &^ t.seen[pageID{s, meta.PageNo(p)}]; lack != 0 {
		return fmt.Errorf("cut lacks %d lines of shard %s page %d", bits.OnesCount64(uint64(lack)), s, p)
	}
	return nil
}

// wish makes a wish of a step's bytes, pages that do not exist included.
func wish(o op, groups int) (v meta.Verdict) {
	id := meta.MakeShardID(0, meta.KeyGroup(int(o.a)%(groups+1)))
	switch {
	case o.c%16 == 0:
		v.Whole = true
	case o.c%2 == 0:
		v.Pages = []meta.Stretch{{Shard: id, First: meta.PageNo(o.b % 32), Count: uint32(o.c)}}
	default:
		v.Lines = []meta.Head{{Shard: id, Page: meta.PageNo(o.b % 32), Mask: meta.LineMask(0x0101010101010101 * uint64(o.c))}}
	}
	return v
}
