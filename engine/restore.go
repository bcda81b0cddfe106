package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

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

func (r restored) watermark(uid string) Time {
	if o := r.operator(uid); o != nil {
		return Time(o.Watermark)
	}
	return MinTime
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
	if o.MaxParallelism != 0 && o.MaxParallelism != int(r.m.KeyGroups) {
		differ("max parallelism is %d in the checkpoint, %d in the settings", r.m.KeyGroups, o.MaxParallelism)
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
	if c.DataDir != "" {
		data, err := snapshotter.ParseDir(c.DataDir)
		if err != nil {
			return nil, err
		}
		so.DataDir = filepath.Join(data, job)
	}
	return snapshotter.Open(filepath.Join(dir, job), so)
}

// choose finds the checkpoint that the job starts from; nil is a fresh start.
func choose(ctx context.Context, dir *snapshotter.Dir, j *Job, o *Options) (*snapshotter.Checkpoint, error) {
	r := o.Restore
	switch {
	case r.Path == "":
		return nil, startFresh(ctx, dir, j, r.Fresh)
	case r.Path == Latest:
		cp, err := dir.Latest()
		if r.OrFresh && errors.Is(err, meta.ErrNotFound) {
			return nil, nil
		}
		return cp, err
	}
	dataDir := ""
	if o.Checkpoints.DataDir != "" {
		dataDir = filepath.Join(strings.TrimPrefix(o.Checkpoints.DataDir, "file://"), j.name)
	}
	lo := snapshotter.LoadOptions{FS: o.Checkpoints.fs, DataDir: dataDir}
	cp, err := snapshotter.Load(r.Path, lo)
	if err != nil {
		return nil, err
	}
	if err := newest(cp, lo, r.Rewind); err != nil {
		return nil, errors.Join(err, cp.Close())
	}
	if o.Checkpoints.Dir != "" && inside(dir, cp) {
		defer cp.Close()
		if err := dir.Rewind(ctx, cp.Meta.ID); err != nil {
			return nil, err
		}
		return dir.Latest()
	}
	return adopt(ctx, dir, j, o, cp)
}

// startFresh makes sure that nothing of an earlier run is in the way.
func startFresh(ctx context.Context, dir *snapshotter.Dir, j *Job, discard bool) error {
	ids, err := dir.List()
	if err != nil {
		return err
	}
	switch {
	case len(ids) == 0:
		return nil
	case discard:
		return dir.DiscardAll(ctx) // and takes another id
	}
	return fmt.Errorf("%s %w of job %q, newest checkpoint %d", dir.Path(), meta.ErrExists, j.name, ids[len(ids)-1])
}

// newest refuses a checkpoint that has a newer one beside it: what was committed after it would be repeated.
func newest(cp *snapshotter.Checkpoint, lo snapshotter.LoadOptions, rewind bool) error {
	if rewind {
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
	if last.Meta.ID <= cp.Meta.ID {
		return nil
	}
	return fmt.Errorf("%s: %w: %s is newer", cp.Path, meta.ErrNotNewest, last.Path)
}

func inside(dir *snapshotter.Dir, cp *snapshotter.Checkpoint) bool {
	if dir.Job() != cp.Meta.Job {
		return false
	}
	a, errA := filepath.EvalSymlinks(dir.Path())
	b, errB := filepath.EvalSymlinks(filepath.Dir(filepath.Dir(cp.Path)))
	if errA != nil || errB != nil {
		return false
	}
	a, errA = filepath.Abs(a)
	b, errB = filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// adopt brings a checkpoint from outside in under own names. The one outside stays as it is.
func adopt(ctx context.Context, dir *snapshotter.Dir, j *Job, o *Options, cp *snapshotter.Checkpoint) (*snapshotter.Checkpoint, error) {
	defer cp.Close()
	if err := j.fit(restored{cp.Meta}, o); err != nil {
		return nil, err
	}
	if err := startFresh(ctx, dir, j, o.Restore.Fresh); err != nil {
		return nil, err
	}
	return dir.Import(ctx, cp, nil)
}
