package vfstest

import (
	"runtime"
	"sync"

	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// Crashes says which power cuts [Crashes.Check] tries.
type Crashes struct {
	Disk   *vfs.Crash
	From   int    // the first point: how many calls had been recorded when the work under test began
	Seed   uint64 // of random subsets
	Sample int    // with Size 0, one of so many states is checked; at least 1
}

// Check rebuilds every state that a power cut after every recorded call may leave and gives each to recover, together with
// what had been marked by then, from several goroutines. An error from it is wrong.
func (c Crashes) Check(tally *Tally, recover func(left *vfs.Mem, marks []string) error) {
	tally.t.Helper()
	c.Disk.Effort = Size()
	calls := c.Disk.Calls()
	points := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := range points {
				c.point(tally, n, calls, recover)
			}
		})
	}
	for n := c.From; n <= len(calls) && !tally.Lost(); n++ {
		points <- n
	}
	close(points)
	workers.Wait()
}

// CheckEnd tries the power cuts after the last call only.
func (c Crashes) CheckEnd(tally *Tally, recover func(left *vfs.Mem, marks []string) error) {
	tally.t.Helper()
	c.Disk.Effort = Size()
	calls := c.Disk.Calls()
	c.point(tally, len(calls), calls, recover)
}

// point tries every state after n calls. Which ones a sample takes depends on the point, so that it takes all kinds.
func (c Crashes) point(tally *Tally, n int, calls []string, recover func(*vfs.Mem, []string) error) {
	tally.Point()
	marks := c.Disk.Marked(n)
	k, every := n, Every(c.Sample)
	for what, left := range c.Disk.States(n, c.Seed) {
		if k++; k%every != 0 {
			continue
		}
		tally.Try()
		if err := recover(left, marks); err != nil {
			tally.Wrong("seed %d, crash after call %d of %d (%s), %s: %v", c.Seed, n, len(calls), Last(calls[:n]), what, err)
		}
	}
}

// Last is the last of the calls, for messages.
func Last(calls []string) string {
	if len(calls) == 0 {
		return "none"
	}
	return calls[len(calls)-1]
}
