package meta

// Version is the format that this release writes. Later releases read it.
const Version = 1

// FileName is the name of a checkpoint's metadata inside its folder.
const FileName = "_metadata"

// MaxSize bounds a metadata file, and MaxEmbedded the pages in it, in bytes.
const (
	MaxSize     = 64 << 20
	MaxEmbedded = 48 << 20
)

// Metadata is everything a checkpoint says about itself. Its durable appearance under its final name is the commit of
// the checkpoint; all else is named from here.
type Metadata struct {
	Job     JobID
	Name    string // the job's name
	ID      CheckpointID
	Attempt Attempt
	Created int64 // wall clock, nanoseconds since 1970; informative

	Args  []string          // the effective arguments of the job
	Notes map[string]string // the embedding program's own

	HashName  string
	HashSeed  uint64
	KeyGroups uint16
	Sweep     Hand   // where the cleaning of old pages goes on
	Owed      uint64 // bytes that it has yet to write for what was written fresh

	Files     []DataFile // the chain, oldest first
	Operators []Operator
	Sources   []Source
	Sinks     []Sink

	Embedded []byte // the bytes of a delta file without a name, which is then the only one in Files
}

// DataFile names one delta file of the chain and pins its content: Root hashes the file's index, the index hashes its
// blocks.
type DataFile struct {
	Name       string // bare: no separators; empty if the bytes are in Metadata.Embedded
	Checkpoint CheckpointID
	Size       int64
	RootOffset int64
	RootSize   int64
	RootHash   uint64
	Hand       Hand // where the sweep stood when the file had been written
}

// Embedded says that the file's bytes lie in the metadata.
func (f DataFile) Embedded() bool { return f.Name == "" }

// Operator describes a stateful operator.
type Operator struct {
	No          OperatorNo
	UID         string
	Kind        string // "process", "window" ...
	Fingerprint string // what must not change: kind, window, timers, key type
	Parallelism uint16
	Watermark   int64            // the least of its subtasks, nanoseconds; MinInt64 before the first
	Watermarks  []GroupWatermark // by first key group, from 0 on; none if those of all subtasks are the same
	States      []State
	Shards      []Shard
}

// GroupWatermark is the watermark of a subtask that owned key groups, up to the next one's first.
type GroupWatermark struct {
	First KeyGroup
	Time  int64
}

// Source describes how far a source has been read.
type Source struct {
	UID    string
	Splits []Split
}

// Split is a part of a source with its position.
type Split struct {
	ID       string
	Position string // just after the last record that this checkpoint contains
	MaxTime  int64  // the largest event time seen, nanoseconds; MinInt64 before the first
	Done     bool   // read to its end
}

// Sink names the transactions that were prepared and whose commit was not yet acknowledged.
type Sink struct {
	UID  string
	Txns []Txn
}

// Txn is one prepared transaction.
type Txn struct {
	Checkpoint CheckpointID // the checkpoint it was prepared for
	Subtask    uint16
	Handle     []byte
}
