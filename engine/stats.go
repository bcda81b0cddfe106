package engine

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// Stats are the counters of a run. Counts go back, with the state, to those of the restored checkpoint after a restart,
// so that at the end each record has been counted once.
type Stats struct {
	RecordsIn  int64 // read from sources
	RecordsOut int64 // written to sinks
	Late       int64 // came after their window was closed
	Skipped    int64 // malformed and left out by a source
	Watermark  Time  // the least of all sources
	Restarts   int
	Completed  int64 // checkpoints
	InProgress int   // checkpoints, 0 or 1
	Failed     int64 // checkpoints given up
	Expired    int64 // those of them that took longer than the timeout
	Last       Checkpoint
	Restored   time.Time // when an attempt last started from a checkpoint; zero: none has
	Pages      int64     // of state, 4 KiB each
	Resident   int64     // those of them that are in memory
	Loading    bool      // restored state is still being read and verified
	Operators  []OperatorStats

	// Stalled is how long subtasks have waited, all together, because storage was behind and the memory for lines of the
	// checkpoint in flight was full: without a memory limit the one way in which a checkpoint slows records down. It goes on
	// over restarts.
	Stalled time.Duration

	Evictions    int64         // groups of 16 pages that were dropped from memory at its limit
	MemoryWaits  int64         // how often there was nothing to evict, so that a checkpoint was asked for
	MemoryWaited time.Duration // how long subtasks waited for those, in sum
}

// OperatorStats are the counters of one source, sink or stateful operator.
type OperatorStats struct {
	UID, Kind     string
	In, Out       int64
	Late, Skipped int64
	Pages         int64         // of state, 4 KiB each
	Resident      int64         // those of them that are in memory
	Watermark     Time          // the least of its subtasks
	Inputs        []InputStats  // in the order of its arguments: why its windows are still open
	Splits        []SplitStats  // of a source
	StartDelay    time.Duration // of the newest barrier, from its trigger to its arrival at the operator's task: the longest
	Alignment     time.Duration // of the newest barrier, from its first arrival at a subtask to its last: the longest
	Stalled       time.Duration // in this attempt, as in Stats
}

// nodeStats are one subtask's counters of one node. The subtask writes them, at the end of a batch; anyone may read.
type nodeStats struct {
	node          *node
	base          counts // of subtask 0: what the restored checkpoint had counted
	in, out       atomic.Int64
	late, skipped atomic.Int64
	pages         atomic.Int64 // of state
	resident      atomic.Int64
	stalled       atomic.Int64 // nanoseconds
	evictions     atomic.Int64
	memoryWaits   atomic.Int64
	memoryWaited  atomic.Int64 // nanoseconds
	watermark     atomic.Int64
	splits        atomic.Pointer[[]*splitStats] // of a source
}

// counts are the counters that a checkpoint keeps.
type counts struct{ in, out, late, skipped int64 }

func (c counts) plus(d counts) counts {
	return counts{c.in + d.in, c.out + d.out, c.late + d.late, c.skipped + d.skipped}
}

func (s *nodeStats) counts() counts {
	return s.base.plus(counts{s.in.Load(), s.out.Load(), s.late.Load(), s.skipped.Load()})
}

// nodeCount is what a subtask has counted up to a barrier.
type nodeCount struct {
	node   *node
	counts counts
}

// String is how a checkpoint's notes carry counts.
func (c counts) String() string {
	return fmt.Sprintf("in=%d out=%d late=%d skipped=%d", c.in, c.out, c.late, c.skipped)
}

func parseCounts(s string) (c counts) {
	// A note that does not parse counts as nothing: counters are no state.
	fmt.Sscanf(s, "in=%d out=%d late=%d skipped=%d", &c.in, &c.out, &c.late, &c.skipped)
	return c
}

func countsNote(uid string) string { return "pagetide.counts." + strconv.Quote(uid) }

// statsOf makes the counters of a node in the subtask that is being built.
func (st *subtask) statsOf(n *node) *nodeStats {
	s := &nodeStats{node: n}
	s.watermark.Store(int64(MinTime))
	if st.index == 0 {
		s.base = st.a.restored.counts(n.uid)
	}
	st.stats = append(st.stats, s)
	st.a.stats = append(st.a.stats, s)
	return s
}

// report sums the subtasks' counters, nodes in graph order.
func (a *attempt) report() (all Stats) {
	all.Watermark = MaxTime
	if a.coord != nil {
		all.InProgress = int(a.coord.inFlight.Load())
	}
	all.Loading = a.loading != nil && !a.loading.done.Load()
	for _, n := range a.job.nodes {
		op, found := OperatorStats{UID: n.uid, Kind: n.kind, Watermark: MaxTime}, false
		var sum counts
		for _, s := range a.stats {
			if s.node == n {
				found = true
				sum = sum.plus(s.counts())
				op.Watermark = min(op.Watermark, Time(s.watermark.Load()))
				op.Pages += s.pages.Load()
				op.Resident += s.resident.Load()
				op.Stalled += time.Duration(s.stalled.Load())
				all.Evictions += s.evictions.Load()
				all.MemoryWaits += s.memoryWaits.Load()
				all.MemoryWaited += time.Duration(s.memoryWaited.Load())
			}
		}
		if !found {
			continue
		}
		op.Inputs, op.Splits = a.inputsOf(n), a.splitsOf(n)
		a.barriers(&op, n)
		op.In, op.Out, op.Late, op.Skipped = sum.in, sum.out, sum.late, sum.skipped
		all.Operators = append(all.Operators, op)
		all.Late += sum.late
		all.Skipped += sum.skipped
		all.Pages += op.Pages
		all.Resident += op.Resident
		all.Stalled += op.Stalled
		switch {
		case n.source != nil:
			all.RecordsIn += sum.in
			all.Watermark = min(all.Watermark, op.Watermark)
		case n.sink != nil:
			all.RecordsOut += sum.in
		}
	}
	return all
}
