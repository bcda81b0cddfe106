//go:build rocksdb

package main

import (
	"runtime"

	"github.com/linxGnu/grocksdb"
)

const (
	rocksdbSettings = "WAL off, block cache 4 GiB with index and filter blocks, Bloom filters of 10 bits, memtables of 64 MiB, whole-key filter in memtables, no compression, no statistics, IncreaseParallelism(cores); batches of 64 updates"
	rocksdbMissing  = ""
)

type rocksStore struct {
	db      *grocksdb.DB
	read1   *grocksdb.ReadOptions
	write   *grocksdb.WriteOptions
	batch   *grocksdb.WriteBatch
	pending *pending
}

func newRocksDB(dir string, valueSize int) byteStore {
	table := grocksdb.NewDefaultBlockBasedTableOptions()
	table.SetBlockCache(grocksdb.NewLRUCache(4 << 30))
	table.SetFilterPolicy(grocksdb.NewBloomFilter(10))
	table.SetCacheIndexAndFilterBlocks(true)
	o := grocksdb.NewDefaultOptions()
	o.SetBlockBasedTableFactory(table)
	o.SetCreateIfMissing(true)
	o.SetWriteBufferSize(64 << 20)
	o.SetMaxWriteBufferNumber(4)
	o.SetMemTablePrefixBloomSizeRatio(0.02)
	o.SetMemtableWholeKeyFiltering(true)
	o.SetCompression(grocksdb.NoCompression)
	o.SetLevelCompactionDynamicLevelBytes(true)
	o.IncreaseParallelism(runtime.NumCPU())
	o.SetAllowMmapReads(false)
	db, err := grocksdb.OpenDb(o, dir)
	check(err)
	w := grocksdb.NewDefaultWriteOptions()
	w.DisableWAL(true)
	r := grocksdb.NewDefaultReadOptions()
	r.SetVerifyChecksums(false)
	return &rocksStore{db: db, read1: r, write: w, batch: grocksdb.NewWriteBatch(), pending: newPending(valueSize)}
}

func (s *rocksStore) name() string { return "rocksdb" }

func (s *rocksStore) load(keys [][]byte, value []byte) {
	if keys != nil {
		s.insert(keys, value)
		return
	}
	s.db.CompactRange(grocksdb.Range{})
}

func (s *rocksStore) commit() {
	check(s.db.Write(s.write, s.batch))
	s.batch.Clear()
}

func (s *rocksStore) rmw(keys [][]byte) {
	for ; len(keys) > 0; keys = keys[min(writeBatch, len(keys)):] {
		s.pending.reset()
		for _, k := range keys[:min(writeBatch, len(keys))] {
			v, ok := s.pending.at(k)
			if !ok {
				old, err := s.db.GetPinned(s.read1, k)
				check(err)
				if !old.Exists() {
					missing("rocksdb", k)
				}
				copy(v, old.Data())
				old.Destroy()
			}
			add(v)
		}
		for i, k := range s.pending.keys {
			s.batch.Put(k, s.pending.values[i])
		}
		s.commit()
	}
}

func (s *rocksStore) read(keys [][]byte) (sum uint64) {
	for _, k := range keys {
		v, err := s.db.GetPinned(s.read1, k)
		check(err)
		if !v.Exists() {
			missing("rocksdb", k)
		}
		sum += number(v.Data())
		v.Destroy()
	}
	return sum
}

func (s *rocksStore) insert(keys [][]byte, value []byte) {
	for ; len(keys) > 0; keys = keys[min(writeBatch, len(keys)):] {
		for _, k := range keys[:min(writeBatch, len(keys))] {
			s.batch.Put(k, value)
		}
		s.commit()
	}
}

func (s *rocksStore) remove(keys [][]byte) {
	for ; len(keys) > 0; keys = keys[min(writeBatch, len(keys)):] {
		for _, k := range keys[:min(writeBatch, len(keys))] {
			s.batch.Delete(k)
		}
		s.commit()
	}
}

func (s *rocksStore) rest() {
	waitIdle(func() bool {
		return s.db.GetProperty("rocksdb.num-running-compactions") == "0" && s.db.GetProperty("rocksdb.num-running-flushes") == "0"
	})
}

func (s *rocksStore) close() {
	s.batch.Destroy()
	s.db.Close()
}
