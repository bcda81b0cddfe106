package main

import (
	"context"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
)

const pebbleSettings = "WAL off, no sync, cache 4 GiB, memtable 64 MiB, Bloom filters of 10 bits, no compression; batches of 64 updates"

type pebbleStore struct {
	db      *pebble.DB
	cache   *pebble.Cache
	pending *pending
}

func newPebble(dir string, valueSize int) *pebbleStore {
	s := &pebbleStore{cache: pebble.NewCache(4 << 30), pending: newPending(valueSize)}
	o := &pebble.Options{
		DisableWAL:   true,
		Cache:        s.cache,
		MemTableSize: 64 << 20,
		Logger:       silent{},
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		return pebble.UniformDBCompressionSettings(block.NoCompression)
	})
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	var err error
	s.db, err = pebble.Open(dir, o)
	check(err)
	return s
}

func (s *pebbleStore) name() string { return "pebble" }

func (s *pebbleStore) load(keys [][]byte, value []byte) {
	if keys != nil {
		s.insert(keys, value)
		return
	}
	check(s.db.Flush())
	check(s.db.Compact(context.Background(), []byte{0}, []byte{255, 255}, false))
	s.rest()
}

func (s *pebbleStore) rmw(keys [][]byte) {
	for ; len(keys) > 0; keys = keys[min(writeBatch, len(keys)):] {
		s.pending.reset()
		for _, k := range keys[:min(writeBatch, len(keys))] {
			v, ok := s.pending.at(k)
			if !ok {
				old, closer, err := s.db.Get(k)
				check(err)
				copy(v, old)
				check(closer.Close())
			}
			add(v)
		}
		b := s.db.NewBatch()
		for i, k := range s.pending.keys {
			check(b.Set(k, s.pending.values[i], nil))
		}
		check(b.Commit(pebble.NoSync))
		check(b.Close())
	}
}

func (s *pebbleStore) read(keys [][]byte) (sum uint64) {
	for _, k := range keys {
		v, closer, err := s.db.Get(k)
		check(err)
		sum += number(v)
		check(closer.Close())
	}
	return sum
}

func (s *pebbleStore) insert(keys [][]byte, value []byte) {
	for ; len(keys) > 0; keys = keys[min(writeBatch, len(keys)):] {
		b := s.db.NewBatch()
		for _, k := range keys[:min(writeBatch, len(keys))] {
			check(b.Set(k, value, nil))
		}
		check(b.Commit(pebble.NoSync))
		check(b.Close())
	}
}

func (s *pebbleStore) remove(keys [][]byte) {
	for ; len(keys) > 0; keys = keys[min(writeBatch, len(keys)):] {
		b := s.db.NewBatch()
		for _, k := range keys[:min(writeBatch, len(keys))] {
			check(b.Delete(k, nil))
		}
		check(b.Commit(pebble.NoSync))
		check(b.Close())
	}
}

func (s *pebbleStore) rest() {
	waitIdle(func() bool {
		m := s.db.Metrics()
		return m.Compact.NumInProgress == 0 && m.Flush.NumInProgress == 0
	})
}

func (s *pebbleStore) close() {
	check(s.db.Close())
	s.cache.Unref()
}
