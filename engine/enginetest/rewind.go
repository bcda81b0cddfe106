package enginetest

import (
	"fmt"
	"math"
	"path"
	"slices"

	"github.com/pagetide/pagetide/meta"
)

// branch is a part of a job's history: from where it was put back to, or from the beginning, up to a checkpoint.
type branch struct {
	no   int
	upTo meta.CheckpointID // the last whose output counts
}

// history is what has led to where a job stands, oldest first. The last branch is the one that the job is on.
type history []branch

var openEnd = meta.CheckpointID(math.MaxUint64)

// at is the history of a savepoint or checkpoint of the last branch.
func (h history) at(id meta.CheckpointID) history {
	h = slices.Clone(h)
	h[len(h)-1].upTo = id
	return h
}

// has says whether what was written on a branch before the barrier of a checkpoint is part of the history. Without branches
// everything is.
func (h history) has(no int, id meta.CheckpointID) bool {
	return len(h) == 0 || slices.ContainsFunc(h, func(b branch) bool { return b.no == no && id <= b.upTo })
}

// now is the branch that is written.
func (h history) now() int {
	if len(h) == 0 {
		return 0
	}
	return h[len(h)-1].no
}

// output is a sink that can be put back with its job.
type output interface{ follow(h history) }

// opens has a sink follow the history of the job that it belongs to.
func (w *world) opens(s output) {
	if !w.outputs[s] {
		w.outputs[s] = true
		s.follow(w.history)
	}
}

// branchOff begins a new branch at the end of a history.
func (w *world) branchOff(h history) {
	w.branches++
	w.history = append(slices.Clone(h), branch{w.branches, openEnd})
	w.own = map[meta.CheckpointID]bool{}
	for s := range w.outputs {
		s.follow(w.history)
	}
}

// past is a savepoint that the job was not stopped with, or one of its own checkpoints.
type past struct {
	comeback
	id      meta.CheckpointID
	home    int // of the directory that has or had it
	history history
}

// keep notes a savepoint that the job has gone on from.
func (w *world) keep(at string, id meta.CheckpointID) {
	w.kept = append(w.kept, past{comeback{path: at}, id, w.home, w.history.at(id)})
}

// putBack has somebody go back to where the job has gone on from, as far as there is such a place: to a savepoint, or to an
// older checkpoint in the job's directory. The sinks are put back, too.
func (w *world) putBack() bool {
	if w.rewinds == 0 || w.comeback != nil || w.rnd.IntN(2) == 0 {
		return false
	}
	places := append(w.older(), w.kept...)
	if len(places) == 0 {
		return false
	}
	w.rewinds--
	w.sum.Rewinds++
	p := places[w.rnd.IntN(len(places))]
	c := p.comeback
	if c.what == "" {
		c = w.way(p)
	}
	w.tell("the job is put back to checkpoint %d", p.id)
	w.comeback = &c
	w.branchOff(p.history)
	return true
}

// way chooses where a job goes on from a savepoint.
func (w *world) way(p past) comeback {
	ids := w.ids()
	ways := 3
	if p.home == w.home && len(ids) > 0 && p.id <= ids[len(ids)-1] {
		ways = 6
	}
	c := p.comeback
	switch w.rnd.IntN(ways) {
	case 0:
		c.what, c.fresh = "and discards its checkpoints", true
	case 1:
		c.what, c.gone = "without its directory", true
	case 2:
		c.what = "in another directory"
		w.dir = fmt.Sprintf("%s-%d", dir, w.branches+1)
	default:
		c.what, c.rewind = "behind its checkpoints", true
		return c
	}
	w.home++
	return c
}

// ids are the checkpoints in the job's directory, oldest first.
func (w *world) ids() (ids []meta.CheckpointID) {
	names, err := w.disk.List(w.path())
	if err != nil {
		return nil // it was never made, or is gone
	}
	for _, name := range names {
		var id meta.CheckpointID
		if _, err := fmt.Sscanf(name, "chk-%d", &id); err != nil {
			continue
		}
		if f, err := w.disk.Open(path.Join(w.path(), name, meta.FileName)); err == nil {
			f.Close() // read only
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// older are the checkpoints that the job has gone on from on its present branch.
func (w *world) older() (found []past) {
	for _, id := range slices.DeleteFunc(w.ids(), func(id meta.CheckpointID) bool { return !w.own[id] }) {
		c := comeback{path: path.Join(w.path(), fmt.Sprint("chk-", id)), what: "of its own", rewind: true}
		found = append(found, past{c, id, w.home, w.history.at(id)})
	}
	return found[:max(len(found)-1, 0)]
}
