package snapshotter

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/snapshotter/vfs"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

// A crash during the recovery from a crash: a sample of states is recovered under a recorder and cut again everywhere.
func TestCrashDuringRecovery(t *testing.T) {
	every := 6
	if vfstest.Size() == 0 {
		every = 60
	}
	for _, tt := range workloads[1:5] {
		t.Run(tt.name, func(t *testing.T) {
			tally := vfstest.NewTally(t, "crash", tt.name+", and again while it recovers")
			crash := vfs.NewCrash()
			w := newWorld(crash, tt.o, crash.Mark)
			for _, s := range tt.steps {
				must(t, s(w))
			}
			w.close()
			rnd := rand.New(rand.NewPCG(3, 0))
			for n := 0; n <= crash.Len() && !tally.Lost(); n += every {
				second, what := pick(crash, n, rnd)
				before := crash.Marked(n)
				if _, err := findNewest(second, "/state/job"); err != nil && promised(before).none {
					before = append(before, "discarded") // ids may begin again
				}
				again := newWorld(second, tt.o, second.Mark)
				again.images = maps.Clone(w.images)
				must(t, again.save())
				must(t, again.save())
				again.close()
				power := vfstest.Crashes{Disk: second, Seed: 1, Sample: 9}
				power.Check(tally, func(left *vfs.Mem, marks []string) error {
					if err := again.checkLeft(left, promised(slices.Concat(before, marks))); err != nil {
						return fmt.Errorf("after a crash after call %d, %s: %w", n, what, err)
					}
					return nil
				})
			}
		})
	}
}

// pick takes one of the states after n calls.
func pick(c *vfs.Crash, n int, rnd *rand.Rand) (*vfs.Crash, string) {
	var chosen *vfs.Mem
	var desc string
	seen := 0
	for what, left := range c.States(n, 2) {
		if seen++; rnd.IntN(seen) == 0 {
			chosen, desc = left, what
		}
	}
	return vfs.NewCrashFrom(chosen), strings.Clone(desc)
}
