package main

import (
	"path/filepath"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const bboltSettings = "NoSync, NoGrowSync, NoFreelistSync, hashmap freelist, mapped ahead; transactions of 4096 updates; loaded at a fill of 0.9"

var bboltBucket = []byte("state")

type bboltStore struct {
	db    *bbolt.DB
	value []byte
}

func newBbolt(dir string, valueSize int) *bboltStore {
	db, err := bbolt.Open(filepath.Join(dir, "bbolt"), 0o600, &bbolt.Options{
		NoSync: true, NoGrowSync: true, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		InitialMmapSize: 16 << 30, NoStatistics: true,
	})
	check(err)
	check(db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bboltBucket)
		return err
	}))
	return &bboltStore{db: db, value: make([]byte, valueSize)}
}

func (s *bboltStore) name() string { return "bbolt" }

func (s *bboltStore) load(keys [][]byte, value []byte) { s.put(keys, value, 0.9) }

func (s *bboltStore) put(keys [][]byte, value []byte, fill float64) {
	check(s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bboltBucket)
		b.FillPercent = fill
		for _, k := range keys {
			if err := b.Put(k, value); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *bboltStore) rmw(keys [][]byte) {
	arena := make([]byte, len(s.value)*len(keys)) // values must stay until the transaction commits
	check(s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bboltBucket)
		for _, k := range keys {
			old := b.Get(k)
			if old == nil {
				return berrors.ErrKeyRequired
			}
			v := arena[:len(s.value)]
			arena = arena[len(s.value):]
			copy(v, old)
			add(v)
			if err := b.Put(k, v); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *bboltStore) read(keys [][]byte) (sum uint64) {
	check(s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bboltBucket)
		for _, k := range keys {
			v := b.Get(k)
			if v == nil {
				missing("bbolt", k)
			}
			sum += number(v)
		}
		return nil
	}))
	return sum
}

func (s *bboltStore) insert(keys [][]byte, value []byte) { s.put(keys, value, 0.5) }

func (s *bboltStore) remove(keys [][]byte) {
	check(s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bboltBucket)
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *bboltStore) rest() {}

func (s *bboltStore) close() { check(s.db.Close()) }
