package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// TestSlidingByEveryRule compares aggregates and lists over sliding windows with the model: with lateness, early results and
// processing time, with few panes and many, in times before and after 1970, over gaps, restarted and rescaled.
func TestSlidingByEveryRule(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 43))
		slide := time.Duration(1+rnd.IntN(4)) * time.Second
		size := slide*time.Duration([]int{1, 2, 3, 7, 40}[rnd.IntN(5)]) + time.Duration(rnd.IntN(2)*rnd.IntN(int(slide/time.Second)))*time.Second
		c := tiles(size, slide)
		if c.rules(rnd); c.model.lateness == 0 && rnd.IntN(2) == 0 {
			c.assign, c.model.clock = c.assign.InProcessingTime(), true
		}
		if rnd.IntN(2) == 0 {
			c.base = time.Unix(0, 0).Sub(t0) - time.Minute
		}
		c.behind = time.Duration(rnd.IntN(2)) * 5 * time.Second
		c.model.pane, c.model.sorted, c.model.all = 0, true, rnd.IntN(3) == 0
		c.name = fmt.Sprintf("%s, %s late, every %s, all %t", c.assign, time.Duration(c.model.lateness), time.Duration(c.model.every), c.model.all)
		h := enginetest.Operator(t, c.build)
		push := func(e event) { h.Push(e.At, e) }
		if fault := c.bySteps(rnd, h, push, func(p int) { h.Rescale(p) }); fault != nil {
			t.Fatalf("seed %d, %v", seed, fault)
		}
	}
}

// foldCount folds, and counts how often.
type foldCount struct{ adds, merges *int }

func (c foldCount) Add(acc *int64, e event) {
	*acc += e.N
	*c.adds++
}

func (c foldCount) Merge(into *int64, from int64) {
	*into += from
	*c.merges++
}

func (c foldCount) Result(_ string, _ engine.Span, acc int64) int64 { return acc }

// TestSlidingCostsTheSameForAnySize counts what aggregates do for a result: merges, and adds beyond the one of each record.
// It must not grow with size/slide, whatever the rule.
func TestSlidingCostsTheSameForAnySize(t *testing.T) {
	const slide = time.Second
	for _, tt := range []struct {
		name string
		opts []engine.WindowOption
		late func(n int) int // so many slides behind the watermark comes a second record; 0: none does
		wall bool
	}{
		{name: "at the end"},
		{name: "with records that are late for some", late: func(int) int { return 3 }},
		{name: "with lateness", opts: []engine.WindowOption{engine.AllowedLateness(10 * slide)}, late: func(n int) int { return min(n+5, 10) }},
		{name: "with lateness of many windows", opts: []engine.WindowOption{engine.AllowedLateness(1000 * slide)}, late: func(n int) int { return n / 2 }},
		{name: "with early results", opts: []engine.WindowOption{engine.FireEvery(slide)}},
		{name: "by the clock", wall: true},
		{name: "by the clock with early results", opts: []engine.WindowOption{engine.FireEvery(slide / 2)}, wall: true},
	} {
		for _, n := range []int{4, 16, 64} {
			var count foldCount
			count.adds, count.merges = new(int), new(int)
			a := engine.Sliding(time.Duration(n)*slide, slide)
			if tt.wall {
				a = a.InProcessingTime()
			}
			h := enginetest.Operator(t, func(in engine.Stream[event]) engine.Stream[int64] {
				byKey := engine.KeyBy(in, func(e event) string { return e.Key })
				return engine.Aggregate(engine.Window(byKey, a, tt.opts...), "windows", count)
			})
			records, behind := 0, 0
			if tt.late != nil {
				behind = tt.late(n)
			}
			for at := range 3 * n {
				now := t0.Add(time.Duration(at) * slide)
				h.Push(now, event{Key: "k", N: 1})
				records++
				h.Advance(slide)
				h.Watermark(now.Add(slide - 1))
				if behind > 0 {
					h.Push(now.Add(-time.Duration(behind)*slide), event{Key: "k", N: 1})
					records++
				}
			}
			h.End()
			results := len(h.Out())
			if cost := float64(*count.merges+*count.adds-records) / float64(results); results < 3*n || cost > 6 {
				t.Errorf("%s, size/slide %d: %d merges and %d adds for %d records and %d results: %.1f for each, want at most 6",
					tt.name, n, *count.merges, *count.adds, records, results, cost)
			}
		}
	}
}
