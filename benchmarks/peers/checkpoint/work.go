package main

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"time"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// Values. Wide ones fill large states quickly: eight entries to a page.
type (
	narrow = [16]byte
	wide   = [488]byte
)

// worker updates counters as a task of the engine does: batches of keys that are hashed, hinted at, updated in place;
// between batches it gathers for a moment, and takes in what became of a checkpoint.
type worker struct {
	store   *mmapstate.Store
	cells   *mmapstate.Cells
	keyer   *mmapstate.Keyer[uint64]
	dir     *snapshotter.Dir
	entries uint64
	random  *rand.Rand
	ahead   []uint64 // keys drawn before the clock runs, a power of two of them
	next    int
	numbers [batch]uint64
	keys    [batch]mmapstate.Key
	found   [lookBatch]mmapstate.Found
	busy    bool               // a checkpoint is under way
	infos   []snapshotter.Info // of the checkpoints that have committed
	began   time.Time          // the last one
	done    chan published
}

type published struct {
	info snapshotter.Info
	err  error
}

const (
	batch        = 256
	lookBatch    = 64
	gatherBudget = 20 * time.Microsecond
)

func newWorker[V any](folder string) *worker {
	w := &worker{store: mmapstate.New(mmapstate.Options{}), random: rand.New(rand.NewPCG(1, 2)), done: make(chan published, 1)}
	w.declare(int(unsafe.Sizeof(*new(V))))
	if folder != "" {
		w.open(folder)
	}
	return w
}

func (w *worker) open(folder string) {
	var err error
	w.dir, err = snapshotter.Open(filepath.Join(folder, "job"), snapshotter.Options{})
	check(err)
}

func (w *worker) declare(valueSize int) {
	var err error
	w.keyer, err = mmapstate.NewKeyer[uint64](w.store.HashSeed(), w.store.KeyGroups())
	check(err)
	w.cells, err = w.store.Cells("state", w.keyer.Shape(), valueSize, "benchmark")
	check(err)
}

func (w *worker) close() {
	check(w.store.Close())
	if w.dir != nil {
		check(w.dir.Close())
	}
}

// fill inserts keys until there are so many bytes of pages.
func (w *worker) fill(size int64) {
	for w.store.Stats().Bytes < size {
		w.insert(max(uint64(size>>16), 16))
	}
	w.draw()
}

func (w *worker) insert(n uint64) {
	for range n {
		k := scramble(w.entries)
		w.cells.Ref(w.keyer.Key(&k))
		w.entries++
	}
}

// draw prepares the keys of the updates, uniform over the entries, so that drawing them costs the loop next to nothing.
func (w *worker) draw() {
	w.ahead = make([]uint64, 1<<20)
	for i := range w.ahead {
		w.ahead[i] = scramble(w.random.Uint64N(w.entries))
	}
}

// update is one batch of updates.
func (w *worker) update() {
	copy(w.numbers[:], w.ahead[w.next:w.next+batch])
	w.next = (w.next + batch) & (len(w.ahead) - 1)
	for i := range w.numbers {
		w.keys[i] = w.keyer.Key(&w.numbers[i])
	}
	for i := 0; i < batch; i += lookBatch {
		part := w.keys[i : i+lookBatch]
		w.cells.Look(part, w.found[:])
		for j := range part {
			*(*uint64)(w.cells.RefAt(&w.found[j], &part[j]))++
		}
	}
}

// updates makes n random updates.
func (w *worker) updates(n int) {
	w.draw()
	for range n / batch {
		w.update()
	}
}

// begin starts a checkpoint beside the work, unless the one before is still under way.
func (w *worker) begin() {
	if w.busy {
		return
	}
	cut, err := w.store.Freeze()
	check(err)
	w.busy = true
	go w.publish(cut)
}

func (w *worker) publish(cut meta.Cut) {
	p, err := w.dir.Begin()
	check(err)
	p.Add(cut)
	info, err := p.Publish(context.Background(), &meta.Metadata{})
	if err == nil {
		_, err = w.dir.Retire(context.Background())
	}
	w.done <- published{info, err}
}

// between is what a task does between batches; it tells whether a checkpoint is under way.
func (w *worker) between() bool {
	w.store.Gather(gatherBudget)
	select {
	case p := <-w.done:
		w.ended(p)
	default:
	}
	return w.busy
}

func (w *worker) ended(p published) {
	check(p.err)
	w.busy = false
	w.infos = append(w.infos, p.info)
	_, err := w.store.Settle()
	check(err)
}

// save takes a checkpoint and waits for it.
func (w *worker) save() snapshotter.Info {
	w.settle()
	w.begin()
	w.settle()
	return w.infos[len(w.infos)-1]
}

// settle waits until no checkpoint is under way.
func (w *worker) settle() {
	if !w.busy {
		return
	}
	check(w.store.Cut().Wait(context.Background()))
	w.ended(<-w.done)
}

// scramble spreads numbers over keys, the same way in every run.
func scramble(i uint64) uint64 {
	i = (i ^ i>>31) * 0x7fb5d329728ea185
	i = (i ^ i>>27) * 0x81dadef4bc2dd44d
	return i ^ i>>33
}
