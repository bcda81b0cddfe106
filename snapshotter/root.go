package snapshotter

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// The root of a delta file:
//
//	XXH64 of the header u64 │ shards u32 │ (shard u32 │ offset u64 │ hash u64 │ length u64)*   ascending
//
// The header's hash is first in every version, so that a version is believed only after it has been vouched for.

const (
	rootHeadSize  = 8 + 4
	rootEntrySize = 4 + 8 + 8 + 8
)

type root struct {
	header  uint64
	entries []rootEntry
}

type rootEntry struct {
	shard meta.ShardID
	extent
}

func (r root) encode() []byte {
	b := make([]byte, 0, rootHeadSize+len(r.entries)*rootEntrySize)
	b = binary.LittleEndian.AppendUint64(b, r.header)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.entries)))
	for _, e := range r.entries {
		b = binary.LittleEndian.AppendUint32(b, uint32(e.shard))
		b = binary.LittleEndian.AppendUint64(b, uint64(e.offset))
		b = binary.LittleEndian.AppendUint64(b, e.hash)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.length))
	}
	return b
}

// decodeRoot reads a root whose hash has been checked. The indexes must lie end to end and end at limit, where the root
// itself begins.
func decodeRoot(b []byte, limit int64) (root, error) {
	if len(b) < rootHeadSize {
		return root{}, errors.New("root is too short")
	}
	n := int(binary.LittleEndian.Uint32(b[8:]))
	if len(b)-rootHeadSize != n*rootEntrySize || n == 0 {
		return root{}, fmt.Errorf("root of %d shards does not match its size", n)
	}
	r := root{header: binary.LittleEndian.Uint64(b), entries: make([]rootEntry, n)}
	for i := range r.entries {
		p := b[rootHeadSize+i*rootEntrySize:]
		e := rootEntry{shard: meta.ShardID(binary.LittleEndian.Uint32(p)), extent: extent{
			offset: int64(binary.LittleEndian.Uint64(p[4:])),
			hash:   binary.LittleEndian.Uint64(p[12:]),
			length: int64(binary.LittleEndian.Uint64(p[20:])),
		}}
		if !e.within(dataHeaderSize, limit) || i > 0 && (e.shard <= r.entries[i-1].shard || e.offset != r.entries[i-1].end()) {
			return root{}, fmt.Errorf("root entry of shard %s is out of place", e.shard)
		}
		r.entries[i] = e
	}
	if r.entries[n-1].end() != limit {
		return root{}, errors.New("indexes do not end where the root begins")
	}
	return r, nil
}

func (r root) find(s meta.ShardID) (extent, bool) {
	i, ok := slices.BinarySearchFunc(r.entries, s, func(e rootEntry, s meta.ShardID) int { return cmp.Compare(e.shard, s) })
	if !ok {
		return extent{}, false
	}
	return r.entries[i].extent, true
}
