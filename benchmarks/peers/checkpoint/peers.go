package main

import (
	"bufio"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
	"github.com/pagetide/pagetide/mmapstate"
)

// peer keeps counters, and can be checkpointed and opened again.
type peer interface {
	load(entries uint64)
	update(keys []uint64)
	checkpoint(n int)             // durable when it returns
	written() int64               // bytes on disk since the last call that were not there before
	reopen(key uint64) (n uint64) // from the newest checkpoint, what was before closed; the counter of one key
	close()
}

// peers times a checkpoint after 100 k updates and how soon a value can be read back from it.
func (b *bench) peers(label string) {
	size, err := host.ParseSize(label)
	check(err)
	entries := uint64(size) / (8 + uint64(len(wide{})))
	b.peer(result.Peer{Name: "pagetide", Text: "incremental checkpoint of 1 GiB of cells, synced; lazy open"}, size, entries, newOwnPeer)
	b.peer(result.Peer{Name: "pebble", Version: host.Version("github.com/cockroachdb/pebble/v2"),
		Text: "DB.Checkpoint with the memtable flushed; WAL off, no compression, cache 1 GiB; open a copy of the checkpoint"}, size, entries, newPebblePeer)
	if newRocksPeer == nil {
		b.skip("%s", rocksMissing)
	} else {
		b.peer(result.Peer{Name: "rocksdb", Version: "librocksdb, grocksdb " + host.Version("github.com/linxGnu/grocksdb"),
			Text: "Checkpoint with the memtable flushed; WAL off, no compression, cache 1 GiB; open the checkpoint"}, size, entries, newRocksPeer)
	}
	b.peer(result.Peer{Name: "gomap+gob", Version: runtime.Version(), Text: "map[uint64][488]byte written whole with encoding/gob, synced"}, size, entries, newMapPeer)
}

func (b *bench) peer(p result.Peer, size int64, entries uint64, open func(folder string) peer) {
	if need := int(size>>20)*3 + 2048; !host.Room(need) {
		b.skip("%s: needs %d MiB of memory to spare", p.Name, need)
		return
	}
	folder, remove := b.space(p.Name)
	defer remove()
	st := open(folder)
	defer st.close()
	st.load(entries)
	st.checkpoint(0)
	st.written()
	random := rand.New(rand.NewPCG(1, 2))
	keys := make([]uint64, updatesEach)
	var took []time.Duration
	var wrote []int64
	for i := range b.rounds {
		for k := range keys {
			keys[k] = scramble(random.Uint64N(entries))
		}
		st.update(keys)
		start := time.Now()
		st.checkpoint(i + 1)
		took = append(took, time.Since(start))
		wrote = append(wrote, st.written())
	}
	start := time.Now()
	if st.reopen(keys[0]) == 0 {
		check(fmt.Errorf("%s has lost a counter", p.Name))
	}
	p.Reopen = ms(time.Since(start))
	p.StateBytes, p.Checkpoint, p.Written = int64(entries)*int64(8+len(wide{})), median(took).Seconds(), median(wrote)
	b.run.Peers = append(b.run.Peers, p)
	b.progress("%s: checkpoint %.3f s, %d MiB written, reopened in %.1f ms", p.Name, p.Checkpoint, p.Written>>20, p.Reopen)
	debug.FreeOSMemory()
}

// ownPeer is Pagetide as its peers are seen.
type ownPeer struct {
	*worker
	folder string
	wrote  int64
}

func newOwnPeer(folder string) peer { return &ownPeer{worker: newWorker[wide](folder), folder: folder} }

func (o *ownPeer) load(entries uint64) { o.insert(entries) }

func (o *ownPeer) update(keys []uint64) {
	for i := range keys {
		*(*uint64)(o.cells.Ref(o.keyer.Key(&keys[i])))++
	}
}

func (o *ownPeer) checkpoint(int) { o.wrote = o.save().Written }
func (o *ownPeer) written() int64 { return o.wrote }

func (o *ownPeer) reopen(key uint64) uint64 {
	check(o.store.Close())
	check(o.dir.Close())
	o.open(o.folder)
	last, err := o.dir.Latest()
	check(err)
	o.store, err = mmapstate.Open(mmapstate.Options{Lazy: true}, last)
	check(err)
	o.declare(len(wide{}))
	v := o.cells.Peek(o.keyer.Key(&key))
	if v == nil {
		return 0
	}
	return *(*uint64)(v)
}

// mapPeer is what people do today.
type mapPeer struct {
	m      map[uint64]wide
	folder string
	last   string
	wrote  int64
}

func newMapPeer(folder string) peer { return &mapPeer{m: map[uint64]wide{}, folder: folder} }

func (p *mapPeer) load(entries uint64) {
	for i := range entries {
		p.m[scramble(i)] = wide{}
	}
}

func (p *mapPeer) update(keys []uint64) {
	for _, k := range keys {
		v := p.m[k]
		binary.LittleEndian.PutUint64(v[:], binary.LittleEndian.Uint64(v[:])+1)
		p.m[k] = v
	}
}

func (p *mapPeer) checkpoint(n int) {
	old := p.last
	p.last = filepath.Join(p.folder, fmt.Sprint("map-", n))
	f, err := os.Create(p.last)
	check(err)
	w := bufio.NewWriterSize(f, 1<<20)
	check(gob.NewEncoder(w).Encode(p.m))
	check(w.Flush())
	check(f.Sync())
	info, err := f.Stat()
	check(err)
	p.wrote = info.Size()
	check(f.Close())
	if old != "" {
		check(os.Remove(old))
	}
}

func (p *mapPeer) written() int64 { return p.wrote }

func (p *mapPeer) reopen(key uint64) uint64 {
	p.m = nil
	f, err := os.Open(p.last)
	check(err)
	defer f.Close()
	check(gob.NewDecoder(bufio.NewReaderSize(f, 1<<20)).Decode(&p.m))
	v := p.m[key]
	return binary.LittleEndian.Uint64(v[:])
}

func (p *mapPeer) close() {}

// filesOf lists the regular files below a folder, with their sizes.
func filesOf(folder string) map[string]int64 {
	files := map[string]int64{}
	check(filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		files[e.Name()] = info.Size()
		return err
	}))
	return files
}

// grown counts the bytes of files that were not in an earlier list. A store's own files keep their names in a checkpoint.
func grown(before, now map[string]int64) (n int64) {
	for name, size := range now {
		n += max(size-before[name], 0)
	}
	return n
}
