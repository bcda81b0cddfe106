package enginetest

import (
	"errors"
	"fmt"
	"path"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// comeback is how a world goes on from a savepoint, or from a checkpoint that is not the newest.
type comeback struct {
	path   string // of the savepoint
	what   string
	gone   bool // the job's directory was removed
	fresh  bool // the job discards what is in its directory
	rewind bool // the job goes back
	begun  bool // a life has tried
	worked bool // a life has restored it: from here on the job's own checkpoints are newer
}

// stopped chooses how the job goes on after it was stopped with a savepoint: from that, mostly.
func (w *world) stopped(at string) {
	w.sum.Savepoints++
	c := &comeback{path: at}
	switch w.rnd.IntN(4) {
	case 0:
		return // from its own checkpoint, as ever
	case 1:
		c.what = "beside its checkpoints"
	case 2:
		c.what, c.fresh = "and discards its checkpoints", true
	case 3:
		c.what, c.gone = "without its directory", true
	}
	if c.fresh || c.gone {
		w.home++
	}
	w.comeback = c
	w.branchOff(w.history)
}

// restore is what the next life starts from.
func (w *world) restore() engine.Restore {
	c := w.comeback
	if c == nil {
		return engine.Resume()
	}
	if c.gone {
		if err := removeAll(w.disk, w.path()); err != nil {
			panic(fmt.Sprintf("enginetest: %v", err)) // a disk in memory
		}
		c.gone = false
	}
	w.tell("the job goes on from its savepoint %s", c.what)
	return engine.Restore{Path: c.path, Fresh: c.fresh, Rewind: c.rewind}
}

// own says whether an error is that the directory has what a life was to start from, by a life before it.
func (c *comeback) own(err error) bool {
	return c.begun && !c.fresh && !c.rewind && (errors.Is(err, meta.ErrExists) || errors.Is(err, meta.ErrNotNewest))
}

// after looks at what a life has made of the savepoint that it was to start from. One that was killed before anything was
// restored is followed by one that does the same, unless the directory has it already.
func (c *comeback) after(err error) (over bool) {
	own := c.own(err)
	c.begun = true
	return c.worked || own
}

// removeAll removes a directory with everything in it; one that does not exist is gone.
func removeAll(fsys vfs.FS, name string) error {
	names, err := fsys.List(name)
	if err != nil {
		return fsys.Remove(name)
	}
	for _, n := range names {
		if err := removeAll(fsys, path.Join(name, n)); err != nil {
			return err
		}
	}
	return fsys.Remove(name)
}

// save has somebody make a savepoint of the job, or stop it with one.
func (l *life) save() {
	if l.w.rnd.IntN(3) == 0 {
		l.mark()
		return
	}
	r := l.running
	if r == nil {
		return
	}
	task, folder := l.saver()
	l.w.tell("%s is to stop with a savepoint", task)
	go func() {
		_, err := r.StopWithSavepoint(l.ctx, folder)
		l.Step(task, fmt.Sprintf("is served: stopped with a savepoint, failed %t", err != nil))
	}()
}

// saver names somebody who makes a savepoint, and its folder.
func (l *life) saver() (task, folder string) {
	l.asked++
	return fmt.Sprintf("request %d", l.asked), fmt.Sprintf("savepoints/%d-%d", l.w.sum.Steps+l.steps, l.asked) // two may ask in one step
}

// mark has somebody make a savepoint that the job goes on from.
func (l *life) mark() {
	r := l.running
	if r == nil {
		return
	}
	task, folder := l.saver()
	l.w.tell("%s is for a savepoint", task)
	go func() {
		cp, err := r.Savepoint(l.ctx, folder)
		lost := l.wait(task, fmt.Sprintf("is served: savepoint of checkpoint %d, failed %t", cp.ID, err != nil), false)
		if err == nil && lost == nil {
			l.w.keep(cp.Path, cp.ID)
		}
	}()
}
