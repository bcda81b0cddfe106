package snapshotter

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"github.com/pagetide/pagetide/meta"
)

// A delta file, all numbers little-endian:
//
//	┌────────────────────────────────────────────────────────────────────┐ 0
//	│ header  magic 8 │ version u32 │ attempt u32 │ job u64 │ chk u64    │
//	├────────────────────────────────────────────────────────────────────┤ 32
//	│ block   (shard u32 │ page u32 │ mask u64 │ lines 64 B × bits)*     │  page blocks: whole pages, up to 64 KiB of them
//	│ block   ...                                                        │  line blocks: about 8 KiB of records
//	├────────────────────────────────────────────────────────────────────┤
//	│ index   of one shard: which pages, where their records are,        │  index.go
//	│         offset, length and XXH64 of the blocks that hold them      │
//	│ index   ...                                                        │
//	├────────────────────────────────────────────────────────────────────┤ RootOffset in _metadata
//	│ root    XXH64 of the header │ (shard, offset, length, XXH64)*      │  root.go
//	└────────────────────────────────────────────────────────────────────┘ Size in _metadata
//
// The parts lie end to end. _metadata holds the root's hash, the root those of the header and the indexes, an index those
// of its blocks: every byte of the file has one parent that vouches for it.

// dataVersion is the version of the delta format and of the pages in it.
const dataVersion = 1

// dataMagic opens every delta file. The line ending tells text-mode copies apart.
const dataMagic = "PTDATA\r\n"

const (
	dataHeaderSize = 8 + 4 + 4 + 8 + 8
	recordHead     = 4 + 4 + 8
	offsetUnit     = 8 // records start at multiples of it

	pageBlockPages = meta.GroupPages
	lineBlockBytes = 8 << 10
)

// dataHeader says what a delta file is and who wrote it. A linked or copied file keeps the header it was born with.
type dataHeader struct {
	job        meta.JobID
	attempt    meta.Attempt
	checkpoint meta.CheckpointID
}

func (h dataHeader) encode() []byte {
	b := append(make([]byte, 0, dataHeaderSize), dataMagic...)
	b = binary.LittleEndian.AppendUint32(b, dataVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.attempt))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.job))
	return binary.LittleEndian.AppendUint64(b, uint64(h.checkpoint))
}

// headerVersion is read apart from the rest: it says whether the rest can be read.
func headerVersion(b []byte) uint32 { return binary.LittleEndian.Uint32(b[8:]) }

// record is one page's lines as they lie in a block.
type record struct {
	shard meta.ShardID
	page  meta.PageNo
	mask  meta.LineMask
	lines []byte
}

func (r record) size() int { return recordHead + len(r.lines) }

func (r record) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(r.shard))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.page))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.mask))
	return append(b, r.lines...)
}

// decodeRecord reads the record at the start of b, which it aliases.
func decodeRecord(b []byte) (record, bool) {
	if len(b) < recordHead {
		return record{}, false
	}
	r := record{
		shard: meta.ShardID(binary.LittleEndian.Uint32(b)),
		page:  meta.PageNo(binary.LittleEndian.Uint32(b[4:])),
		mask:  meta.LineMask(binary.LittleEndian.Uint64(b[8:])),
	}
	end := recordHead + r.mask.Lines()*meta.LineSize
	if r.mask == 0 || end > len(b) {
		return record{}, false
	}
	r.lines = b[recordHead:end]
	return r, true
}

// extent is a part of a file with the hash of its bytes.
type extent struct {
	offset int64
	length int64
	hash   uint64
}

func (e extent) end() int64 { return e.offset + e.length }

// within says whether the extent is a part of [from, to). It does not overflow on hostile values.
func (e extent) within(from, to int64) bool {
	return e.offset >= from && e.length >= 0 && e.offset <= to && e.length <= to-e.offset
}

func hashOf(b []byte) uint64 { return xxhash.Sum64(b) }
