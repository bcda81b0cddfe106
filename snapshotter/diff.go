package snapshotter

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/pagetide/pagetide/meta"
)

// Difference is how one shard of a checkpoint differs from the same one of another.
type Difference struct {
	UID   string // of the operator
	Group meta.KeyGroup

	Pages   [2]int64 // in the first and in the second checkpoint
	Added   int64    // pages that only the second one has
	Removed int64    // pages that only the first one has
	Changed int64    // pages that both have, with other lines
	Lines   int64    // that differ in those
}

// None tells whether the shards have the same pages.
func (d Difference) None() bool { return d.Added == 0 && d.Removed == 0 && d.Changed == 0 }

// Diff compares the pages of two checkpoints, shard by shard: operators in the order of the first checkpoint, then those
// that only the second one has, key groups ascending. Operators are the same if their uid is. Pages that come from data
// files which both checkpoints have are not read, so two checkpoints of one chain take what was written between them.
// Progress, if not nil, is called with pages compared and in total. It fails with meta.ErrIncompatible if keys are
// spread over shards differently, and as [Checkpoint.Load] does.
func Diff(ctx context.Context, a, b *Checkpoint, progress func(done, total int64)) ([]Difference, error) {
	if am, bm := a.Meta, b.Meta; am.HashName != bm.HashName || am.HashSeed != bm.HashSeed || am.KeyGroups != bm.KeyGroups {
		return nil, fmt.Errorf("%s has %d key groups and hash %s with seed %x, %s has %d and %s with %x: %w", a.Path, am.KeyGroups,
			am.HashName, am.HashSeed, b.Path, bm.KeyGroups, bm.HashName, bm.HashSeed, meta.ErrIncompatible)
	}
	d := differ{ctx: ctx, progress: progress}
	d.own[0], d.own[1] = ownFiles(a, b)
	for _, p := range pairShards(a, b) {
		if err := d.look(p); err != nil {
			return nil, err
		}
	}
	found := make([]Difference, 0, len(d.pairs))
	for _, p := range d.pairs {
		if err := d.compare(&p); err != nil {
			return nil, err
		}
		found = append(found, p.Difference)
	}
	return found, nil
}

// side is a shard in one of the checkpoints.
type side struct {
	c  *Checkpoint
	id meta.ShardID
}

type shardPair struct {
	Difference
	sides   [2]side
	touched *roaring.Bitmap // pages of both that a file of only one of them has
}

// pairShards finds the shards of both checkpoints.
func pairShards(a, b *Checkpoint) (pairs []shardPair) {
	type name struct {
		uid   string
		group meta.KeyGroup
	}
	at, rank := map[name]int{}, map[string]int{}
	for i, c := range []*Checkpoint{a, b} {
		for _, o := range c.Meta.Operators {
			if _, ok := rank[o.UID]; !ok {
				rank[o.UID] = len(rank)
			}
			for _, s := range o.Shards {
				n := name{o.UID, s.ID.Group()}
				j, ok := at[n]
				if !ok {
					j = len(pairs)
					at[n] = j
					pairs = append(pairs, shardPair{Difference: Difference{UID: n.uid, Group: n.group}})
				}
				pairs[j].sides[i], pairs[j].Pages[i] = side{c, s.ID}, int64(s.Pages)
			}
		}
	}
	slices.SortFunc(pairs, func(p, q shardPair) int {
		return cmp.Or(cmp.Compare(rank[p.UID], rank[q.UID]), cmp.Compare(p.Group, q.Group))
	})
	return pairs
}

// ownFiles gives the files that the other checkpoint does not have. Those that both have are told by their content; in
// another order they do not compose the same pages, so they then count as different.
func ownFiles(a, b *Checkpoint) (onlyA, onlyB []*dataFile) {
	onlyA, commonA := split(a.files, b.files)
	onlyB, commonB := split(b.files, a.files)
	for i := range commonA {
		if i >= len(commonB) || content(commonA[i]) != content(commonB[i]) {
			return a.files, b.files
		}
	}
	return onlyA, onlyB
}

func split(files, others []*dataFile) (own, common []*dataFile) {
	for _, f := range files {
		if slices.ContainsFunc(others, func(o *dataFile) bool { return content(o) == content(f) }) {
			common = append(common, f)
		} else {
			own = append(own, f)
		}
	}
	return own, common
}

// content is what a file holds, under whatever name.
func content(f *dataFile) meta.DataFile {
	r := f.ref
	return meta.DataFile{Size: r.Size, RootOffset: r.RootOffset, RootSize: r.RootSize, RootHash: r.RootHash}
}

type differ struct {
	ctx      context.Context
	progress func(done, total int64)
	own      [2][]*dataFile // of the first and the second checkpoint
	pairs    []shardPair
	done     int64
	total    int64
	pages    [2][meta.GroupSize]byte
}

// look finds out which pages must be read. Only indexes are.
func (d *differ) look(p shardPair) error {
	both := min(p.Pages[0], p.Pages[1])
	p.Removed, p.Added = p.Pages[0]-both, p.Pages[1]-both
	p.touched = roaring.New()
	for i, files := range d.own {
		for _, f := range files {
			if both == 0 {
				break
			}
			x, err := f.index(p.sides[i].id)
			if err != nil {
				return err
			}
			if x != nil {
				p.touched.Or(x.pages)
			}
		}
	}
	p.touched.RemoveRange(uint64(both), 1<<32)
	d.total += int64(p.touched.GetCardinality())
	d.pairs = append(d.pairs, p)
	return nil
}

// compare reads the touched pages of both sides, in runs of at most a group.
func (d *differ) compare(p *shardPair) error {
	for pages := p.touched.Iterator(); pages.HasNext(); {
		first, n := pages.Next(), 1
		for n < meta.GroupPages && pages.HasNext() && pages.PeekNext() == first+uint32(n) {
			pages.Next()
			n++
		}
		for i, s := range p.sides {
			if err := s.c.Load(d.ctx, s.id, meta.PageNo(first), d.pages[i][:n*meta.PageSize]); err != nil {
				return err
			}
		}
		for i := range n {
			at, end := i*meta.PageSize, (i+1)*meta.PageSize
			if lines := differentLines(d.pages[0][at:end], d.pages[1][at:end]); lines > 0 {
				p.Changed++
				p.Lines += lines
			}
		}
		if d.done += int64(n); d.progress != nil {
			d.progress(d.done, d.total)
		}
	}
	return nil
}

func differentLines(a, b []byte) (n int64) {
	if bytes.Equal(a, b) {
		return 0
	}
	for at := 0; at < meta.PageSize; at += meta.LineSize {
		if !bytes.Equal(a[at:at+meta.LineSize], b[at:at+meta.LineSize]) {
			n++
		}
	}
	return n
}
