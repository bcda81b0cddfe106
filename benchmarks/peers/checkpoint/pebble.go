package main

import (
	"encoding/binary"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"
)

type pebblePeer struct {
	db     *pebble.DB
	folder string
	last   string
	before map[string]int64
}

func newPebblePeer(folder string) peer {
	p := &pebblePeer{folder: folder}
	p.open(filepath.Join(folder, "db"))
	return p
}

func (p *pebblePeer) open(path string) {
	cache := pebble.NewCache(1 << 30)
	defer cache.Unref()
	o := &pebble.Options{DisableWAL: true, Cache: cache, MemTableSize: 64 << 20, Logger: silent{}}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		return pebble.UniformDBCompressionSettings(block.NoCompression)
	})
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	var err error
	p.db, err = pebble.Open(path, o)
	check(err)
}

func (p *pebblePeer) load(entries uint64) {
	var value wide
	p.write(entries, func(b *pebble.Batch, i uint64) {
		check(b.Set(binary.BigEndian.AppendUint64(nil, scramble(i)), value[:], nil))
	})
	check(p.db.Flush())
}

func (p *pebblePeer) update(keys []uint64) {
	p.write(uint64(len(keys)), func(b *pebble.Batch, i uint64) {
		k := binary.BigEndian.AppendUint64(nil, keys[i])
		old, closer, err := p.db.Get(k)
		check(err)
		v := append([]byte(nil), old...)
		check(closer.Close())
		binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+1)
		check(b.Set(k, v, nil))
	})
}

// write makes n updates in batches.
func (p *pebblePeer) write(n uint64, one func(*pebble.Batch, uint64)) {
	for i := uint64(0); i < n; {
		b := p.db.NewBatch()
		for end := min(i+256, n); i < end; i++ {
			one(b, i)
		}
		check(b.Commit(pebble.NoSync))
		check(b.Close())
	}
}

func (p *pebblePeer) checkpoint(n int) {
	check(p.db.Flush())
	p.last = filepath.Join(p.folder, fmt.Sprint("checkpoint-", n))
	check(p.db.Checkpoint(p.last))
}

func (p *pebblePeer) written() int64 {
	now := filesOf(p.last)
	n := grown(p.before, now)
	p.before = now
	return n
}

func (p *pebblePeer) reopen(key uint64) uint64 {
	check(p.db.Close())
	p.open(p.last)
	v, closer, err := p.db.Get(binary.BigEndian.AppendUint64(nil, key))
	check(err)
	defer closer.Close()
	return binary.LittleEndian.Uint64(v)
}

func (p *pebblePeer) close() { check(p.db.Close()) }

// silent drops a store's own messages.
type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(string, ...any)          {}
func (silent) Fatalf(format string, a ...any) { check(fmt.Errorf(format, a...)) }
