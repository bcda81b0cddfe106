package main

import (
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

const badgerSettings = "InMemory mode, no conflict detection, memtables of 64 MiB, block cache 4 GiB, no compression, no metrics; transactions of up to 1024 updates"

type badgerStore struct {
	db    *badger.DB
	value int
}

func newBadger(valueSize int) *badgerStore {
	o := badger.DefaultOptions("").WithInMemory(true).WithDetectConflicts(false).WithCompression(options.None).
		WithBlockCacheSize(4 << 30).WithMetricsEnabled(false).WithLogger(silent{})
	db, err := badger.Open(o)
	check(err)
	return &badgerStore{db: db, value: valueSize}
}

func (s *badgerStore) name() string { return "badger" }

func (s *badgerStore) load(keys [][]byte, value []byte) {
	if keys != nil {
		s.insert(keys, value)
		return
	}
	check(s.db.Flatten(1))
}

const badgerTxn = 1024

// each runs f on every key in transactions of its own.
func (s *badgerStore) each(keys [][]byte, f func(txn *badger.Txn, k []byte) error) {
	for ; len(keys) > 0; keys = keys[min(badgerTxn, len(keys)):] {
		txn := s.db.NewTransaction(true)
		for _, k := range keys[:min(badgerTxn, len(keys))] {
			err := f(txn, k)
			if errors.Is(err, badger.ErrTxnTooBig) {
				check(txn.Commit())
				txn = s.db.NewTransaction(true)
				err = f(txn, k)
			}
			check(err)
		}
		check(txn.Commit())
	}
}

// rmw gives each value memory of its own, because a transaction holds on to it until it commits.
func (s *badgerStore) rmw(keys [][]byte) {
	arena := make([]byte, s.value*len(keys))
	s.each(keys, func(txn *badger.Txn, k []byte) error {
		item, err := txn.Get(k)
		if err != nil {
			return err
		}
		v := arena[:s.value:s.value]
		if v, err = item.ValueCopy(v[:0]); err != nil {
			return err
		}
		add(v)
		if err := txn.Set(k, v); err != nil {
			return err
		}
		arena = arena[s.value:]
		return nil
	})
}

func (s *badgerStore) read(keys [][]byte) (sum uint64) {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	for _, k := range keys {
		item, err := txn.Get(k)
		check(err)
		check(item.Value(func(v []byte) error {
			sum += number(v)
			return nil
		}))
	}
	return sum
}

func (s *badgerStore) insert(keys [][]byte, value []byte) {
	s.each(keys, func(txn *badger.Txn, k []byte) error { return txn.Set(k, value) })
}

func (s *badgerStore) remove(keys [][]byte) {
	s.each(keys, func(txn *badger.Txn, k []byte) error { return txn.Delete(k) })
}

func (s *badgerStore) rest() { time.Sleep(100 * time.Millisecond) } // it does not say when its compactions are done

func (s *badgerStore) close() { check(s.db.Close()) }
