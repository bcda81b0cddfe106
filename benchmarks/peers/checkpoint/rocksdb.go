//go:build rocksdb

package main

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/linxGnu/grocksdb"
)

const rocksMissing = ""

type rocksPeer struct {
	db     *grocksdb.DB
	read   *grocksdb.ReadOptions
	write  *grocksdb.WriteOptions
	folder string
	last   string
	before map[string]int64
}

var newRocksPeer = func(folder string) peer {
	p := &rocksPeer{folder: folder, read: grocksdb.NewDefaultReadOptions(), write: grocksdb.NewDefaultWriteOptions()}
	p.write.DisableWAL(true)
	p.open(filepath.Join(folder, "db"))
	return p
}

func (p *rocksPeer) open(path string) {
	table := grocksdb.NewDefaultBlockBasedTableOptions()
	table.SetBlockCache(grocksdb.NewLRUCache(1 << 30))
	table.SetFilterPolicy(grocksdb.NewBloomFilter(10))
	o := grocksdb.NewDefaultOptions()
	o.SetBlockBasedTableFactory(table)
	o.SetCreateIfMissing(true)
	o.SetWriteBufferSize(64 << 20)
	o.SetCompression(grocksdb.NoCompression)
	o.IncreaseParallelism(runtime.NumCPU())
	var err error
	p.db, err = grocksdb.OpenDb(o, path)
	check(err)
}

func (p *rocksPeer) load(entries uint64) {
	var value wide
	p.batches(entries, func(b *grocksdb.WriteBatch, i uint64) {
		b.Put(binary.BigEndian.AppendUint64(nil, scramble(i)), value[:])
	})
}

func (p *rocksPeer) update(keys []uint64) {
	p.batches(uint64(len(keys)), func(b *grocksdb.WriteBatch, i uint64) {
		k := binary.BigEndian.AppendUint64(nil, keys[i])
		old, err := p.db.GetPinned(p.read, k)
		check(err)
		v := append([]byte(nil), old.Data()...)
		old.Destroy()
		binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
		b.Put(k, v)
	})
}

// batches makes n updates in batches.
func (p *rocksPeer) batches(n uint64, one func(*grocksdb.WriteBatch, uint64)) {
	b := grocksdb.NewWriteBatch()
	defer b.Destroy()
	for i := uint64(0); i < n; {
		for end := min(i+256, n); i < end; i++ {
			one(b, i)
		}
		check(p.db.Write(p.write, b))
		b.Clear()
	}
}

func (p *rocksPeer) checkpoint(n int) {
	p.last = filepath.Join(p.folder, fmt.Sprint("checkpoint-", n))
	c, err := p.db.NewCheckpoint()
	check(err)
	defer c.Destroy()
	check(c.CreateCheckpoint(p.last, 0)) // 0: flush the memtable first
}

func (p *rocksPeer) written() int64 {
	now := filesOf(p.last)
	n := grown(p.before, now)
	p.before = now
	return n
}

func (p *rocksPeer) reopen(key uint64) uint64 {
	p.db.Close()
	p.open(p.last)
	v, err := p.db.GetPinned(p.read, binary.BigEndian.AppendUint64(nil, key))
	check(err)
	defer v.Destroy()
	return binary.LittleEndian.Uint64(v.Data())
}

func (p *rocksPeer) close() { p.db.Close() }
