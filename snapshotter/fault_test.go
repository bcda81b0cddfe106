package snapshotter

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

// Every call fails once, or from then on: the run goes on, what was acknowledged stays, errors say what happened, and when
// storage has healed the next checkpoint works, in this process and in another.
func TestFaultAtEveryCall(t *testing.T) {
	for _, tt := range workloads {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tally := vfstest.NewTally(t, "faults", tt.name)
			for _, fault := range vfstest.Faults() {
				fault.EveryCall(tally, func(arm func(*vfs.Fault)) error { return faultRun(tt, fault.How, arm) })
			}
		})
	}
}

func faultRun(tt workload, how vfs.Failure, arm func(*vfs.Fault)) error {
	mem := vfs.NewMem()
	if err := start(mem, tt.outside); err != nil {
		return err
	}
	fault := vfs.NewFault(mem)
	arm(fault)
	var marks []string
	w := newWorld(over(fault, tt.noLinks), tt.o, func(m string) { marks = append(marks, m) })
	failed := 0
	for i, s := range tt.steps {
		err := s(w)
		if err == nil {
			continue
		}
		if failed++; !errors.Is(err, how.Err) {
			return fmt.Errorf("step %d failed with %w, which does not say %w", i, err, how.Err)
		}
	}
	if failed > 1 && !how.Sticky {
		return fmt.Errorf("%d steps failed for one fault", failed)
	}
	fault.Heal()
	if err := w.save(); err != nil {
		return fmt.Errorf("the same process after storage has healed: %w", err)
	}
	w.close()
	return w.checkLeft(mem, promised(marks))
}

// A checkpoint whose outcome is unknown keeps its files until a later one has committed.
func TestUnknownOutcome(t *testing.T) {
	for _, op := range []string{"rename", "syncdir"} {
		t.Run(op, func(t *testing.T) {
			fault := vfs.NewFault(vfs.NewMem())
			d := openMem(t, fault, Options{})
			s := newFakeStore(1)
			s.grow(s.shard(0), 1)
			must(t, d.Save(ctx, s, nil))
			s.set(s.shard(0), 0, 3, 9)
			folder := d.chkPath(2)
			fault.Fail(1, func(c vfs.Call) bool {
				return c.Op == op && (c.Name == folder || c.Name == d.metaPath(2))
			}, vfs.Failure{Err: syscall.EIO})
			p, err := d.Begin()
			must(t, err)
			cut := s.freeze()
			p.Add(cut)
			_, err = p.Publish(ctx, &meta.Metadata{})
			wantErr(t, "Publish", err, ErrUnknownOutcome)
			wantErr(t, "verdict", cut.Wait(ctx), meta.ErrAborted)
			_, err = d.Retire(ctx)
			must(t, err)
			must(t, d.SweepOrphans(ctx))
			if f, err := fault.Open(d.dataPath(p.dataName())); err != nil {
				t.Errorf("data file of the unknown checkpoint: %v", err)
			} else {
				f.Close()
			}
			must(t, d.Save(ctx, s, nil))
			must(t, onlyNamed(d))
			wantNames(t, fault, "_job", "chk-3", dataName(d.Job(), 1, 1), dataName(d.Job(), 1, 3))
		})
	}
}

// A checkpoint of unknown outcome takes no place of one that is durable.
func TestUnknownIsNotCounted(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	d := openMem(t, fault, Options{Retained: 2})
	s := newFakeStore(1)
	s.grow(s.shard(0), 1)
	must(t, d.Save(ctx, s, nil))
	failCommit(fault, d, 2)
	wantErr(t, "Save", d.Save(ctx, s, nil), ErrUnknownOutcome)
	must(t, d.Save(ctx, s, nil))
	ids, err := d.List()
	must(t, err)
	if !slices.Equal(ids, []meta.CheckpointID{1, 3}) {
		t.Errorf("checkpoints %v are kept, want 1 and 3", ids)
	}
}

// failCommit has step 7 of a checkpoint fail, and its name be lost with the next power cut.
func failCommit(fault *vfs.Fault, d *Dir, id meta.CheckpointID) {
	fault.Fail(1, func(c vfs.Call) bool { return c.Op == "syncdir" && c.Name == d.chkPath(id) },
		vfs.Failure{Err: syscall.EIO, Drop: true})
}

// The process goes on from a checkpoint whose last sync has failed: what it relies on must be there after a power cut.
func TestPowerCutAfterUnknown(t *testing.T) {
	for name, o := range map[string]Options{"files": {}, "embedded": {Embed: 1 << 20}} {
		crash := vfs.NewCrash()
		fault := vfs.NewFault(crash)
		w := newWorld(fault, o, crash.Mark)
		must(t, w.save())
		failCommit(fault, w.d, 2)
		wantErr(t, "save", w.save(), ErrUnknownOutcome)
		failCommit(fault, w.d, 3)
		w.d.Revoke()
		_, err := restore(w.d)
		wantErr(t, "restore", err, ErrUnknownOutcome)
		w.d.Revoke()
		w.s, err = restore(w.d)
		must(t, err)
		if w.s.base.Checkpoint != 4 {
			t.Errorf("restored checkpoint %d, want 4", w.s.base.Checkpoint)
		}
		w.images[4] = w.images[2]
		crash.Mark("ack 4")
		_, err = w.d.Retire(ctx)
		must(t, err)
		tally := vfstest.NewTally(t, "crash", "published again, "+name)
		cut := func(left *vfs.Mem, marks []string) error { return w.checkLeft(left, promised(marks)) }
		vfstest.Crashes{Disk: crash, Seed: 1, Sample: 1}.CheckEnd(tally, cut)
		must(t, w.save())
		must(t, onlyNamed(w.d))
		vfstest.Crashes{Disk: crash, Seed: 1, Sample: 1}.CheckEnd(tally, cut)
		w.close()
	}
}
