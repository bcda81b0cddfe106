package snapshotter

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// dataFile is an open delta file whose root and header have been verified. Its methods may be called concurrently.
type dataFile struct {
	ref  meta.DataFile
	name string // path
	file vfs.File
	root root

	shares atomic.Int32 // references beyond the first

	mu      sync.Mutex // guards indexes; held while one is read, so that it is read once
	indexes map[meta.ShardID]*index
}

// openDataFile tries the places in turn. A file of the right name and the wrong size is damaged, wherever it lies.
func openDataFile(fsys vfs.FS, places []string, ref meta.DataFile) (*dataFile, error) {
	for _, dir := range places {
		name := filepath.Join(dir, ref.Name)
		file, err := fsys.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := &dataFile{ref: ref, name: name, file: file, indexes: map[meta.ShardID]*index{}}
		if err := f.open(); err != nil {
			file.Close()
			return nil, err
		}
		return f, nil
	}
	return nil, fs.ErrNotExist
}

// open verifies size, root, header, and only then believes the version.
func (f *dataFile) open() error {
	size, err := f.file.Size()
	if err != nil {
		return err
	}
	if size != f.ref.Size || f.ref.RootOffset+f.ref.RootSize != size || f.ref.RootOffset < dataHeaderSize {
		return &meta.DamageError{File: f.name, Offset: min(size, f.ref.Size), What: fmt.Sprintf("size: expected %d bytes, found %d", f.ref.Size, size)}
	}
	where := extent{offset: f.ref.RootOffset, length: f.ref.RootSize, hash: f.ref.RootHash}
	b, err := f.read(where)
	if err != nil {
		return err
	}
	if err := checkHash(f.name, "root", where, b); err != nil { // guard: hash-root
		return err
	}
	if f.root, err = decodeRoot(b, f.ref.RootOffset); err != nil {
		return damaged(f.name, where.offset, err.Error())
	}
	return f.checkHeader()
}

func (f *dataFile) checkHeader() error {
	where := extent{length: dataHeaderSize, hash: f.root.header}
	b, err := f.read(where)
	if err != nil {
		return err
	}
	if err := checkHash(f.name, "header", where, b); err != nil { // guard: hash-header
		return err
	}
	if string(b[:len(dataMagic)]) != dataMagic {
		return damaged(f.name, 0, "not a delta file")
	}
	if v := headerVersion(b); v != dataVersion {
		return fmt.Errorf("%s: delta version %d, this release reads %d: %w", f.name, v, dataVersion, meta.ErrVersion)
	}
	return nil
}

// read returns bytes that nobody has vouched for yet. The extent has been bounded by the file's real size.
func (f *dataFile) read(e extent) ([]byte, error) {
	b := make([]byte, e.length)
	return b, readFull(f.file, f.name, b, e.offset)
}

// index returns a shard's verified index, nil if the file has no page of it.
func (f *dataFile) index(s meta.ShardID) (*index, error) {
	where, ok := f.root.find(s)
	if !ok {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.indexes[s]; x != nil {
		return x, nil
	}
	x, err := f.readIndex(s, where)
	if err != nil {
		return nil, err
	}
	f.indexes[s] = x
	return x, nil
}

// hasIndex tells whether a shard's index needs no reading any more.
func (f *dataFile) hasIndex(s meta.ShardID) bool {
	if _, ok := f.root.find(s); !ok {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.indexes[s] != nil
}

func (f *dataFile) readIndex(s meta.ShardID, where extent) (*index, error) {
	b, err := f.read(where)
	if err != nil {
		return nil, err
	}
	if err := checkHash(f.name, fmt.Sprintf("index of shard %s", s), where, b); err != nil { // guard: hash-index
		return nil, err
	}
	x, err := decodeIndex(b, s, f.root.entries[0].offset)
	if err != nil {
		return nil, damaged(f.name, where.offset, err.Error())
	}
	return x, nil
}

// block returns a block's verified bytes.
func (f *dataFile) block(e extent) ([]byte, error) {
	b, err := f.read(e)
	if err != nil {
		return nil, err
	}
	if err := checkHash(f.name, "block", e, b); err != nil { // guard: hash-block
		return nil, err
	}
	return b, nil
}

// record finds a page's record in the block that the index names. The block has been verified.
func (f *dataFile) record(block []byte, e extent, at int64, s meta.ShardID, p meta.PageNo) (record, error) {
	if at < e.offset || at >= e.end() {
		return record{}, damaged(f.name, e.offset, fmt.Sprintf("index of shard %s puts page %d outside its block", s, p))
	}
	r, ok := decodeRecord(block[at-e.offset:])
	if !ok || r.shard != s || r.page != p {
		return record{}, damaged(f.name, at, fmt.Sprintf("no record of shard %s page %d", s, p))
	}
	return r, nil
}
