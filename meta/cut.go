package meta

import "context"

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

// Verdict is the outcome of a cut.
type Verdict struct {
	Err   error // nil: committed, and the store's pages are clean relative to Base
	Base  Base  // the checkpoint now committed, if Err is nil
	Whole bool  // ask the next freeze to carry every page, so that older data files can go
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
