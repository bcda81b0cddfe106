package snapshotter

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/pagetide/pagetide/meta"
)

// The index of one shard in one delta file:
//
//	shard u32 │ width u32 │ pages u32 │ blocks u32 │ bitmap bytes u32
//	(offset u64 │ hash u64 │ length u32) × blocks        ascending
//	record offset / 8, u32 or u64 by width, × pages      in the order of the bitmap
//	roaring bitmap of the page numbers                   portable format
//
// The record of a page is at the place that the bitmap's rank of the page says. 32 bits reach 32 GiB; a larger file uses
// 64 bits for the shards that need them.

const (
	indexHeadSize = 5 * 4
	blockRefSize  = 8 + 8 + 4
	offsetBytes   = 4 // the least that an index spends on a page
)

// shardIndex gathers a shard's records while a file is written.
type shardIndex struct {
	shard  meta.ShardID
	places []place
	blocks []extent
}

type place struct {
	page meta.PageNo
	mask meta.LineMask
	at   int64
}

func (x *shardIndex) add(p meta.PageNo, mask meta.LineMask, at int64, block extent) {
	x.places = append(x.places, place{p, mask, at})
	if n := len(x.blocks); n == 0 || x.blocks[n-1] != block {
		x.blocks = append(x.blocks, block)
	}
}

func (x *shardIndex) encode() ([]byte, error) {
	slices.SortFunc(x.places, func(a, b place) int { return cmp.Compare(a.page, b.page) })
	bitmap := roaring.New()
	var last int64
	for i, p := range x.places {
		if i > 0 && p.page == x.places[i-1].page {
			return nil, fmt.Errorf("shard %s: page %d was given twice: %w", x.shard, p.page, meta.ErrIncompatible)
		}
		bitmap.Add(uint32(p.page))
		last = max(last, p.at)
	}
	bitmap.RunOptimize()
	pages, err := bitmap.ToBytes()
	if err != nil {
		return nil, err
	}
	width := 4
	if last/offsetUnit > 1<<32-1 {
		width = 8
	}
	b := make([]byte, 0, indexHeadSize+len(x.blocks)*blockRefSize+len(x.places)*width+len(pages))
	for _, v := range []int{int(x.shard), width, len(x.places), len(x.blocks), len(pages)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	for _, e := range x.blocks {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.offset))
		b = binary.LittleEndian.AppendUint64(b, e.hash)
		b = binary.LittleEndian.AppendUint32(b, uint32(e.length))
	}
	for _, p := range x.places {
		if width == 4 {
			b = binary.LittleEndian.AppendUint32(b, uint32(p.at/offsetUnit))
		} else {
			b = binary.LittleEndian.AppendUint64(b, uint64(p.at/offsetUnit))
		}
	}
	return append(b, pages...), nil
}

// index is a shard's index as it was read. It aliases the bytes it was decoded from.
type index struct {
	pages   *roaring.Bitmap
	blocks  []extent
	offsets []byte
	width   int
}

// decodeIndex reads an index whose hash has been checked. It still bounds everything: a hash is no proof of good will.
// Blocks must lie in [dataHeaderSize, limit).
func decodeIndex(b []byte, shard meta.ShardID, limit int64) (*index, error) {
	if len(b) < indexHeadSize {
		return nil, errors.New("index is too short")
	}
	u32 := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(b[4*i:])) }
	width, pages, blocks, bitmapBytes := u32(1), u32(2), u32(3), u32(4)
	switch {
	case meta.ShardID(u32(0)) != shard:
		return nil, fmt.Errorf("index of shard %s where %s belongs", meta.ShardID(u32(0)), shard)
	case width != 4 && width != 8 || pages == 0 || blocks == 0:
		return nil, fmt.Errorf("index of %d pages in %d blocks with offsets of %d bytes", pages, blocks, width)
	case indexHeadSize+blocks*blockRefSize+pages*width+bitmapBytes != uint64(len(b)):
		return nil, errors.New("index parts do not add up to its size")
	}
	x := &index{width: int(width), blocks: make([]extent, blocks)}
	at := indexHeadSize
	for i := range x.blocks {
		e := extent{
			offset: int64(binary.LittleEndian.Uint64(b[at:])),
			hash:   binary.LittleEndian.Uint64(b[at+8:]),
			length: int64(binary.LittleEndian.Uint32(b[at+16:])),
		}
		if !e.within(dataHeaderSize, limit) || e.length == 0 || i > 0 && e.offset < x.blocks[i-1].end() {
			return nil, fmt.Errorf("index block %d lies outside the file's blocks", i)
		}
		x.blocks[i] = e
		at += blockRefSize
	}
	x.offsets = b[at : at+int(pages*width)]
	x.pages = roaring.New()
	rest := b[at+len(x.offsets):]
	n, err := x.pages.FromBuffer(rest)
	if err != nil {
		return nil, fmt.Errorf("index bitmap: %w", err)
	}
	if err := x.pages.Validate(); err != nil {
		return nil, fmt.Errorf("index bitmap: %w", err)
	}
	if n != int64(len(rest)) || x.pages.GetCardinality() != pages {
		return nil, errors.New("index bitmap does not match its count")
	}
	return x, nil
}

// find returns the block that holds a page's record and the record's offset in the file.
func (x *index) find(p meta.PageNo) (block extent, at int64, ok bool) {
	if !x.pages.Contains(uint32(p)) {
		return extent{}, 0, false
	}
	at = x.offset(int(x.pages.Rank(uint32(p))) - 1)
	i, exact := slices.BinarySearchFunc(x.blocks, at, func(e extent, at int64) int { return cmp.Compare(e.offset, at) })
	if !exact {
		i--
	}
	if i < 0 {
		return extent{}, at, true // no block has length 0: the caller sees that the record is not in it
	}
	return x.blocks[i], at, true
}

func (x *index) offset(rank int) int64 {
	if x.width == 4 {
		return int64(binary.LittleEndian.Uint32(x.offsets[4*rank:])) * offsetUnit
	}
	units := binary.LittleEndian.Uint64(x.offsets[8*rank:])
	if units > 1<<60-1 {
		return -1
	}
	return int64(units) * offsetUnit
}
