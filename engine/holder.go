package engine

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pagetide/pagetide/meta"
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

func (p *splitStats) read(source string) SplitStats {
	return SplitStats{Source: source, ID: p.id, State: splitStates[p.state.Load()],
		Watermark: Time(p.watermark.Load()), Heard: time.Unix(0, p.heard.Load())}
}

// splitsOf lists the splits of a source.
func (a *attempt) splitsOf(n *node) (all []SplitStats) {
	for _, s := range a.stats {
		list := s.splits.Load()
		if s.node != n || list == nil {
			continue
		}
		for _, p := range *list {
			all = append(all, p.read(n.uid))
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
		in.HeldBy = p.slower(in.HeldBy)
	}
}

// slower is the one of two splits whose time the others wait for.
func (p SplitStats) slower(than SplitStats) SplitStats {
	awake := p.State == SplitReads || p.State == SplitWaits
	if awake && (than.ID == "" || p.Watermark < than.Watermark) {
		return p
	}
	return than
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

// HeldBy says of an operator of a checkpoint what its open windows wait for: of all splits behind it the one with the least
// time, as of the barrier. ok is false if nothing holds it up, or the checkpoint is of a release that did not say.
func HeldBy(m *meta.Metadata, uid string) (s SplitStats, ok bool) {
	var at, heard int64
	_, err := fmt.Sscanf(m.Notes[heldNote(uid)], heldForm, &s.Source, &s.ID, &s.State, &at, &heard)
	s.Watermark, s.Heard = Time(at), time.Unix(0, heard)
	return s, err == nil
}

// heldForm is how a checkpoint's notes carry the split that holds an operator up.
const heldForm = "source=%q split=%q state=%s watermark=%d heard=%d"

func heldNote(uid string) string { return "pagetide.held." + strconv.Quote(uid) }

// heldAt is the split that holds an operator up as of a barrier, as a note; empty if none does.
func heldAt(r *round, n *node) string {
	var held SplitStats
	sources := n.sources(nil)
	for _, k := range r.acks {
		for _, p := range k.stands {
			if slices.ContainsFunc(sources, func(src *node) bool { return src.uid == p.Source }) {
				held = p.slower(held)
			}
		}
	}
	if held.ID == "" {
		return ""
	}
	return fmt.Sprintf(heldForm, held.Source, held.ID, held.State, int64(held.Watermark), held.Heard.UnixNano())
}
