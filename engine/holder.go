package engine

import (
	"slices"
	"sync/atomic"
	"time"
)

// SplitState says what a split does.
type SplitState string

// The states of a split.
const (
	SplitReads SplitState = "reading"
	SplitIdle  SplitState = "idle"    // silent for too long: time goes on without it
	SplitWaits SplitState = "waiting" // ahead of its group by too much: it is not read
	SplitEnded SplitState = "ended"
)

// SplitStats say how far a split has come.
type SplitStats struct {
	Source    string // the uid
	ID        string
	State     SplitState
	Watermark Time      // MinTime before its first record
	Heard     time.Time // of the last record, or when its reading began, by the job's clock
}

// InputStats are of one stream that an operator reads.
type InputStats struct {
	From      string     // the operator that it comes from
	Watermark Time       // the least that the sources behind it have sent
	HeldBy    SplitStats // of all splits behind it, the one whose time the others wait for; without ID there is none
}

// splitStats are written by the split's task, once for a batch.
type splitStats struct {
	id        string
	state     atomic.Uint32 // an index of splitStates
	watermark atomic.Int64
	heard     atomic.Int64
}

const (
	reads uint32 = 0
	idles uint32 = 1
	waits uint32 = 2
	ended uint32 = 3
)

var splitStates = [...]SplitState{reads: SplitReads, idles: SplitIdle, waits: SplitWaits, ended: SplitEnded}

// tell publishes where the splits stand.
func (s *sourceTask[T]) tell() {
	for _, p := range s.splits {
		state := reads
		switch {
		case p.done:
			state = ended
		case p.asleep:
			state = idles
		case p.ahead:
			state = waits
		}
		p.stats.state.Store(state)
		p.stats.watermark.Store(int64(s.times.after(p.maxTime)))
		p.stats.heard.Store(p.heard.UnixNano())
	}
}

// splitsOf lists the splits of a source.
func (a *attempt) splitsOf(n *node) (all []SplitStats) {
	for _, s := range a.stats {
		list := s.splits.Load()
		if s.node != n || list == nil {
			continue
		}
		for _, p := range *list {
			all = append(all, SplitStats{Source: n.uid, ID: p.id, State: splitStates[p.state.Load()],
				Watermark: Time(p.watermark.Load()), Heard: time.Unix(0, p.heard.Load())})
		}
	}
	return all
}

// inputsOf says what each input of a node waits for.
func (a *attempt) inputsOf(n *node) (all []InputStats) {
	for _, e := range n.ins {
		in := InputStats{From: e.from.node.uid, Watermark: MaxTime}
		if in.From == "" {
			in.From = e.from.node.label()
		}
		for _, src := range e.from.node.sources(nil) {
			a.hold(&in, src)
		}
		all = append(all, in)
	}
	return all
}

// hold takes one source into account.
func (a *attempt) hold(in *InputStats, src *node) {
	for _, s := range a.stats {
		if s.node == src {
			in.Watermark = min(in.Watermark, Time(s.watermark.Load()))
		}
	}
	for _, p := range a.splitsOf(src) {
		awake := p.State == SplitReads || p.State == SplitWaits
		if awake && (in.HeldBy.ID == "" || p.Watermark < in.HeldBy.Watermark) {
			in.HeldBy = p
		}
	}
}

// sources adds the sources that a node's records come from.
func (n *node) sources(found []*node) []*node {
	if n.source != nil && !slices.Contains(found, n) {
		found = append(found, n)
	}
	for _, e := range n.ins {
		found = e.from.node.sources(found)
	}
	return found
}
