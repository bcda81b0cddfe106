package vfstest

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Fault is one way in which a call to storage goes wrong: once, or from then on.
type Fault struct {
	Name string
	Only string // the operation that it is for, as in vfs.Call.Op; empty for all
	How  vfs.Failure
}

// Faults are the faults that [Fault.EveryCall] is for.
func Faults() (all []Fault) {
	for _, f := range []Fault{
		{"EIO", "", vfs.Failure{Err: syscall.EIO}},
		{"ENOSPC", "", vfs.Failure{Err: syscall.ENOSPC}},
		{"short write", "write", vfs.Failure{Err: syscall.ENOSPC, Short: true}},
		{"failed sync that drops the data", "sync", vfs.Failure{Err: syscall.EIO, Drop: true}},
	} {
		all = append(all, f)
		f.Name += ", from then on"
		f.How.Sticky = true
		all = append(all, f)
	}
	return all
}

// EveryCall calls run with the first call to fail, then with the second, until a run has no such call; several runs at a
// time. With Size 0 it takes one in some. Run makes its own vfs.Fault and has it armed where the work begins. An error
// from run is wrong.
func (f Fault) EveryCall(tally *Tally, run func(arm func(*vfs.Fault)) error) {
	tally.t.Helper()
	stride := int64(Every(9))
	var next atomic.Int64
	var over atomic.Bool
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !over.Load() && !tally.Lost() {
				k := 1 + stride*(next.Add(1)-1)
				if f.one(tally, int(k), run) {
					over.Store(true)
				}
			}
		})
	}
	workers.Wait()
}

// one says whether there was no k-th call.
func (f Fault) one(tally *Tally, k int, run func(arm func(*vfs.Fault)) error) (over bool) {
	var calls atomic.Int64
	err := run(func(fault *vfs.Fault) {
		fault.Fail(k, func(c vfs.Call) bool {
			if f.Only != "" && c.Op != f.Only {
				return false
			}
			calls.Add(1)
			return true
		}, f.How)
	})
	if err != nil {
		tally.Wrong("%s at call %d of %d: %v", f.Name, k, calls.Load(), err)
	}
	if calls.Load() < int64(k) {
		return true
	}
	tally.Try()
	return false
}
