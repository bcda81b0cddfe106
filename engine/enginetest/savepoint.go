package enginetest

import (
	"errors"
	"fmt"
	"path"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// comeback is how a world goes on from a savepoint that its job was stopped with.
type comeback struct {
	path   string // of the savepoint
	what   string
	gone   bool // the job's directory was removed
	fresh  bool // the job discards what is in its directory
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
	w.comeback = c
}

// restore is what the next life starts from.
func (w *world) restore() engine.Restore {
	c := w.comeback
	if c == nil {
		return engine.Resume()
	}
	if c.gone {
		if err := removeAll(w.disk, path.Join(dir, jobName)); err != nil {
			panic(fmt.Sprintf("enginetest: %v", err)) // a disk in memory
		}
		c.gone = false
	}
	w.tell("the job goes on from its savepoint %s", c.what)
	return engine.Restore{Path: c.path, Fresh: c.fresh}
}

// after looks at what a life has made of the savepoint that it was to start from. One that was killed before anything was
// restored is followed by one that does the same, unless the directory has it already.
func (c *comeback) after(err error) (over bool) {
	own := c.begun && !c.fresh && (errors.Is(err, meta.ErrExists) || errors.Is(err, meta.ErrNotNewest))
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
	r := l.running
	if r == nil {
		return
	}
	l.asked++
	task, folder := fmt.Sprintf("request %d", l.asked), fmt.Sprintf("savepoints/%d", l.w.sum.Steps+l.steps)
	if l.w.rnd.IntN(3) > 0 {
		l.w.tell("%s is to stop with a savepoint", task)
		go func() {
			_, err := r.StopWithSavepoint(l.ctx, folder)
			l.Step(task, fmt.Sprintf("is served: stopped with a savepoint, failed %t", err != nil))
		}()
		return
	}
	l.w.tell("%s is for a savepoint", task)
	go func() {
		cp, err := r.Savepoint(l.ctx, folder)
		l.Step(task, fmt.Sprintf("is served: savepoint of checkpoint %d, failed %t", cp.ID, err != nil))
	}()
}
