package meta

import (
	"fmt"
	"math/bits"
	"strconv"
)

// Sizes of the units of state. They are part of the format.
const (
	LineSize   = 64                   // bytes in a line, the unit of dirty tracking
	PageLines  = 64                   // lines in a page
	PageSize   = LineSize * PageLines // bytes in a page
	GroupPages = 16                   // pages in a page group, the unit of loading and eviction
	GroupSize  = PageSize * GroupPages

	// MaxKeyGroups bounds a job's maximum parallelism.
	MaxKeyGroups = 4096
)

// JobID identifies a job's directory. It is random, written once, and part of every data file's name.
type JobID uint64

// String is fixed width, so names sort as numbers do.
func (id JobID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseJobID undoes [JobID.String] and accepts nothing else.
func ParseJobID(s string) (JobID, error) {
	if len(s) != 16 {
		return 0, fmt.Errorf("job id %q: want 16 hex digits", s)
	}
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || JobID(v).String() != s {
		return 0, fmt.Errorf("job id %q: want 16 lower-case hex digits", s)
	}
	return JobID(v), nil
}

// CheckpointID numbers the checkpoints of a job, from 1. Ids only grow, across restarts too.
type CheckpointID uint64

// Attempt numbers the executions of a job, from 1. Together with the checkpoint it makes a data file's name unique.
type Attempt uint32

// KeyGroup numbers the groups that keys hash to. A key group never splits.
type KeyGroup uint16

// OperatorNo is the short name of a stateful operator inside a job. It belongs to a uid for ever and is never reused.
type OperatorNo uint16

// ShardID names one key group's state of one operator.
type ShardID uint32

// MakeShardID joins an operator and a key group.
func MakeShardID(op OperatorNo, g KeyGroup) ShardID { return ShardID(op)<<16 | ShardID(g) }

// Operator is the operator whose state the shard holds.
func (s ShardID) Operator() OperatorNo { return OperatorNo(s >> 16) }

// Group is the key group whose state the shard holds.
func (s ShardID) Group() KeyGroup { return KeyGroup(s) }

// String reads "operator/group".
func (s ShardID) String() string { return fmt.Sprintf("%d/%d", s.Operator(), s.Group()) }

// PageNo numbers the pages of one shard, from zero.
type PageNo uint32

// LineMask is a set of a page's lines; bit i is line i.
type LineMask uint64

// AllLines is the mask of a whole page.
const AllLines = ^LineMask(0)

// Lines counts the lines in the set.
func (m LineMask) Lines() int { return bits.OnesCount64(uint64(m)) }
