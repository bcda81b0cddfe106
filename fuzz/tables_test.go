package fuzz

import (
	"fmt"
	"iter"
	"strings"

	"github.com/pagetide/pagetide/mmapstate"
)

// table is a state of the store beside its model.
type table interface {
	declare(*mmapstate.Store, mmapstate.TTL) error
	step(op) error
	compare() error
	adopt(old mmapstate.TTL) error // after a restore with another TTL
	save() any
	load(was any) // nil is an empty one
}

const tableCount = 10

var tableNames = [tableCount]string{"cells", "flats", "raws", "docs", "tangle", "texts list", "numbers list", "texts map", "numbers map", "index"}

// The values of the tables.
type (
	cell [3]uint64
	pair [2]uint64
	doc  struct { // no flat type: it goes through CBOR
		N    uint64
		Text string
	}
	wide struct { // a key that is no word
		N    uint32
		Rest [20]byte
	}
)

func cellOf(seq uint64, _ int) cell     { return cell{seq, ^seq, 7} }
func pairOf(seq uint64, _ int) pair     { return pair{seq, 1} }
func numberOf(seq uint64, _ int) uint32 { return uint32(seq) }
func docOf(seq uint64, n int) doc       { return doc{seq, textOf(seq, n)} }

// textOf makes a string of about n bytes.
func textOf(seq uint64, n int) string {
	s := fmt.Sprint(seq, ".")
	return s + strings.Repeat(string(rune('a'+seq%26)), max(0, n-len(s)))[:max(0, n-len(s))]
}

func wordKey(n int) uint64 { return uint64(n) }
func textKey(n int) string {
	return fmt.Sprint("key ", n, strings.Repeat("x", n%70*(n%3)))
}
func longKey(n int) string { return textKey(n) + strings.Repeat("-", 32) }
func wideKey(n int) wide   { return wide{N: uint32(n), Rest: [20]byte{19: byte(n)}} }

func numberField(n int) uint32 { return uint32(n % 64) }
func textField(n int) string   { return fmt.Sprint(n%64, strings.Repeat("f", n%5*9)) }

func tablesOf[K comparable](w *world, key func(int) K) []table {
	l := life{w: w}
	return []table{
		&book[K, cell]{life: l, key: key, value: cellOf, open: func(s *mmapstate.Store, ttl mmapstate.TTL) (door[K, cell], error) {
			m, err := mmapstate.NewCellMap[K, cell](s, "cells", ttl)
			return cellDoor[K]{m}, err
		}},
		&book[K, pair]{life: l, key: key, value: pairOf, open: func(s *mmapstate.Store, ttl mmapstate.TTL) (door[K, pair], error) {
			return mmapstate.NewValueMap[K, pair](s, "flats", ttl)
		}},
		&book[K, string]{life: l, key: key, value: textOf, open: func(s *mmapstate.Store, ttl mmapstate.TTL) (door[K, string], error) {
			m, err := mmapstate.NewValueMap[K, []byte](s, "raws", ttl)
			return rawDoor[K]{m}, err
		}},
		&book[K, doc]{life: l, key: key, value: docOf, open: func(s *mmapstate.Store, ttl mmapstate.TTL) (door[K, doc], error) {
			return mmapstate.NewValueMap[K, doc](s, "docs", ttl)
		}},
		&book[string, string]{life: l, key: longKey, value: textOf, open: openTangle},
		&lists[K, string]{life: l, key: key, value: textOf, name: "textlists"},
		&lists[K, uint32]{life: l, key: key, value: numberOf, name: "numberlists"},
		&nest[K, string, string]{life: l, key: key, field: textField, value: textOf, name: "textmaps"},
		&nest[K, uint32, pair]{life: l, key: key, field: numberField, value: pairOf, name: "numbermaps"},
		&index[K]{w: w, key: key},
	}
}

type cellDoor[K comparable] struct{ mmapstate.CellMap[K, cell] }

func (d cellDoor[K]) Set(k K, v cell) error { d.CellMap.Set(k, v); return nil }

type rawDoor[K comparable] struct{ mmapstate.ValueMap[K, []byte] }

func (d rawDoor[K]) Set(k K, v string) error { return d.ValueMap.Set(k, []byte(v)) }

func (d rawDoor[K]) Get(k K) (string, bool) {
	v, ok := d.ValueMap.Get(k)
	return string(v), ok
}

func (d rawDoor[K]) All() iter.Seq2[K, string] {
	return func(yield func(K, string) bool) {
		for k, v := range d.ValueMap.All() {
			if !yield(k, string(v)) {
				return
			}
		}
	}
}

// tangle is a state whose keys, made by hand, have four hashes only: no split parts them. They are long, because tables
// compute the hash of short ones again.
type tangle struct {
	keyer *mmapstate.Keyer[string]
	bytes *mmapstate.Bytes
}

func openTangle(s *mmapstate.Store, ttl mmapstate.TTL) (door[string, string], error) {
	keyer, err := mmapstate.NewKeyer[string](s.HashSeed(), s.KeyGroups())
	if err != nil {
		return nil, err
	}
	b, err := s.Bytes("tangle", keyer.Shape(), "raw", ttl)
	return tangle{keyer, b}, err
}

func (t tangle) key(s string) mmapstate.Key {
	like := s[4:5] // the first digit
	like = string(rune('0' + (like[0]-'0')/3))
	k := t.keyer.Key(&like)
	return mmapstate.Key{Hash: k.Hash, Group: k.Group, Bytes: []byte(s)}
}

func (t tangle) Get(k string) (string, bool) {
	b, ok := t.bytes.Get(t.key(k), nil)
	return string(b), ok
}

func (t tangle) Set(k, v string) error { return t.bytes.Put(t.key(k), []byte(v)) }
func (t tangle) Delete(k string) bool  { return t.bytes.Delete(t.key(k)) }
func (t tangle) Len() int              { return t.bytes.Len() }

func (t tangle) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for k, v := range t.bytes.All() {
			if !yield(string(k.Bytes), string(v)) {
				return
			}
		}
	}
}
