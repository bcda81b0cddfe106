package engine

import "time"

// The reader of a split has two batches, and fills one while the task works on the other. Where reading is quick beside the
// work, it has one: the records then stay in the cache of the core that has read them, and no second core is
// woken for what is little to do.
//
//	reader ─► filled ─► task         kept: worked off, for the reader to have when it may read on
//	  ▲                  │
//	  └──── free ◄───────┘

// quickRead is how many times as long as a read the work on its records takes for the read to be quick.
const quickRead = 8

// quick says whether reading is, beside the work on what was read. A simulator chooses.
func (a *attempt) quick(read, work time.Duration) bool {
	if a.world != nil {
		return a.world.Number()%2 == 0
	}
	return work > quickRead*read
}

// batches are those of a split. The task's goroutine uses them, but for free.
type batches[T any] struct {
	free  chan *Batch[T] // for the reader to fill
	kept  []*Batch[T]    // worked off, and not for the reader yet
	lent  int            // those that the reader has, or has filled
	quick bool           // reading is, beside the work
}

func newBatches[T any](size func() int) batches[T] {
	return batches[T]{free: make(chan *Batch[T], 2), kept: []*Batch[T]{newBatch[T](size()), newBatch[T](size())}}
}

// keep is the end of the work on a batch.
func (b *batches[T]) keep(worked *Batch[T]) {
	b.kept = append(b.kept, worked)
	b.lent--
}

// lend gives the reader what it may fill now.
func (b *batches[T]) lend() {
	for len(b.kept) > 0 && (b.lent == 0 || !b.quick) {
		n := len(b.kept) - 1
		b.free <- b.kept[n]
		b.kept = b.kept[:n]
		b.lent++
	}
}
