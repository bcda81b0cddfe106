package snapshotter

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Every call fails once, or from then on: the run goes on, what was acknowledged stays, and when storage has healed the
// next checkpoint works.
func TestFaultAtEveryCall(t *testing.T) {
	is := func(op string) func(vfs.Call) bool { return func(c vfs.Call) bool { return c.Op == op } }
	kinds := []struct {
		name  string
		match func(vfs.Call) bool
		how   vfs.Failure
	}{
		{"EIO", nil, vfs.Failure{Err: syscall.EIO}},
		{"ENOSPC", nil, vfs.Failure{Err: syscall.ENOSPC}},
		{"short write", is("write"), vfs.Failure{Err: syscall.ENOSPC, Short: true}},
		{"sync drops", is("sync"), vfs.Failure{Err: syscall.EIO, Drop: true}},
	}
	for _, tt := range workloads {
		for _, kind := range kinds {
			for _, sticky := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/sticky=%v", tt.name, kind.name, sticky), func(t *testing.T) {
					t.Parallel()
					how := kind.how
					how.Sticky = sticky
					runs, stride := 0, 1
					if quick() {
						stride = 3
					}
					for k := 1; faultRun(t, k, tt, kind.match, how); k += stride {
						runs++
					}
					t.Logf("%d runs", runs)
				})
			}
		}
	}
}

// faultRun says whether there was a k-th call to fail.
func faultRun(t *testing.T, k int, tt workload, match func(vfs.Call) bool, how vfs.Failure) bool {
	t.Helper()
	mem := vfs.NewMem()
	must(t, start(mem, tt.outside))
	fault := vfs.NewFault(mem)
	struck := 0
	fault.Fail(k, func(c vfs.Call) bool {
		hit := match == nil || match(c)
		if hit {
			struck++
		}
		return hit
	}, how)
	var marks []string
	w := newWorld(over(fault, tt.noLinks), tt.o, func(m string) { marks = append(marks, m) })
	failed := 0
	for _, s := range tt.steps {
		if err := s(w); err != nil {
			failed++
		}
	}
	if failed > 1 && !how.Sticky {
		t.Errorf("fault at call %d: %d steps failed for one fault", k, failed)
	}
	w.close()
	fault.Heal()
	if err := w.checkLeft(mem, promised(marks)); err != nil {
		t.Fatalf("fault at call %d: %v", k, err)
	}
	return struck >= k
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
