package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// wide values fill large states quickly: about seven to a page.
type wide = [496]byte

const freezeRounds = 5

// freeze times barriers at one size of state. Each turn of the loop updates a few keys twice, freezes, updates the same
// keys again, which gathers their pages first, gathers what is left, drains it and commits. Before or after the freeze,
// by a coin, the loop spins for as long as the median freeze takes: that is the floor, with the same caches and the same
// neighbours. The garbage collector runs between turns: a loop that checkpoints tens of thousands of times in a second
// makes the garbage of as many jobs, and would collect it all the time.
func (b *bench) freeze(label string) {
	size, err := host.ParseSize(label)
	check(err)
	need := int(size>>20) + 2048
	if size >= 8<<30 {
		need = 12 << 10
	}
	if !host.Room(need) {
		b.skip("freeze %s: needs %d MiB of memory to spare", label, need)
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	f := newFreezer(size)
	defer f.table.store.Close()
	r := result.Freeze{Label: label, StateBytes: f.table.store.Stats().Bytes, Clock: clockCost()}
	b.progress("freeze %s: filled with %d entries", label, f.entries)
	f.turns(2000) // the first cut has everything; then the loop is warm
	warm := f.turns(10000)
	spin := time.Duration(quantile(warm.freeze, 0.5))
	var all samples
	for range freezeRounds {
		f.spin = spin
		s := f.turns(b.freezes / freezeRounds)
		r.Rounds = append(r.Rounds, quantile(s.freeze, 0.9999)/quantile(s.spin, 0.9999))
		all.freeze, all.spin = append(all.freeze, s.freeze...), append(all.spin, s.spin...)
		all.first, all.again = append(all.first, s.first...), append(all.again, s.again...)
	}
	r.Samples = len(all.freeze)
	r.P50, r.P99, r.P9999 = quantile(all.freeze, 0.5), quantile(all.freeze, 0.99), quantile(all.freeze, 0.9999)
	r.SpinP9999 = quantile(all.spin, 0.9999)
	r.Ratio = r.P9999 / r.SpinP9999
	r.TouchP50, r.TouchP99, r.TouchP9999 = quantile(all.first, 0.5), quantile(all.first, 0.99), quantile(all.first, 0.9999)
	r.AgainP50 = quantile(all.again, 0.5)
	b.run.Freezes = append(b.run.Freezes, r)
	b.progress("freeze %s: p50 %.0f p99.99 %.0f ns, spin p99.99 %.0f ns, ratio %.2f, rounds %.2f; first touch p50 %.0f p99 %.0f ns",
		label, r.P50, r.P9999, r.SpinP9999, r.Ratio, r.Rounds, r.TouchP50, r.TouchP99)
}

// freezer is the loop.
type freezer struct {
	table   *pagetideTable[uint64, wide]
	entries uint64
	random  *rand.Rand
	spin    time.Duration
	last    meta.CheckpointID
	ended   context.Context
}

// samples are durations in nanoseconds.
type samples struct{ freeze, spin, first, again []int64 }

func newFreezer(size int64) *freezer {
	f := &freezer{
		table:  newPagetideTable[uint64, wide](mmapstate.Options{SavedLimit: 64 << 20}),
		random: rand.New(rand.NewPCG(1, 2)),
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	f.ended = ended
	for full := false; !full; full = f.table.store.Stats().Bytes >= size {
		for range max(uint64(size>>20), 16) { // about half a thousandth more
			k := mix(f.entries)
			f.table.cells.Ref(f.table.keyer.Key(&k))
			f.entries++
		}
	}
	return f
}

// collectEvery is how many turns' garbage is collected at once: some megabytes.
const collectEvery = 2000

// dirty is how many keys a turn updates.
const dirty = 8

func (f *freezer) turns(n int) samples {
	s := samples{freeze: make([]int64, 0, n), spin: make([]int64, 0, n), first: make([]int64, 0, n*dirty), again: make([]int64, 0, n*dirty)}
	var numbers [dirty]uint64
	var keys [dirty]mmapstate.Key
	for turn := range n {
		if turn%collectEvery == 0 {
			runtime.GC()
		}
		for i := range keys {
			numbers[i] = mix(f.random.Uint64N(f.entries))
			keys[i] = f.table.keyer.Key(&numbers[i])
			*(*uint64)(f.table.cells.Ref(keys[i]))++
		}
		before := f.random.Uint64()&1 == 0
		if before {
			s.spin = append(s.spin, f.rest())
		}
		start := time.Now()
		_, err := f.table.store.Freeze()
		s.freeze = append(s.freeze, int64(time.Since(start)))
		check(err)
		if !before {
			s.spin = append(s.spin, f.rest())
		}
		for _, k := range keys {
			s.first = append(s.first, f.update(k))
			s.again = append(s.again, f.update(k))
		}
		f.commit()
	}
	return s
}

// rest does nothing for as long as a freeze takes.
func (f *freezer) rest() int64 {
	start := time.Now()
	for time.Since(start) < f.spin {
	}
	return int64(time.Since(start))
}

func (f *freezer) update(k mmapstate.Key) int64 {
	start := time.Now()
	*(*uint64)(f.table.cells.Ref(k))++
	return int64(time.Since(start))
}

// commit is the writer too: it takes what there is and throws it away. Next does not wait, because its context has ended.
func (f *freezer) commit() {
	c := f.table.store.Cut()
	for {
		f.table.store.Gather(time.Millisecond)
		chunk, err := c.Next(f.ended)
		switch {
		case errors.Is(err, io.EOF):
			f.last++
			c.Done(meta.Verdict{Base: meta.Base{Job: 1, Checkpoint: f.last}})
			_, err := f.table.store.Settle()
			check(err)
			return
		case err == nil:
			c.Release(chunk)
		case !errors.Is(err, context.Canceled):
			check(err)
		}
	}
}

// clockCost is the median of what is measured when nothing is.
func clockCost() float64 {
	cost := make([]int64, 100_000)
	for i := range cost {
		start := time.Now()
		cost[i] = int64(time.Since(start))
	}
	return quantile(cost, 0.5)
}

// quantile sorts x.
func quantile(x []int64, q float64) float64 {
	slices.Sort(x)
	return float64(x[min(int(q*float64(len(x))), len(x)-1)])
}
