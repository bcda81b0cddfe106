package vfstest

import (
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// Size says how far the exhaustive tests go: 0 takes samples, 1 tries everything, more adds random states. It comes from
// the variable PAGETIDE_PROOF, which make crash, make faults and make corrupt set; plain go test takes samples.
func Size() int {
	n, err := strconv.Atoi(os.Getenv("PAGETIDE_PROOF"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Every says of how many things an exhaustive test takes one: of one with Size 1 and more, else of as many as make a
// sample. With -short samples are a quarter of that, unless PAGETIDE_PROOF asks for them.
func Every(sample int) int {
	switch sample = max(sample, 1); {
	case Size() > 0:
		return 1
	case testing.Short() && os.Getenv("PAGETIDE_PROOF") == "":
		return 4 * sample
	}
	return sample
}

// maxShown is how many wrong outcomes of one tally are told in full.
const maxShown = 5

// Tally counts what one workload of an exhaustive test has tried and what went wrong. At the end of the test it logs one
// line for snapshotter/testdata/prove.go, which adds them up:
//
//	PROOF <suite> points=<n> tried=<n> wrong=<n> <workload>
//
// Its methods may be called concurrently.
type Tally struct {
	t                    testing.TB
	points, tried, wrong atomic.Int64
}

// NewTally begins to count. The suite is "crash", "faults" or "corrupt".
func NewTally(t testing.TB, suite, workload string) *Tally {
	c := &Tally{t: t}
	t.Cleanup(func() {
		t.Logf("PROOF %s points=%d tried=%d wrong=%d %s", suite, c.points.Load(), c.tried.Load(), c.wrong.Load(), workload)
		if c.tried.Load() == 0 {
			t.Errorf("%s: nothing was tried", workload)
		}
	})
	return c
}

// Point counts a place where something is tried.
func (c *Tally) Point() { c.points.Add(1) }

// Try counts a thing tried and returns its number, from 1.
func (c *Tally) Try() int64 { return c.tried.Add(1) }

// Wrong fails the test; the first few are told in full.
func (c *Tally) Wrong(format string, args ...any) {
	c.t.Helper()
	if c.wrong.Add(1) <= maxShown {
		c.t.Errorf(format, args...)
		return
	}
	c.t.Fail()
}

// Lost says that enough has gone wrong for going on to be pointless. With -short that is the first time.
func (c *Tally) Lost() bool {
	wrong := c.wrong.Load()
	return wrong >= 1000 || wrong > 0 && testing.Short()
}
