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
	In, Out       int64 // a source sends what it reads; a sink sends nothing
	Late, Skipped int64
	Dropped       int64         // those of Late that are lost: 0 where [Windowed.Late] takes them
	Timers        int64         // that have fired, those of windows included
	Pages         int64         // of state, 4 KiB each
	Resident      int64         // those of them that are in memory
	Watermark     Time          // the least of its subtasks; a sink's is that of its input
	Inputs        []InputStats  // in the order of its arguments: why its windows are still open
	Splits        []SplitStats  // of a source
	StartDelay    time.Duration // of the newest barrier, from its trigger to its arrival at the operator's task: the longest
	Alignment     time.Duration // of the newest barrier, from its first arrival at a subtask to its last: the longest
	Stalled       time.Duration // in this attempt, as in Stats

	Load     Load           // of the subtasks of its task in this attempt, all together: operators that are fused share it
	Recent   Load           // the newest part of that, of the last 5 to 10 seconds, or since Stats was asked for before
	Subtasks []SubtaskStats // by index
}

// SubtaskStats are the counters of one subtask of an operator, in this attempt: a checkpoint keeps those of the operator.
type SubtaskStats struct {
	Index         int
	In, Out       int64
	Late, Skipped int64
	Dropped       int64
	Timers        int64
	Pages         int64
	Resident      int64
	Watermark     Time
	StartDelay    time.Duration
	Alignment     time.Duration
	Load, Recent  Load // of its goroutine
}

// nodeStats are one subtask's counters of one node. The subtask writes them, at the end of a batch; anyone may read.
type nodeStats struct {
	node          *node
	st            *subtask
	base          counts // of subtask 0: what the restored checkpoint had counted
	in, out       atomic.Int64
	late, skipped atomic.Int64
	timers        atomic.Int64
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
type counts struct{ in, out, late, skipped, timers int64 }

func (c counts) plus(d counts) counts {
	return counts{c.in + d.in, c.out + d.out, c.late + d.late, c.skipped + d.skipped, c.timers + d.timers}
}

func (s *nodeStats) counts() counts { return s.base.plus(s.counted()) }

// counted is what the attempt has.
func (s *nodeStats) counted() counts {
	return counts{s.in.Load(), s.out.Load(), s.late.Load(), s.skipped.Load(), s.timers.Load()}
}

// nodeCount is what a subtask has counted up to a barrier.
type nodeCount struct {
	node   *node
	counts counts
}

// String is how a checkpoint's notes carry counts.
func (c counts) String() string {
	return fmt.Sprintf("in=%d out=%d late=%d skipped=%d timers=%d", c.in, c.out, c.late, c.skipped, c.timers)
}

func parseCounts(s string) (c counts) {
	// What does not parse counts as nothing, as timers in older notes do: counters are no state.
	fmt.Sscanf(s, "in=%d out=%d late=%d skipped=%d timers=%d", &c.in, &c.out, &c.late, &c.skipped, &c.timers)
	return c
}

func countsNote(uid string) string { return "pagetide.counts." + strconv.Quote(uid) }

// statsOf makes the counters of a node in the subtask that is being built.
func (st *subtask) statsOf(n *node) *nodeStats {
	s := &nodeStats{node: n, st: st}
	s.watermark.Store(int64(MinTime))
	if st.index == 0 {
		s.base = st.a.restored.counts(n.uid)
	}
	st.stats = append(st.stats, s)
	st.a.stats = append(st.a.stats, s)
	return s
}

// subtask is what there is to say of the subtask alone.
func (s *nodeStats) subtask(now time.Time) SubtaskStats {
	c, b := s.counted(), &s.st.barriers
	t := SubtaskStats{
		Index: s.st.index, In: c.in, Out: c.out, Late: c.late, Skipped: c.skipped, Dropped: s.node.dropped(c.late), Timers: c.timers,
		Pages: s.pages.Load(), Resident: s.resident.Load(), Watermark: Time(s.watermark.Load()),
		StartDelay: time.Duration(b.delay.Load()), Alignment: time.Duration(b.alignment.Load()),
	}
	t.Load, t.Recent = s.st.load.read(now)
	return t
}

// add takes in a subtask, but for what checkpoints keep.
func (op *OperatorStats) add(t SubtaskStats) {
	op.Watermark = min(op.Watermark, t.Watermark)
	op.Pages += t.Pages
	op.Resident += t.Resident
	op.StartDelay, op.Alignment = max(op.StartDelay, t.StartDelay), max(op.Alignment, t.Alignment)
	op.Load, op.Recent = op.Load.plus(t.Load), op.Recent.plus(t.Recent)
	op.Subtasks = append(op.Subtasks, t)
}

// dropped is how many of a node's late records are lost.
func (n *node) dropped(late int64) int64 {
	for _, p := range n.out {
		if p.name == lateName && p.used {
			return 0
		}
	}
	return late
}

// passOn has a source send what it reads.
func (op *OperatorStats) passOn() {
	op.Out = op.In
	for i := range op.Subtasks {
		op.Subtasks[i].Out = op.Subtasks[i].In
	}
}

// report sums the subtasks' counters, nodes in graph order.
func (a *attempt) report() (all Stats) {
	all.Watermark = MaxTime
	if a.coord != nil {
		all.InProgress = int(a.coord.inFlight.Load())
	}
	now := a.o.Clock.Now()
	all.Loading = a.loading != nil && !a.loading.done.Load()
	for _, n := range a.job.nodes {
		op, found := OperatorStats{UID: n.uid, Kind: n.kind, Watermark: MaxTime}, false
		var sum counts
		for _, s := range a.stats {
			if s.node == n {
				found = true
				sum = sum.plus(s.counts())
				op.add(s.subtask(now))
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
		op.In, op.Out, op.Late, op.Skipped, op.Timers = sum.in, sum.out, sum.late, sum.skipped, sum.timers
		op.Dropped = n.dropped(sum.late)
		if n.source != nil {
			op.passOn()
		}
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
