package engine

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
	"unsafe"
)

// Source reads records from outside. It must be replayable: reading a split again from a position that one of its
// readers reported gives the same records in the same order. One Source value serves all subtasks and all attempts of a
// job; its methods may be called concurrently.
type Source[T any] interface {
	// Splits lists the parts that can be read side by side, at the start of every attempt; their ids must be unique.
	// final says that no further ones will appear: the input ends when all of them do.
	Splits(ctx context.Context) (s []Split, final bool, err error)

	// Open starts to read a split, from its beginning if the position is empty, else from there on. It and Read are
	// called by a goroutine that does nothing else, so both may block until ctx ends.
	Open(ctx context.Context, s Split, from Position) (Reader[T], error)
}

// Reader reads one split. It is used by one goroutine at a time.
type Reader[T any] interface {
	// Read adds records to the batch until it is full or no more are at hand, waiting for at least one. It returns
	// io.EOF itself at the end of the split, with or without records added, and nil when ctx ends. Any other error ends the
	// attempt, also one that wraps io.EOF, as that of a connection which was cut; wrap it in Permanent if reading again
	// cannot help.
	Read(ctx context.Context, b *Batch[T]) error

	// Position is the place just after the last record added.
	Position() Position

	// Close ends the reading. Its error is ignored: what was read is accounted for by positions.
	Close() error
}

// Split names a part of a source: a file, a partition.
type Split struct{ ID string }

// Position is a printable place in a split, understood by the source that made it. The empty Position is the beginning.
type Position string

// batchSize is how many records travel together, at most; also how many are read at a time at first.
const batchSize = 256

// Reading more at a time wakes reader and task less often. A barrier waits for the work on what was read at a time, so that
// is to take about readFor.
const (
	readFor   = 250 * time.Microsecond
	readMost  = 32 * batchSize // records
	readBytes = 256 << 10      // the records themselves, without what they refer to
)

// Batch is the room that a Reader fills. Pointers into it are valid until Read returns.
type Batch[T any] struct {
	recs    []T
	skipped int64
	_       apart
}

func newBatch[T any](size int) *Batch[T] { return &Batch[T]{recs: make([]T, 0, size)} }

// Next adds a zero record and returns it to be filled, or nil if the batch is full.
func (b *Batch[T]) Next() *T {
	if len(b.recs) == cap(b.recs) {
		return nil
	}
	b.recs = b.recs[:len(b.recs)+1] // what lies behind is zero
	return &b.recs[len(b.recs)-1]
}

// Undo takes the last record back, for a reader that finds it malformed after all.
func (b *Batch[T]) Undo() {
	clear(b.recs[len(b.recs)-1:])
	b.recs = b.recs[:len(b.recs)-1]
}

// Skip counts a malformed record that was left out.
func (b *Batch[T]) Skip() { b.skipped++ }

// Len is the number of records added so far.
func (b *Batch[T]) Len() int { return len(b.recs) }

// Full says whether Next would return nil.
func (b *Batch[T]) Full() bool { return len(b.recs) == cap(b.recs) }

// Records returns what was added. The slice is valid until the batch is reset.
func (b *Batch[T]) Records() []T { return b.recs }

// suit makes the batch smaller or larger for the next Read, now that the work on it took some time.
func (b *Batch[T]) suit(took time.Duration) {
	n, size := cap(b.recs), max(int(unsafe.Sizeof(*new(T))), 1)
	switch {
	case took > 4*readFor && n > batchSize:
		b.recs = make([]T, 0, n/2)
	case took < readFor/2 && b.Full() && 2*n <= min(readMost, readBytes/size):
		b.recs = make([]T, 0, 2*n)
	}
}

// Reset empties the batch for the next Read.
func (b *Batch[T]) Reset() {
	clear(b.recs)
	b.recs, b.skipped = b.recs[:0], 0
}

// NewBatch returns an empty batch, for tests of a Reader.
func NewBatch[T any]() *Batch[T] { return newBatch[T](batchSize) }

// SliceSource reads the given records, once, in order. It is one split; its position is the index of the next record.
func SliceSource[T any](items ...T) Source[T] { return sliceSource[T]{items} }

type sliceSource[T any] struct{ items []T }

func (s sliceSource[T]) Splits(context.Context) ([]Split, bool, error) {
	return []Split{{ID: "slice"}}, true, nil
}

func (s sliceSource[T]) Open(_ context.Context, _ Split, from Position) (Reader[T], error) {
	r := &sliceReader[T]{items: s.items}
	if from == "" {
		return r, nil
	}
	at, err := strconv.Atoi(string(from))
	if err != nil || at < 0 || at > len(s.items) {
		return nil, Permanent(fmt.Errorf("slice position %q: want 0 to %d", from, len(s.items)))
	}
	r.at = at
	return r, nil
}

type sliceReader[T any] struct {
	items []T
	at    int
}

func (r *sliceReader[T]) Read(_ context.Context, b *Batch[T]) error {
	for r.at < len(r.items) {
		rec := b.Next()
		if rec == nil {
			return nil
		}
		*rec = r.items[r.at]
		r.at++
	}
	return io.EOF
}

func (r *sliceReader[T]) Position() Position { return Position(strconv.Itoa(r.at)) }
func (r *sliceReader[T]) Close() error       { return nil }
