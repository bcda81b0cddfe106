package snapshotter

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/pagetide/pagetide/meta"
)

// Verify reads every byte of every file of the checkpoint and checks that each is vouched for, that the parts of each file
// lie end to end, that indexes and records agree, and that the chain has every line of every page. Progress, if not nil,
// is called with bytes done and in total. The first damage found is returned, naming file and offset.
func (c *Checkpoint) Verify(ctx context.Context, progress func(done, total int64)) error {
	if err := c.verifyMeta(); err != nil {
		return err
	}
	have, err := c.cover()
	if err != nil {
		return err
	}
	v := verifier{ctx: ctx, progress: progress, total: c.Sizes().Stored, have: have}
	for _, f := range c.files {
		if err := v.file(f); err != nil {
			return err
		}
	}
	return c.verifyCover(v.have)
}

// verifyMeta compares the file with what was opened.
func (c *Checkpoint) verifyMeta() error {
	m, err := decodeMeta(c.fs, c.Path)
	if err != nil {
		return notFound(err)
	}
	if !reflect.DeepEqual(m, c.Meta) {
		return damaged(c.Path, 0, "metadata has changed since it was opened")
	}
	return nil
}

// cover prepares a mask for every page. It is made only once the indexes have shown that there are as many pages, so a
// hostile count allocates nothing.
func (c *Checkpoint) cover() (map[meta.ShardID][]meta.LineMask, error) {
	have := map[meta.ShardID][]meta.LineMask{}
	for _, id := range slices.Sorted(maps.Keys(c.shards)) { // what is damaged is found in the same order each time
		s := c.shards[id]
		if s.Pages == 0 {
			continue
		}
		union := roaring.New()
		for _, f := range c.files {
			x, err := f.index(id)
			if err != nil {
				return nil, err
			}
			if x != nil {
				union.Or(x.pages)
			}
		}
		if n := union.Rank(s.Pages - 1); n != uint64(s.Pages) {
			return nil, damaged(c.Path, 0, fmt.Sprintf("hole: the chain lacks %d pages of shard %s", uint64(s.Pages)-n, id))
		}
		have[id] = make([]meta.LineMask, s.Pages)
	}
	return have, nil
}

func (c *Checkpoint) verifyCover(have map[meta.ShardID][]meta.LineMask) error {
	for _, id := range slices.Sorted(maps.Keys(have)) {
		masks := have[id]
		if p := slices.IndexFunc(masks, func(m meta.LineMask) bool { return m != meta.AllLines }); p >= 0 {
			return hole(c.Path, id, meta.PageNo(p), masks[p])
		}
	}
	return nil
}

type verifier struct {
	ctx      context.Context
	progress func(done, total int64)
	done     int64
	total    int64
	have     map[meta.ShardID][]meta.LineMask // lines seen in any file
}

func (v *verifier) add(n int64) {
	v.done += n
	if v.progress != nil {
		v.progress(v.done, v.total)
	}
}

func (v *verifier) file(opened *dataFile) error {
	f := &dataFile{ref: opened.ref, name: opened.name, file: opened.file}
	if err := f.open(); err != nil { // size, root, header: again, from the file
		return err
	}
	v.add(dataHeaderSize + f.ref.RootSize)
	indexes := map[meta.ShardID]*index{}
	blocks := map[extent]bool{}
	records := uint64(0)
	for _, e := range f.root.entries {
		x, err := f.readIndex(e.shard, e.extent)
		if err != nil {
			return err
		}
		indexes[e.shard] = x
		records += x.pages.GetCardinality()
		for _, b := range x.blocks {
			blocks[b] = true
		}
		v.add(e.length)
	}
	order := make([]extent, 0, len(blocks))
	for b := range blocks {
		order = append(order, b)
	}
	slices.SortFunc(order, func(a, b extent) int { return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.length, b.length)) })
	at := int64(dataHeaderSize)
	for _, b := range order {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if b.offset != at {
			return damaged(f.name, at, fmt.Sprintf("blocks do not lie end to end: the next is at %d", b.offset))
		}
		at = b.end()
		n, err := v.block(f, b, indexes)
		if err != nil {
			return err
		}
		records -= n
		v.add(b.length)
	}
	if first := f.root.entries[0].offset; at != first || records != 0 {
		return damaged(f.name, at, fmt.Sprintf("%d records are missing before the indexes at %d", int64(records), first))
	}
	return nil
}

// block checks every record of a block and counts them.
func (v *verifier) block(f *dataFile, e extent, indexes map[meta.ShardID]*index) (n uint64, err error) {
	b, err := f.block(e)
	if err != nil {
		return 0, err
	}
	for at := 0; at < len(b); n++ {
		r, ok := decodeRecord(b[at:])
		if !ok {
			return n, damaged(f.name, e.offset+int64(at), "record")
		}
		x := indexes[r.shard]
		if x == nil {
			return n, damaged(f.name, e.offset+int64(at), fmt.Sprintf("record of shard %s, which has no index", r.shard))
		}
		if block, where, ok := x.find(r.page); !ok || block != e || where != e.offset+int64(at) {
			return n, damaged(f.name, e.offset+int64(at), fmt.Sprintf("record of shard %s page %d, which the index puts elsewhere", r.shard, r.page))
		}
		v.cover(r)
		at += r.size()
	}
	return n, nil
}

// cover notes the lines of a record. A page beyond the shard's end is of an earlier life and needs no cover.
func (v *verifier) cover(r record) {
	if masks := v.have[r.shard]; uint64(r.page) < uint64(len(masks)) {
		masks[r.page] |= r.mask
	}
}
