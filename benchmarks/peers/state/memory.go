package main

import (
	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
	"github.com/pagetide/pagetide/mmapstate"
)

// memory fills a table from 10 M to 20 M entries, over which every page splits once, and compares its pages with the
// payload in steps.
func memory[K comparable, V any](b *bench, s shape[K]) {
	const from, to, step = 10_000_000, 20_000_000, 500_000
	if need := 2048 + to/1000*(s.keyBytes+s.valueSize)*3/1000; !host.Room(need) {
		b.skip("memory %s: needs %d MiB of memory to spare", s.name, need)
		return
	}
	t := newPagetideTable[K, V](mmapstate.Options{HashSeed: 1})
	defer t.store.Close()
	const part = 100_000
	numbers := make([]uint64, part)
	for n := part; n <= to; n += part {
		for i := range numbers {
			numbers[i] = uint64(n - part + i)
		}
		keys := s.keys(numbers)
		for i := range keys {
			t.cells.Ref(t.keyer.Key(&keys[i]))
		}
		if n >= from && n%step == 0 {
			m := result.Memory{Shape: s.name, Entries: n, Payload: int64(n) * int64(s.keyBytes+s.valueSize), Bytes: t.store.Stats().Bytes}
			m.Ratio = float64(m.Bytes) / float64(m.Payload)
			b.run.Memory = append(b.run.Memory, m)
		}
	}
	b.progress("memory %s: %.3f times the payload", s.name, b.meanMemory(s.name))
}

// meanMemory is the mean over the steps, 0 if there are none.
func (b *bench) meanMemory(shape string) float64 {
	sum, n := 0.0, 0
	for _, m := range b.run.Memory {
		if m.Shape == shape {
			sum, n = sum+m.Ratio, n+1
		}
	}
	return sum / float64(max(n, 1))
}
