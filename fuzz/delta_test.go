package fuzz

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// FuzzDeltaFile patches the files of a checkpoint, makes as many of the hashes above a patch right as the input says,
// and reads everything: an error or what was written, no panic, no memory beyond a multiple of the files.
func FuzzDeltaFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		sp := soundSpecimen()
		data := make([][]byte, len(sp.data))
		total := len(sp.encoded)
		for i, d := range sp.data {
			data[i] = slices.Clone(d)
			total += len(d)
		}
		m, encoded := sp.spoil(b, data)
		fsys, err := place(encoded, names(m), data)
		if err != nil {
			return // the patched name is taken: not a directory that could be
		}
		defer watch(bytes.NewBuffer(fmt.Appendf(nil, "%v", patches(b))))()
		bounded(t, total, func() {
			c, err := load(fsys)
			if err != nil {
				known(t, err)
				return
			}
			defer c.Close()
			readAll(t, c)
		})
	})
}

func names(m *meta.Metadata) (all []string) {
	for _, f := range m.Files {
		all = append(all, f.Name)
	}
	return all
}

// known fails the test for an error that callers cannot branch on.
func known(t *testing.T, err error) {
	t.Helper()
	for _, is := range []error{meta.ErrDamaged, meta.ErrVersion, meta.ErrNotFound, meta.ErrIncompatible} {
		if errors.Is(err, is) {
			return
		}
	}
	t.Fatalf("untyped error %v", err)
}

func readAll(t *testing.T, c *snapshotter.Checkpoint) {
	sound := c.Verify(context.Background(), nil)
	if sound != nil {
		known(t, sound)
	}
	buf := make([]byte, meta.GroupSize)
	for _, o := range c.Meta.Operators {
		for _, sh := range o.Shards {
			for p := uint32(0); p < sh.Pages; p += meta.GroupPages {
				n := min(meta.GroupPages, sh.Pages-p)
				err := c.Load(context.Background(), sh.ID, meta.PageNo(p), buf[:n*meta.PageSize])
				if err == nil {
					continue
				}
				if known(t, err); sound == nil {
					t.Fatalf("verified, but %v", err)
				}
			}
		}
		for range c.Order(o.No) {
		}
	}
	if s, err := mmapstate.Open(mmapstate.Options{}, c); err == nil {
		s.Check()
		s.Close()
	}
}

// spoil applies an input's patches. Its first byte says which hashes are made right: those of blocks, of indexes, of
// roots; what is above them always is.
func (sp *specimen) spoil(b []byte, data [][]byte) (*meta.Metadata, []byte) {
	m, err := meta.Decode("sound", sp.encoded)
	if err != nil {
		panic(err)
	}
	if len(b) == 0 {
		return m, sp.encoded
	}
	encoded := slices.Clone(sp.encoded)
	for _, p := range patches(b[1:]) {
		if p.where%8 == 7 {
			p.apply(encoded)
			continue
		}
		part := spoilable(m.Files[p.where%2], data[p.where%2], p.where%8/2)
		p.apply(part)
	}
	if spoiled, err := meta.Decode("spoiled", framed(encoded)); err == nil && len(spoiled.Files) == len(m.Files) {
		m = spoiled
	}
	for i := range m.Files {
		seal(&m.Files[i], data[i], b[0])
	}
	return m, m.Encode()
}

// spoilable is the part of a file that a patch is for: all of it, the indexes, or the root.
func spoilable(f meta.DataFile, b []byte, part byte) []byte {
	switch part {
	case 1:
		return b[indexesAt(f, b):f.RootOffset]
	case 2:
		return b[f.RootOffset:]
	}
	return b
}

// The format of delta files as FORMAT.md says, as far as hashes go.
const (
	deltaHeader = 32
	rootHead    = 8 + 4
	rootEntry   = 4 + 8 + 8 + 8
	indexHead   = 5 * 4
	blockRef    = 8 + 8 + 4
)

func indexesAt(f meta.DataFile, b []byte) int64 {
	at := binary.LittleEndian.Uint64(b[f.RootOffset+rootHead+4:]) // maybe patched already
	return int64(min(uint64(f.RootOffset), at))
}

// seal makes hashes right from the blocks up, wherever what refers to them still makes sense.
func seal(f *meta.DataFile, b []byte, which byte) {
	if f.RootOffset < deltaHeader || f.RootOffset > int64(len(b))-rootHead || f.RootSize < rootHead || f.RootSize > int64(len(b))-f.RootOffset {
		return
	}
	r := b[f.RootOffset:][:f.RootSize]
	if which&1 == 0 {
		binary.LittleEndian.PutUint64(r, xxhash.Sum64(b[:deltaHeader]))
	}
	for e := r[rootHead:]; len(e) >= rootEntry; e = e[rootEntry:] {
		index := within(b, binary.LittleEndian.Uint64(e[4:]), binary.LittleEndian.Uint64(e[20:]))
		if index == nil {
			continue
		}
		if which&2 == 0 {
			sealBlocks(b, index)
		}
		if which&4 == 0 {
			binary.LittleEndian.PutUint64(e[12:], xxhash.Sum64(index))
		}
	}
	if which&8 == 0 {
		f.RootHash = xxhash.Sum64(r)
	}
}

func sealBlocks(b, index []byte) {
	if len(index) < indexHead {
		return
	}
	refs := index[indexHead:]
	for range binary.LittleEndian.Uint32(index[12:]) {
		if len(refs) < blockRef {
			return
		}
		if block := within(b, binary.LittleEndian.Uint64(refs), uint64(binary.LittleEndian.Uint32(refs[16:]))); block != nil {
			binary.LittleEndian.PutUint64(refs[8:], xxhash.Sum64(block))
		}
		refs = refs[blockRef:]
	}
}

func within(b []byte, at, n uint64) []byte {
	if at > uint64(len(b)) || n > uint64(len(b))-at {
		return nil
	}
	return b[at:][:n]
}

func TestCorpusOfDeltaFile(t *testing.T) {
	corpus(t, "FuzzDeltaFile", 60, func(r *rand.Rand) []byte {
		b := []byte{[]byte{0, 0, 0, 1, 2, 4, 8}[r.IntN(7)]}
		for range r.IntN(6) {
			b = append(b, randomPatch(r).bytes()...)
		}
		return b
	})
}

func randomPatch(r *rand.Rand) patch {
	return patch{byte(r.Uint32()), byte(r.Uint32()), r.Uint32() >> (8 + r.IntN(16)), uint16(r.Uint32()) >> r.IntN(14)}
}

// A specimen that is not touched is whole.
func TestSpecimenIsSound(t *testing.T) {
	sp := soundSpecimen()
	m, encoded := sp.spoil([]byte{0}, sp.data)
	fsys, err := place(encoded, names(m), sp.data)
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Verify(context.Background(), nil); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(encoded, sp.encoded) {
		t.Error("sealing changed what was right")
	}
}
