package snapshotter

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// bufferBytes is how much is gathered before it is sorted, packed and written at once.
const bufferBytes = 1 << 20

// packer writes one delta file. It sorts what it gathers by shard and page, so that a restore finds neighbours together,
// and keeps of each record only its place. It is not safe for concurrent use.
type packer struct {
	create func() (vfs.File, error) // called before the first write
	header dataHeader

	file    vfs.File // nil until something is written
	size    int64    // bytes written
	held    []record // not written yet; lines alias arena
	arena   []byte
	out     []byte
	block   []record // being packed
	shards  map[meta.ShardID]*shardIndex
	records int64
	lines   int64
}

// add takes a chunk over; the caller may reuse it when add returns.
func (p *packer) add(c *meta.Chunk, op meta.OperatorNo) error {
	at := 0
	for _, h := range c.Heads {
		n := h.Mask.Lines() * meta.LineSize
		if h.Mask == 0 || h.Shard.Operator() != op || n > len(c.Lines)-at {
			return fmt.Errorf("chunk of operator %d is malformed at shard %s page %d: %w", op, h.Shard, h.Page, meta.ErrIncompatible)
		}
		if err := p.addPage(h, c.Lines[at:at+n]); err != nil {
			return err
		}
		at += n
	}
	if at != len(c.Lines) {
		return fmt.Errorf("chunk of operator %d has %d bytes too many: %w", op, len(c.Lines)-at, meta.ErrIncompatible)
	}
	return nil
}

func (p *packer) addPage(h meta.Head, lines []byte) error {
	if len(p.arena)+len(lines) > bufferBytes {
		if err := p.flush(); err != nil {
			return err
		}
	}
	at := len(p.arena)
	p.arena = append(p.arena, lines...) // where it moves to, records before it keep what they alias
	p.held = append(p.held, record{shard: h.Shard, page: h.Page, mask: h.Mask, lines: p.arena[at:]})
	p.records++
	p.lines += int64(h.Mask.Lines())
	return nil
}

// flush writes what is held: page blocks first, then line blocks.
func (p *packer) flush() error {
	if len(p.held) == 0 {
		return nil
	}
	slices.SortFunc(p.held, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.page, b.page))
	})
	if err := p.start(); err != nil {
		return err
	}
	p.grow()
	p.out = p.out[:0]
	p.blocks(func(r record) bool { return r.mask == meta.AllLines }, pageBlockPages*(recordHead+meta.PageSize))
	p.blocks(func(r record) bool { return r.mask != meta.AllLines }, lineBlockBytes)
	p.held, p.arena = p.held[:0], p.arena[:0]
	return p.write(p.out)
}

// blocks packs the held records that match into blocks of at most limit bytes at the end of out.
func (p *packer) blocks(match func(record) bool, limit int) {
	start := len(p.out)
	end := func() {
		if len(p.block) == 0 {
			return
		}
		e := extent{offset: p.size + int64(start), length: int64(len(p.out) - start), hash: hashOf(p.out[start:])}
		at := e.offset
		for _, r := range p.block {
			p.shards[r.shard].add(r.page, r.mask, at, e)
			at += int64(r.size())
		}
		start, p.block = len(p.out), p.block[:0]
		runtime.Gosched() // the owner's next batch matters more than this file
	}
	for _, r := range p.held {
		if !match(r) {
			continue
		}
		if len(p.out)-start+r.size() > limit {
			end()
		}
		p.out = r.append(p.out)
		p.block = append(p.block, r)
	}
	end()
}

// grow makes room in the indexes for what is held, which is sorted by shard.
func (p *packer) grow() {
	for first, end := 0, 0; first < len(p.held); first = end {
		id := p.held[first].shard
		for end < len(p.held) && p.held[end].shard == id {
			end++
		}
		x := p.shard(id)
		x.places = slices.Grow(x.places, end-first)
	}
}

func (p *packer) shard(id meta.ShardID) *shardIndex {
	if p.shards == nil {
		p.shards = map[meta.ShardID]*shardIndex{}
	}
	x := p.shards[id]
	if x == nil {
		x = &shardIndex{shard: id}
		p.shards[id] = x
	}
	return x
}

func (p *packer) start() error {
	if p.file != nil {
		return nil
	}
	f, err := p.create()
	if err != nil {
		return err
	}
	p.file = f
	return p.write(p.header.encode())
}

func (p *packer) write(b []byte) error {
	n, err := p.file.Write(b)
	p.size += int64(n)
	return err
}

// finish writes what is held, the indexes and the root. Without a single record there is no file, and ok is false.
func (p *packer) finish() (f meta.DataFile, ok bool, err error) {
	if err := p.flush(); err != nil {
		return f, false, err
	}
	if p.file == nil {
		return f, false, nil
	}
	var ids []meta.ShardID
	for id := range p.shards {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	r := root{header: hashOf(p.header.encode())}
	for _, id := range ids {
		b, err := p.shards[id].encode()
		if err != nil {
			return f, false, err
		}
		r.entries = append(r.entries, rootEntry{shard: id, extent: extent{offset: p.size, length: int64(len(b)), hash: hashOf(b)}})
		if err := p.write(b); err != nil {
			return f, false, err
		}
	}
	b := r.encode()
	f = meta.DataFile{RootOffset: p.size, RootSize: int64(len(b)), RootHash: hashOf(b)}
	if err := p.write(b); err != nil {
		return f, false, err
	}
	f.Size = p.size
	return f, true, nil
}

// wholeUntil gives the first page of a shard from a page on, at most limit, that the finished file does not have whole.
func (p *packer) wholeUntil(id meta.ShardID, from, limit meta.PageNo) meta.PageNo {
	x := p.shards[id]
	if x == nil {
		return from
	}
	i, _ := slices.BinarySearchFunc(x.places, from, func(a place, n meta.PageNo) int { return cmp.Compare(a.page, n) })
	for ; from < limit && i < len(x.places) && x.places[i].page == from && x.places[i].mask == meta.AllLines; i++ { // rule: swept-is-whole
		from++
	}
	return from
}
