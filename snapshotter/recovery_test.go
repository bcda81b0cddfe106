package snapshotter

import (
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// A crash during the recovery from a crash: a sample of states is recovered under a recorder and cut again everywhere.
func TestCrashDuringRecovery(t *testing.T) {
	every := 9
	if quick() {
		every = 40
	}
	for _, tt := range workloads[:2] {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			crash := vfs.NewCrash()
			w := newWorld(crash, tt.o, crash.Mark)
			for _, s := range tt.steps {
				must(t, s(w))
			}
			w.close()
			rnd := rand.New(rand.NewPCG(3, 0))
			points, states := 0, 0
			for n := 0; n <= crash.Len(); n += every {
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
				for m := range second.Len() + 1 {
					points++
					p := promised(append(before[:len(before):len(before)], second.Marked(m)...))
					for whatNow, left := range second.States(m, 1) {
						if states++; states%3 != 0 {
							continue
						}
						if err := again.checkLeft(left, p); err != nil {
							t.Fatalf("crash after call %d, %s; then after call %d (%s), %s: %v", n, what, m, last(second.Calls()[:m]), whatNow, err)
						}
					}
				}
			}
			t.Logf("%d points, %d states", points, states/3)
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
