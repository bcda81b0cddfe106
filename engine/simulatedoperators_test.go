package engine_test

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/enginetest"
)

// These are simulated with the others.
func init() {
	simulatedJobs = append(simulatedJobs, []struct {
		name string
		make func(*rand.Rand) simulated
	}{
		{"process2", simulatedProcess2},
		{"joins by the clock", simulatedClockJoin},
		{"broadcast without keys", simulatedEachBroadcast},
		{"time to live", simulatedTTL},
	}...)
}

// simulatedProcess2 has two inputs, of which one is a union, states for each, and a side output.
func simulatedProcess2(rnd *rand.Rand) simulated {
	a, b, c := randomInput(rnd, 150), randomInput(rnd, 150), randomInput(rnd, 150)
	failures := rnd.IntN(3)
	out, odd := new(enginetest.Sink[string]), new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			lefts := engine.Union(flakySource(job, "a", a, rnd, &failures), flakySource(job, "b", b, rnd, &failures))
			right := flakySource(job, "c", c, rnd, &failures)
			both := engine.Process2(engine.KeyBy(lefts, ofKey), engine.KeyBy(right, ofKey), "both", newTwoSided)
			engine.To(both, "out", out)
			engine.To(engine.SideOutput(both, oddOnes), "odd", odd)
		},
		ins: []intake{a, b, c}, outs: []*enginetest.Sink[string]{out, odd},
		want: func() []string { return slices.Concat(wantTwoSided(slices.Concat(a.read(), b.read()), c.read())) },
	}
}

// simulatedClockJoin joins in processing time what comes within a century.
func simulatedClockJoin(rnd *rand.Rand) simulated {
	const century = 100 * 365 * 24 * time.Hour
	left, right := randomInput(rnd, 100), randomInput(rnd, 100)
	failures, kind, interval := rnd.IntN(3), joinKinds[rnd.IntN(len(joinKinds))], rnd.IntN(2) == 0
	window := []engine.Assigner{engine.Session(century), engine.Tumbling(century), engine.Sliding(century, century)}[rnd.IntN(3)]
	pairs := new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			l := engine.KeyBy(flakyRecords(left.stream(job, "left"), rnd, &failures), ofKey)
			r := engine.KeyBy(flakyRecords(right.stream(job, "right"), rnd, &failures), ofKey)
			if interval {
				engine.To(engine.IntervalJoin(l, r, "join", kind, engine.Within(-century, century).InProcessingTime(), pair), "pairs", pairs)
				return
			}
			inWindow := func(key string, _ engine.Span, l, r *event) string { return pair(key, l, r) }
			engine.To(engine.WindowJoin(l, r, window.InProcessingTime(), "join", kind, inWindow), "pairs", pairs)
		},
		ins: []intake{left, right}, outs: []*enginetest.Sink[string]{pairs},
		want: func() []string { return nestedLoops(left.read(), right.read(), kind, -century, century) },
	}
}

// simulatedEachBroadcast keeps records until all rules have come, without keys.
func simulatedEachBroadcast(rnd *rand.Rand) simulated {
	in, rules, n := randomInput(rnd, 150), &input[decree]{feed: newFeed[decree](2)}, 1+rnd.IntN(80)
	splits, _ := decrees(rnd, n)
	copy(rules.recs, splits[:])
	rules.all, rules.ended = slices.Concat(splits[:]...), true
	failures := rnd.IntN(3)
	out := new(enginetest.Sink[string])
	return simulated{
		graph: func(job *engine.Job) {
			recs := engine.Rebalance(flakyRecords(in.stream(job, "in"), rnd, &failures))
			engine.To(engine.ProcessEachBroadcast(recs, rules.stream(job, "rules"), "named", newNamed(n)), "out", out)
		},
		ins: []intake{in, rules}, outs: []*enginetest.Sink[string]{out},
		want: func() []string {
			if len(rules.read()) < n {
				return nil
			}
			return wantNamed(in.read(), leftOf(rules.read()))
		},
	}
}

// simulatedTTL fails by itself if a state with a TTL is there when it should not be, or is not when it should.
func simulatedTTL(rnd *rand.Rand) simulated {
	in := randomInput(rnd, 300)
	in.all = aged(in.feed)
	failures, out := rnd.IntN(3), new(enginetest.Sink[string])
	return simulated{ins: []intake{in}, graph: func(job *engine.Job) {
		byKey := engine.KeyBy(flakySource(job, "in", in, rnd, &failures), ofKey)
		lives := engine.Process(byKey, "mortals", func(s *engine.Setup) *mortals { return newMortals(s, engine.TTL(life)) })
		engine.To(lives, "out", out)
	}}
}
