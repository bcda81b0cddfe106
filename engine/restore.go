package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// restored answers what a checkpoint says about the parts of the job. Its zero value is a fresh start.
type restored struct{ m *meta.Metadata }

func (r restored) operator(uid string) *meta.Operator {
	if r.m != nil {
		for i := range r.m.Operators {
			if r.m.Operators[i].UID == uid {
				return &r.m.Operators[i]
			}
		}
	}
	return nil
}

func (r restored) source(uid string) *meta.Source {
	if r.m != nil {
		for i := range r.m.Sources {
			if r.m.Sources[i].UID == uid {
				return &r.m.Sources[i]
			}
		}
	}
	return nil
}

func (r restored) split(uid, id string) (meta.Split, bool) {
	if s := r.source(uid); s != nil {
		for _, p := range s.Splits {
			if p.ID == id {
				return p, true
			}
		}
	}
	return meta.Split{}, false
}

func (r restored) txns(uid string) (handles []Txn) {
	if r.m == nil {
		return nil
	}
	for _, s := range r.m.Sinks {
		if s.UID == uid {
			for _, t := range s.Txns {
				handles = append(handles, Txn(t.Handle))
			}
		}
	}
	return handles
}

func (r restored) counts(uid string) counts {
	if r.m == nil {
		return counts{}
	}
	return parseCounts(r.m.Notes[countsNote(uid)])
}

// fit compares a checkpoint with the job and gives the stateful nodes their numbers. All differences are reported.
func (j *Job) fit(r restored, o *Options) error {
	next := meta.OperatorNo(0)
	if r.m != nil {
		for _, op := range r.m.Operators {
			next = max(next, op.No+1)
		}
	}
	var found []error
	differ := func(format string, args ...any) {
		found = append(found, fmt.Errorf("%w: %s", meta.ErrIncompatible, fmt.Sprintf(format, args...)))
	}
	claimed := map[string]bool{}
	for _, n := range j.nodes {
		if n.source != nil || n.sink != nil {
			claimed[n.uid] = true
		}
		if !n.stateful {
			continue
		}
		claimed[n.uid] = true
		op := r.operator(n.uid)
		if op == nil {
			n.no = next
			next++
			continue
		}
		n.no = op.No
		if op.Fingerprint != n.fingerprint {
			differ("operator %q is (%s) in the checkpoint and (%s) in the job", n.uid, op.Fingerprint, n.fingerprint)
		}
	}
	if r.m == nil {
		return nil
	}
	if r.m.Name != j.name {
		differ("the checkpoint belongs to job %q, not to %q", r.m.Name, j.name)
	}
	if r.m.HashName != mmapstate.HashName {
		differ("keys are hashed by %q in the checkpoint, this release knows %q", r.m.HashName, mmapstate.HashName)
	}
	if !o.Restore.IgnoreExtra {
		for _, what := range unclaimed(r.m, claimed) {
			differ("the checkpoint has %s, which no operator of the job claims", what)
		}
	}
	return errors.Join(found...)
}

// unclaimed lists the parts of a checkpoint whose uid the job does not have.
func unclaimed(m *meta.Metadata, claimed map[string]bool) (found []string) {
	for _, o := range m.Operators {
		if !claimed[o.UID] {
			found = append(found, fmt.Sprintf("state of operator %q", o.UID))
		}
	}
	for _, s := range m.Sources {
		if !claimed[s.UID] {
			found = append(found, fmt.Sprintf("positions of source %q", s.UID))
		}
	}
	for _, s := range m.Sinks {
		if !claimed[s.UID] && len(s.Txns) > 0 {
			found = append(found, fmt.Sprintf("uncommitted output of sink %q", s.UID))
		}
	}
	return found
}

// openDir opens the job's directory, or one in memory.
func openDir(job string, c Checkpoints) (*snapshotter.Dir, error) {
	so := snapshotter.Options{Name: job, Retained: c.Retained, FS: c.fs}
	if c.Dir == "" {
		so.FS = vfs.NewMem()
		return snapshotter.Open(job, so)
	}
	dir, err := snapshotter.ParseDir(c.Dir)
	if err != nil {
		return nil, err
	}
	c.policy(&so)
	if so.DataDir, err = c.dataDir(job); err != nil {
		return nil, err
	}
	return snapshotter.Open(filepath.Join(dir, job), so)
}

// dataDir is the job's part of the directory of data files, empty if they lie beside the metadata.
func (c Checkpoints) dataDir(job string) (string, error) {
	if c.DataDir == "" {
		return "", nil
	}
	dir, err := snapshotter.ParseDir(c.DataDir)
	return filepath.Join(dir, job), err
}

// beginning is what a job starts from. Nothing on disk has changed yet.
type beginning struct {
	from *snapshotter.Checkpoint // nil: fresh

	// settle makes the directory ready for it, at last, and returns the checkpoint to read in from's place.
	settle func(context.Context) (*snapshotter.Checkpoint, error)
}

func (b beginning) restored() restored {
	if b.from == nil {
		return restored{}
	}
	return restored{b.from.Meta}
}

func (b beginning) close() error {
	if b.from == nil {
		return nil
	}
	return b.from.Close()
}

// none is nil if the directory has no checkpoint at all. One whose data files are missing is not none: a fresh start would
// be the end of it.
func none(dir *snapshotter.Dir, missing error) error {
	ids, err := dir.List()
	if err != nil || len(ids) > 0 {
		return errors.Join(missing, err)
	}
	return nil
}

// choose finds the checkpoint that the job starts from.
func choose(dir *snapshotter.Dir, j *Job, o *Options) (b beginning, err error) {
	r := o.Restore
	b.settle = func(context.Context) (*snapshotter.Checkpoint, error) { return b.from, nil }
	switch {
	case r.Path == "":
		discard, err := inTheWay(dir, j, r.Fresh)
		b.settle = func(ctx context.Context) (*snapshotter.Checkpoint, error) { return nil, discard(ctx) }
		return b, err
	case r.Path == Latest:
		b.from, err = dir.Latest()
		if r.OrFresh && errors.Is(err, meta.ErrNotFound) {
			return b, none(dir, err)
		}
		return b, err
	}
	dataDir, err := o.Checkpoints.dataDir(j.name)
	if err != nil {
		return b, err
	}
	lo := snapshotter.LoadOptions{FS: o.Checkpoints.fs, DataDir: dataDir}
	cp, err := snapshotter.Load(r.Path, lo)
	if err != nil {
		return b, err
	}
	b.from = cp
	switch err := newest(cp, lo); {
	case err != nil && !r.Rewind:
		return b, err
	case errors.Is(err, meta.ErrNotNewest):
		o.Logger.Warn("going back: what sinks have committed after this checkpoint comes again, at least once", "job", j.name, "checkpoint", cp.Path)
	}
	if o.Checkpoints.Dir != "" && inside(dir, cp) {
		b.settle = func(ctx context.Context) (*snapshotter.Checkpoint, error) {
			defer cp.Close()
			if err := dir.Rewind(ctx, cp.Meta.ID); err != nil {
				return nil, err
			}
			return dir.Latest()
		}
		return b, nil
	}
	discard, err := inTheWayOf(cp, dir, j, r)
	b.settle = func(ctx context.Context) (*snapshotter.Checkpoint, error) { // the one outside stays as it is
		defer cp.Close()
		if err := discard(ctx); err != nil {
			return nil, err
		}
		return dir.Import(ctx, cp, o.Hooks.Importing)
	}
	return b, err
}

// inTheWay looks for what an earlier run has left and returns what discards it, if that is allowed.
func inTheWay(dir *snapshotter.Dir, j *Job, discard bool) (func(context.Context) error, error) {
	ids, err := dir.List()
	if err != nil {
		return nil, err
	}
	switch {
	case len(ids) == 0:
		return func(context.Context) error { return nil }, nil
	case discard:
		return dir.DiscardAll, nil // the directory takes another id
	}
	return nil, fmt.Errorf("%s %w of job %q, newest checkpoint %d", dir.Path(), meta.ErrExists, j.name, ids[len(ids)-1])
}

// inTheWayOf looks for what a checkpoint from outside would meet. A savepoint of this job's newest checkpoint is that
// checkpoint again, and one of an older one is a way back: after it comes what the directory has, as its next checkpoint.
func inTheWayOf(cp *snapshotter.Checkpoint, dir *snapshotter.Dir, j *Job, r Restore) (func(context.Context) error, error) {
	if r.Fresh || cp.Meta.Job != dir.Job() {
		return inTheWay(dir, j, r.Fresh)
	}
	ids, err := dir.List()
	if err != nil {
		return nil, err
	}
	keep := func(context.Context) error { return nil }
	if len(ids) == 0 || r.Rewind && cp.Meta.ID <= ids[len(ids)-1] {
		return keep, nil
	}
	own, err := dir.Read(ids[len(ids)-1])
	if err != nil {
		return nil, err
	}
	defer own.Close() // read only
	switch {
	case own.Meta.ID == cp.Meta.ID && own.Meta.Attempt == cp.Meta.Attempt && own.Meta.Created == cp.Meta.Created:
		return keep, nil
	case cp.Meta.ID <= own.Meta.ID:
		return nil, fmt.Errorf("%s: %w: %s is newer", cp.Path, meta.ErrNotNewest, own.Path)
	}
	return inTheWay(dir, j, false) // the two have parted
}

// newest refuses a checkpoint that has a newer one beside it: what was committed after it would be repeated.
func newest(cp *snapshotter.Checkpoint, lo snapshotter.LoadOptions) error {
	if !cp.InJobDir() {
		return nil
	}
	home := filepath.Dir(filepath.Dir(cp.Path))
	last, err := snapshotter.Load(home, lo)
	if errors.Is(err, meta.ErrNotFound) {
		return nil // a folder of its own
	}
	if err != nil {
		return err
	}
	defer last.Close()
	if last.Meta.Job != cp.Meta.Job || last.Meta.ID <= cp.Meta.ID {
		return nil // what lies beside a copied checkpoint may be another job's
	}
	return fmt.Errorf("%s: %w: %s is newer", cp.Path, meta.ErrNotNewest, last.Path)
}

func inside(dir *snapshotter.Dir, cp *snapshotter.Checkpoint) bool {
	if dir.Job() != cp.Meta.Job || !cp.InJobDir() {
		return false
	}
	own, other := dir.Path(), filepath.Dir(filepath.Dir(cp.Path))
	if filepath.Clean(own) == filepath.Clean(other) {
		return true // on storage of one's own, too, where the machine has no links to follow
	}
	a, errA := filepath.EvalSymlinks(own)
	b, errB := filepath.EvalSymlinks(other)
	if errA != nil || errB != nil {
		return false
	}
	a, errA = filepath.Abs(a)
	b, errB = filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}
