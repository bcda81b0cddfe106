package main

import (
	"runtime"
	"sync"
	"time"
)

// scaling measures what the second core brings: keyed counts with parallelism 1 on one core and 2 on two, beside one loop
// over a Go map of all keys on one core and two with half of them each.
func (b *bench) scaling() {
	if runtime.NumCPU() < 2 {
		b.skip("scaling: needs two cores")
		return
	}
	users := b.large
	at := clicks(users)
	half := clicks(users / 2)
	one, two := []func(i, end int64){countLoop(at)}, []func(i, end int64){countLoop(half), countLoop(half)}
	r := b.rotate("keyed count on two cores",
		onCores(1, run(b, "engine, parallelism 1, one core", guarantee, newSource(at, 1), users, b.every, countGraph)),
		onCores(2, run(b, "engine, parallelism 2, two cores", guarantee, newSource(at, 2), users, b.every, countGraph)),
		onCores(1, sideBySide("one loop", users, one)),
		onCores(2, sideBySide("two loops", users/2, two)))
	speedUp := func(two, one string) float64 { return r[two].PerSecond / r[one].PerSecond }
	engines, loops := speedUp("engine, parallelism 2, two cores", "engine, parallelism 1, one core"), speedUp("two loops", "one loop")
	b.result("engine.scaling.speed_up", engines, "x")
	b.result("engine.scaling.speed_up_of_two_loops", loops, "x")
	b.result("engine.scaling.ratio_to_two_loops", engines/loops, "x")
}

// onCores gives a contender so many cores in its turns.
func onCores(n int, c *contender) *contender {
	turn := c.turn
	c.turn = func(d time.Duration) int64 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		return turn(d)
	}
	return c
}

// sideBySide is a contender of loops that know nothing of each other.
func sideBySide(name string, fill int64, work []func(i, end int64)) *contender {
	var loops []*contender
	for _, w := range work {
		loops = append(loops, loop("", "", fill, w))
	}
	all := func(f func(i int, l *contender)) {
		var wg sync.WaitGroup
		for i, l := range loops {
			wg.Go(func() { f(i, l) })
		}
		wg.Wait()
	}
	return &contender{
		name: name, version: runtime.Version(), text: "none: counting in a Go map",
		fill: func() { all(func(_ int, l *contender) { l.fill() }) },
		turn: func(d time.Duration) (n int64) {
			records := make([]int64, len(loops))
			all(func(i int, l *contender) { records[i] = l.turn(d) })
			for _, r := range records {
				n += r
			}
			return n
		},
		close: func() {},
	}
}
