package enginetest

import (
	"context"
	"errors"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// step is one call of a harness.
type step[In any] struct {
	kind        stepKind
	at          time.Time
	rec         In
	by          time.Duration
	parallelism int // to restart at
}

type stepKind uint8

const (
	pushed stepKind = iota
	watermark
	advanced
	restarted
	ended
)

// item is what the feed of a harness carries. A mark moves time and is no record.
type item[In any] struct {
	at   time.Time
	rec  In
	mark bool
}

func (i item[In]) time() time.Time { return i.at }

// The splits of the feed. The time of a source is the least of its splits. That of the records is far away from the
// beginning, by a mark, so that the marks of the clock alone move time.
const (
	records = 0
	clock   = 1
)

// farAway is about the latest time that a record may carry.
const farAway = engine.MaxTime - engine.Time(2*time.Second)

// build makes the graph: the records of the feed, the operator, and what collects its outputs.
func (h *Harness[In, Out]) build(job *engine.Job) {
	all := engine.From[item[In]](job, "feed", h.feed, engine.EventTime(item[In].time, engine.OutOfOrder(0)))
	only := engine.Filter(all, func(i item[In]) bool { return !i.mark })
	out := h.graph(engine.Map(only, func(i item[In]) In { return i.rec }))
	engine.To(out, "enginetest.out", h.main.sink())
	for _, s := range h.sides {
		s.attach(out)
	}
}

// take carries a step out. It returns when the operator has worked it off.
func (h *Harness[In, Out]) take(s step[In]) error {
	switch s.kind {
	case pushed:
		h.feed.Add(records, item[In]{at: s.at, rec: s.rec})
	case watermark:
		h.feed.Add(clock, item[In]{at: s.at.Add(1), mark: true}) // a source's watermark is just before its records
	case advanced:
		h.clock.Advance(s.by)
	case restarted:
		return h.restart(s.parallelism)
	case ended:
		h.feed.End()
		return h.run.Wait()
	}
	return h.settle()
}

// settle waits until the operator has worked off the feed, and takes a checkpoint: its barrier follows all records.
func (h *Harness[In, Out]) settle() error {
	h.feed.drained(h.run.Done())
	_, err := h.run.Checkpoint(context.Background())
	if err == nil {
		return nil
	}
	if failed := h.run.Wait(); failed != nil { // no failure is followed by a restart
		err = failed
	}
	h.run = nil
	return err
}

func (h *Harness[In, Out]) restart(parallelism int) error {
	_, err := h.run.Stop(context.Background())
	h.run = nil
	if err != nil {
		return err
	}
	h.parallelism = parallelism
	return h.start()
}

// back takes back a push that has failed: the operator goes on from the checkpoint before.
func (h *Harness[In, Out]) back() error {
	n := 1 // the mark
	for _, s := range h.steps {
		if s.kind == pushed {
			n++
		}
	}
	h.feed.cut(records, n)
	return h.start()
}

// again does everything once more, from the beginning.
func (h *Harness[In, Out]) again() error {
	err := h.begin()
	for _, s := range h.steps {
		if err == nil {
			err = h.take(s)
		}
	}
	return errors.Join(err)
}
