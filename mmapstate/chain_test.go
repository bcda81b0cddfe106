package mmapstate

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// chain is a tiny snapshotter: it keeps deltas in memory and composes pages newest first.
type chain struct {
	files  []delta
	states []meta.State
	shards []meta.Shard
	seed   uint64
	groups int
	id     meta.CheckpointID
	spoil  func(shard meta.ShardID, first meta.PageNo, dst []byte)
}

// frozen is the chain as it is now: a loader of that checkpoint and no later one.
func (c *chain) frozen() *chain {
	f := *c
	return &f
}

// drop removes from older files what the newest was asked to carry, as a cleaning snapshotter does.
func (c *chain) drop(pages []meta.Stretch, lines []meta.Head) {
	files := slices.Clone(c.files)
	for i, d := range files[:len(files)-1] {
		d = maps.Clone(d)
		for id := range d {
			if slices.ContainsFunc(pages, func(s meta.Stretch) bool {
				return s.Shard == id.shard && id.page >= s.First && id.page < s.First+meta.PageNo(s.Count)
			}) {
				delete(d, id)
			}
		}
		for _, h := range lines {
			if r, ok := d[pageID{h.Shard, h.Page}]; ok {
				d[pageID{h.Shard, h.Page}] = r.without(h.Mask)
			}
		}
		files[i] = d
	}
	c.files = files
}

func (r record) without(lines meta.LineMask) (kept record) {
	at := 0
	for m := uint64(r.mask); m != 0; m &= m - 1 {
		if bit := meta.LineMask(m & -m); lines&bit == 0 {
			kept.mask |= bit
			kept.lines = append(kept.lines, r.lines[at:at+64]...)
		}
		at += 64
	}
	return kept
}

type delta map[pageID]record

type pageID struct {
	shard meta.ShardID
	page  meta.PageNo
}

type record struct {
	mask  meta.LineMask
	lines []byte
}

func (c *chain) Base() meta.Base                     { return meta.Base{Job: 7, Checkpoint: c.id} }
func (c *chain) Hash() (string, uint64, int)         { return HashName, c.seed, c.groups }
func (c *chain) States(meta.OperatorNo) []meta.State { return c.states }
func (c *chain) Shards(meta.OperatorNo) []meta.Shard { return c.shards }

func (c *chain) Load(_ context.Context, shard meta.ShardID, first meta.PageNo, dst []byte) error {
	for i := range len(dst) / pageSize {
		if err := c.compose(pageID{shard, first + meta.PageNo(i)}, dst[i*pageSize:][:pageSize]); err != nil {
			return err
		}
	}
	if c.spoil != nil {
		c.spoil(shard, first, dst)
	}
	return nil
}

func (c *chain) compose(id pageID, dst []byte) error {
	need := meta.AllLines
	for i := len(c.files) - 1; i >= 0 && need != 0; i-- {
		r, ok := c.files[i][id]
		if !ok {
			continue
		}
		at := 0
		for m := uint64(r.mask); m != 0; m &= m - 1 {
			l := bits.TrailingZeros64(m)
			if need>>l&1 != 0 {
				copy(dst[l*64:], r.lines[at:at+64])
			}
			at += 64
		}
		need &^= r.mask
	}
	if need != 0 {
		return fmt.Errorf("page %v: no file holds lines %x: %w", id, uint64(need), meta.ErrDamaged)
	}
	return nil
}

// reader drains a cut without ever waiting: an ended ctx makes Next return what is there.
type reader struct {
	cut  meta.Cut
	got  delta
	done bool
}

func newReader(c meta.Cut) *reader { return &reader{cut: c, got: delta{}} }

var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (r *reader) drain() error {
	for !r.done {
		ch, err := r.cut.Next(ended)
		if err == io.EOF {
			r.done = true
			return nil
		}
		if err != nil {
			return nil // nothing there yet
		}
		if err := r.keep(ch); err != nil {
			return err
		}
		r.cut.Release(ch)
	}
	return nil
}

func (r *reader) keep(ch *meta.Chunk) error {
	at := 0
	for _, h := range ch.Heads {
		id := pageID{h.Shard, h.Page}
		if _, twice := r.got[id]; twice || h.Mask == 0 {
			return fmt.Errorf("page %v: gathered twice or without lines", id)
		}
		n := h.Mask.Lines() * meta.LineSize
		r.got[id] = record{h.Mask, append([]byte(nil), ch.Lines[at:at+n]...)}
		at += n
	}
	if at != len(ch.Lines) {
		return fmt.Errorf("chunk has %d bytes, its heads %d", len(ch.Lines), at)
	}
	return nil
}

// commit adds what was read to the chain. A whole cut starts a new one.
func (c *chain) commit(r *reader) meta.Base {
	if r.cut.Base() == (meta.Base{}) {
		c.files = nil
	}
	c.files = append(c.files[:len(c.files):len(c.files)], r.got)
	c.states, c.shards = r.cut.States(), r.cut.Shards()
	_, c.seed, c.groups = r.cut.Hash()
	c.id++
	return c.Base()
}

func verdict(b meta.Base) meta.Verdict { return meta.Verdict{Base: b} }
