package engine

import (
	"fmt"
	"time"
)

// WindowOption refines a [Window]: when it fires, besides at its end.
type WindowOption func(*rule)

// AllowedLateness keeps windows for a while after their end: a record that comes until the watermark has passed the end by
// d fires its window at once and again, with all that is in it by then. What comes later still is late. A result that
// follows another one replaces it, or those of all sessions that the record has joined; it carries the last instant of
// its window, so that it is itself late to windows further down. d must not be negative, zero is as without it, and it
// must stay as it is from run to run.
func AllowedLateness(d time.Duration) WindowOption { return func(r *rule) { r.lateness = d } }

// FireEvery has windows give their results so far, too, every d of processing time as long as records come: when the job's
// clock reaches a multiple of d, counted from 1970-01-01 UTC, each open window fires that has taken a record in since. The
// results carry the time that the last one would if no other record came; each replaces the one before. d must be
// positive; it may change between two runs, but not come or go.
func FireEvery(d time.Duration) WindowOption {
	return func(r *rule) { r.early, r.every = true, d }
}

// rule is when windows fire.
type rule struct {
	lateness time.Duration
	early    bool
	every    time.Duration // if early
}

func ruleOf(o []WindowOption) (r rule) {
	for _, opt := range o {
		opt(&r)
	}
	return r
}

// usual says that windows fire at their end, and are gone.
func (r rule) usual() bool { return r.lateness == 0 && !r.early }

// fault is what is wrong with the rule, empty if nothing is.
func (r rule) fault(a Assigner) string {
	switch {
	case r.lateness < 0:
		return fmt.Sprintf("allowed lateness of %s: it must not be negative", r.lateness)
	case r.early && r.every <= 0:
		return fmt.Sprintf("early results every %s: want a positive duration", r.every)
	case r.lateness > 0 && a.clock:
		return "in processing time nothing is late: it takes no AllowedLateness"
	case r.lateness > 0 && a.kind == kindCount:
		return "a count window has no time to be late for: it takes no AllowedLateness"
	}
	return ""
}

// fingerprint is what the state depends on.
func (r rule) fingerprint() (s string) {
	if r.lateness > 0 {
		s += fmt.Sprintf(", up to %s late", r.lateness)
	}
	if r.early {
		s += ", with early results"
	}
	return s
}

// tell notes what the fingerprint leaves out.
func (r rule) tell(n *node) {
	if r.early {
		n.declared = append(n.declared, fmt.Sprintf("early results every %s of processing time", r.every))
	}
}
