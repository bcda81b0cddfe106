package fuzz

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/pagetide/pagetide/meta"
)

// The parts of a delta file, each made by the fuzzer from its first byte to its last, and of any length: what is above it
// is rebuilt so that offsets, lengths and hashes vouch for it.

// FuzzRoot gives a file another root.
func FuzzRoot(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) { readPart(t, b, withRoot) })
}

// FuzzIndex gives one shard another index.
func FuzzIndex(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) { readPart(t, b, withIndex) })
}

// FuzzBlock gives a block other records.
func FuzzBlock(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) { readPart(t, b, withBlock) })
}

// readPart loads the specimen with one part replaced. The input's first byte says which file and which of its parts.
func readPart(t *testing.T, b []byte, replace func(f *meta.DataFile, data, part []byte, which int) []byte) {
	if len(b) == 0 {
		return
	}
	sp := soundSpecimen()
	m, err := meta.Decode("sound", sp.encoded)
	if err != nil {
		t.Fatal(err)
	}
	data := slices.Clone(sp.data)
	no := int(b[0] & 1)
	data[no] = replace(&m.Files[no], slices.Clone(data[no]), b[1:], int(b[0]>>1))
	encoded := m.Encode()
	fsys, err := place(encoded, names(m), data)
	if err != nil {
		t.Fatal(err)
	}
	defer watch(stringer("a replaced part"))()
	bounded(t, len(encoded)+len(data[0])+len(data[1]), func() {
		c, err := load(fsys)
		if err != nil {
			known(t, err)
			return
		}
		defer c.Close()
		readAll(t, c)
	})
}

// withRoot puts a root behind the indexes. The hash of the header, which comes first in it, is made right.
func withRoot(f *meta.DataFile, data, part []byte, _ int) []byte {
	root := slices.Clone(part)
	if len(root) >= 8 {
		binary.LittleEndian.PutUint64(root, xxhash.Sum64(data[:deltaHeader]))
	}
	f.RootSize, f.RootHash = int64(len(root)), xxhash.Sum64(root)
	f.Size = f.RootOffset + f.RootSize
	return append(data[:f.RootOffset], root...)
}

// withIndex puts an index in the place of another and moves what follows.
func withIndex(f *meta.DataFile, data, part []byte, which int) []byte {
	root := slices.Clone(data[f.RootOffset:])
	at := indexesAt(*f, data)
	out := slices.Clone(data[:at])
	entries := root[rootHead:]
	which %= len(entries) / rootEntry
	for i := 0; len(entries) >= rootEntry; i++ {
		index := within(data, binary.LittleEndian.Uint64(entries[4:]), binary.LittleEndian.Uint64(entries[20:]))
		if i == which {
			index = part
		}
		binary.LittleEndian.PutUint64(entries[4:], uint64(len(out)))
		binary.LittleEndian.PutUint64(entries[12:], xxhash.Sum64(index))
		binary.LittleEndian.PutUint64(entries[20:], uint64(len(index)))
		out = append(out, index...)
		entries = entries[rootEntry:]
	}
	f.RootOffset = int64(len(out))
	return withRoot(f, out, root, 0)
}

// withBlock overwrites a block, whose length stays: several indexes name it.
func withBlock(f *meta.DataFile, data, part []byte, which int) []byte {
	block := blockOf(*f, data, which)
	copy(block, part)
	seal(f, data, 0)
	return data
}

// blockOf is one of the blocks that the first index names.
func blockOf(f meta.DataFile, data []byte, which int) []byte {
	index := indexOf(f, data, 0)
	ref := index[indexHead+which%int(binary.LittleEndian.Uint32(index[12:]))*blockRef:]
	return within(data, binary.LittleEndian.Uint64(ref), uint64(binary.LittleEndian.Uint32(ref[16:])))
}

func indexOf(f meta.DataFile, data []byte, which int) []byte {
	entries := data[f.RootOffset+rootHead:]
	e := entries[which%(len(entries)/rootEntry)*rootEntry:]
	return within(data, binary.LittleEndian.Uint64(e[4:]), binary.LittleEndian.Uint64(e[20:]))
}

// partOf is the sound part that an input is made from.
type partOf func(f meta.DataFile, data []byte, which int) []byte

// rootOf leaves out the hash of the header, which has a random id.
func rootOf(f meta.DataFile, data []byte, _ int) []byte {
	root := slices.Clone(data[f.RootOffset:])
	clear(root[:8])
	return root
}

func TestCorpusOfParts(t *testing.T) {
	for target, of := range map[string]partOf{"FuzzRoot": rootOf, "FuzzIndex": indexOf, "FuzzBlock": blockOf} {
		corpusOfSpecimen(t, target, 80, func(r *rand.Rand) []byte { return randomPart(r, of) })
	}
}

// randomPart spoils a sound part a little: most of it must still make sense, else nothing behind the first check is
// reached.
func randomPart(r *rand.Rand, of partOf) []byte {
	sp := soundSpecimen()
	which := byte(r.IntN(8))
	no := int(which & 1)
	b := slices.Clone(of(sp.metadata.Files[no], sp.data[no], int(which>>1)))
	for range r.IntN(4) {
		switch r.IntN(6) {
		default:
			randomPatch(r).apply(b)
		case 0:
			b = b[:r.IntN(len(b)+1)]
		case 1: // something twice
			if at := r.IntN(len(b) + 1); at < len(b) {
				b = slices.Insert(b, at, slices.Clone(b[at:min(len(b), at+rootEntry)])...)
			}
		}
	}
	return append([]byte{which}, b[:min(len(b), 2<<10)]...)
}

// A part that is put back as it was leaves a checkpoint that is whole: what is rebuilt around a part is right.
func TestPartsAreRebuilt(t *testing.T) {
	sp := soundSpecimen()
	for name, replace := range map[string]func(f *meta.DataFile, data, part []byte, which int) []byte{"root": withRoot, "index": withIndex, "block": withBlock} {
		of := map[string]partOf{"root": rootOf, "index": indexOf, "block": blockOf}[name]
		for which := range 6 {
			m, err := meta.Decode("sound", sp.encoded)
			if err != nil {
				t.Fatal(err)
			}
			data := slices.Clone(sp.data)
			data[0] = replace(&m.Files[0], slices.Clone(data[0]), of(m.Files[0], data[0], which), which)
			fsys, err := place(m.Encode(), names(m), data)
			if err != nil {
				t.Fatal(err)
			}
			c, err := load(fsys)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := c.Verify(t.Context(), nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			c.Close()
		}
	}
}
