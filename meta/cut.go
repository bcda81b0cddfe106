package meta

import (
	"context"
	"iter"
)

// Base names the committed checkpoint that a cut is the difference to. The zero Base is "nothing": such a cut holds
// every page.
type Base struct {
	Job        JobID
	Checkpoint CheckpointID
}

// Head says which lines of which page follow in a [Chunk].
type Head struct {
	Shard ShardID
	Page  PageNo
	Mask  LineMask // never empty
}

// Chunk is a batch of gathered pages. Lines holds the lines of all heads, one after the other, in ascending line
// order within a page: Mask.Lines()*LineSize bytes for each head.
type Chunk struct {
	Heads []Head
	Lines []byte
}

// Cut is the frozen set that one barrier leaves behind in one store: the lines written since the cut before it.
//
// Two parties share a cut. The owner is the goroutine that owns the store; it gathers frozen lines between batches of
// work and calls Wait. The writer is any one other goroutine; it calls Next until io.EOF and then Done, once. Every
// page appears in at most one chunk.
type Cut interface {
	// Base is the checkpoint that the cut builds on.
	Base() Base

	// Operator is the operator whose state was frozen.
	Operator() OperatorNo

	// States describes the store's states. The result must not be changed.
	States() []State

	// Hash gives the name and seed of the key hash, and the number of key groups.
	Hash() (name string, seed uint64, keyGroups int)

	// Next returns the next chunk, waiting until the owner has gathered it. It returns io.EOF after the last one,
	// ctx's error, or ErrAborted when the owner gave the cut up. The chunk is the caller's until Release.
	Next(ctx context.Context) (*Chunk, error)

	// Release gives a chunk back. Only released chunks make room in the owner's budget of saved lines.
	Release(*Chunk)

	// Shards describes every shard that owns pages, in ascending order, as of the cut. It is valid once Next has
	// returned io.EOF.
	Shards() []Shard

	// Done tells the owner how it ended. The owner takes the verdict in when it next calls Wait or Freeze.
	// It may be called at any time, also before all chunks were taken: the cut is then aborted.
	Done(Verdict)

	// Wait is for the owner: it gathers what is left, waits for the verdict, takes it in and returns its error.
	Wait(ctx context.Context) error
}

// LoaderWanter is a [Cut] that may ask for a loader of the checkpoint that it becomes part of.
type LoaderWanter interface {
	Cut
	WantsLoader() bool
}

// Verdict is the outcome of a cut.
type Verdict struct {
	Err  error // nil: committed, and the store's pages are clean relative to Base
	Base Base  // the checkpoint now committed, if Err is nil

	// What the next freeze should carry, written or not, so that older data files can go: every page, in a cut that is
	// then a difference to nothing; whole pages; lines. Pages that do not exist and shards of other stores are ignored.
	Whole bool
	Pages []Stretch
	Lines []Head

	// Loader reads the checkpoint Base, for a [LoaderWanter] that asked; nil if there is none to be had. The owner closes
	// it, if it is an io.Closer, when it has no use for it any more.
	Loader Loader
}

// Stretch is a run of pages of one shard.
type Stretch struct {
	Shard ShardID
	First PageNo
	Count uint32
}

// Loader brings the pages of a checkpoint back. Its methods may be called by several goroutines at once.
type Loader interface {
	// Base is the checkpoint that is being restored.
	Base() Base

	// Hash gives the name and seed of the key hash, and the number of key groups, that the state was built with.
	Hash() (name string, seed uint64, keyGroups int)

	// States describes the states of an operator, none if the checkpoint does not know it.
	States(OperatorNo) []State

	// Shards describes the shards of an operator that own pages, in ascending order.
	Shards(OperatorNo) []Shard

	// Load fills dst with consecutive pages of a shard from first on; len(dst) is a multiple of PageSize and the range
	// must lie within the shard's pages. Every byte has been verified when it returns nil.
	Load(ctx context.Context, shard ShardID, first PageNo, dst []byte) error
}

// Ordered is a [Loader] that knows in which order a restored job will want its pages.
type Ordered interface {
	Loader

	// Order names groups of pages of an operator by a page in each, those with the newest changes first. It may name a
	// group more than once or not at all, and ends early where it cannot go on.
	Order(OperatorNo) iter.Seq2[ShardID, PageNo]
}

// WholeWanter is a [Loader] that may ask for everything: the first cut of a store that is opened from it then holds every
// page, and is a difference to nothing.
type WholeWanter interface {
	Loader
	WantsWhole() bool
}

// StateKind says how a state is kept in pages.
type StateKind uint8

// The kinds of state. The numbers are part of the format.
const (
	KindCell  StateKind = 1 // key to a flat value, updated in place
	KindBytes StateKind = 2 // key to a byte string: codec values
	KindIndex StateKind = 3 // ordered (time, key)
)

// String names the kind in messages.
func (k StateKind) String() string {
	switch k {
	case KindCell:
		return "cell"
	case KindBytes:
		return "bytes"
	case KindIndex:
		return "index"
	}
	return "unknown"
}

// State describes one state of an operator.
type State struct {
	No   uint16 // its slot in every shard, from zero; never reused while the operator lives
	Kind StateKind
	Name string // unique in the operator
	Key  string // fingerprint of the key type
	Type string // fingerprint of the value type; empty for an index
}

// Shard describes one shard as of a checkpoint.
type Shard struct {
	ID     ShardID
	Pages  uint32 // pages 0..Pages-1 exist
	States []ShardState
}

// ShardState describes one state within a shard.
type ShardState struct {
	No       uint16
	Entries  uint64
	Earliest int64 // of an index that has entries: its first time, in nanoseconds
}
