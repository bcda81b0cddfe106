package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

// chunk is how many keys a store gets at a time; between chunks the clock is read.
const chunk = 4096

// measure runs all workloads on n keys of one shape. All stores are loaded at once and take turns, so that what disturbs
// the machine disturbs all of them.
func measure[K comparable](b *bench, s shape[K], n int, own func() []store[K]) {
	label := result.Label(n)
	if need := 2048 + n/1000*(s.keyBytes+s.valueSize+32)*8/1000; !host.Room(need) {
		b.skip("%s %s: needs %d MiB of memory to spare", s.name, label, need)
		return
	}
	dir, err := os.MkdirTemp(b.dir, "pagetide-bench-")
	check(err)
	defer os.RemoveAll(dir)
	var stores []store[K]
	for _, st := range own() {
		if b.wants(st.name()) {
			stores = append(stores, st)
		}
	}
	add := func(name string, open func(dir string, valueSize int) byteStore) {
		if b.wants(name) {
			sub := filepath.Join(dir, name)
			check(os.Mkdir(sub, 0o700))
			if st := open(sub, s.valueSize); st != nil {
				stores = append(stores, newOverBytes(s, st))
			}
		}
	}
	add("bbolt", func(dir string, size int) byteStore { return newBbolt(dir, size) })
	add("pebble", func(dir string, size int) byteStore { return newPebble(dir, size) })
	add("rocksdb", newRocksDB)
	add("badger", func(_ string, size int) byteStore { return newBadger(size) })

	keys := s.sorted(0, n)
	for _, st := range stores {
		start := time.Now()
		st.load(keys)
		b.progress("%s %s: %s loaded in %.1fs", s.name, label, st.name(), time.Since(start).Seconds())
	}
	keys = nil
	runtime.GC()

	seed := rand.NewPCG(1, uint64(n))
	for _, dist := range []string{"uniform", "zipfian"} {
		draw := uniform
		if dist == "zipfian" {
			draw = zipfian
		}
		stream := s.keys(draw(n, rand.New(seed)))
		for _, workload := range []string{"rmw", "read"} {
			b.rotate(workload, dist, s.name, n, names(stores), func(i int) (time.Duration, int64) {
				st := stores[i]
				defer st.rest()
				at := 0
				work := func(keys []K) { st.rmw(keys) }
				if workload == "read" {
					work = func(keys []K) { sink += st.read(keys) }
				}
				return timed(b.round, func() int {
					if at+chunk > len(stream) {
						at = 0
					}
					work(stream[at : at+chunk])
					at += chunk
					return chunk
				})
			})
		}
	}

	// Keys that are not there, in no order; each is inserted once and deleted once, so there is nothing to draw.
	fresh := s.sorted(n, n+max(chunk, min(n/4, 64*chunk)/chunk*chunk))
	rand.New(seed).Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
	deletes := make([][]timing, len(stores))
	b.rotate("insert", "uniform", s.name, n, names(stores), func(i int) (time.Duration, int64) {
		st := stores[i]
		defer st.rest()
		var in, out timing
		for in.took+out.took < 2*b.round {
			done := 0
			took, ops := timed(b.round, func() int {
				if done == len(fresh) {
					return 0
				}
				st.insert(fresh[done : done+chunk])
				done += chunk
				return chunk
			})
			in.took, in.ops = in.took+took, in.ops+ops
			at := 0
			took, ops = timed(time.Hour, func() int {
				if at == done {
					return 0
				}
				st.remove(fresh[at : at+chunk])
				at += chunk
				return chunk
			})
			out.took, out.ops = out.took+took, out.ops+ops
		}
		deletes[i] = append(deletes[i], out)
		return in.took, in.ops
	})
	b.rotate("delete", "uniform", s.name, n, names(stores), func(i int) (time.Duration, int64) {
		t := deletes[i][0]
		deletes[i] = deletes[i][1:]
		return t.took, t.ops
	})
	for _, st := range stores {
		st.close()
	}
	runtime.KeepAlive(sink)
}

type timing struct {
	took time.Duration
	ops  int64
}

// sink keeps what reads return alive.
var sink uint64

func names[K comparable](stores []store[K]) (names []string) {
	for _, st := range stores {
		names = append(names, st.name())
	}
	return names
}

// timed repeats f, which tells how many operations it did, until the time is up or nothing is left to do. The time is
// what has passed, or what all threads of the process have used if that is less: then the neighbours had the machine.
// So a store that works on several cores pays for what passes only, and no store pays for the neighbours.
func timed(limit time.Duration, f func() int) (took time.Duration, ops int64) {
	for start, cpu := time.Now(), host.CPUTime(); took < limit; took = min(time.Since(start), host.CPUTime()-cpu) {
		n := f()
		if n == 0 {
			return took, ops
		}
		ops += int64(n)
		if time.Since(start) > 10*limit { // the neighbours leave little
			return min(time.Since(start), host.CPUTime()-cpu), ops
		}
	}
	return took, ops
}

// rotate runs a workload on each store in turn, one round to warm up and then those that count.
func (b *bench) rotate(workload, dist, shape string, n int, stores []string, f func(store int) (time.Duration, int64)) {
	cells := make([]result.Cell, len(stores))
	for round := range b.rounds + 1 {
		for i, name := range stores {
			took, ops := f(i)
			c := &cells[i]
			*c = result.Cell{Workload: workload, Dist: dist, Shape: shape, Keys: n, Store: name, Rounds: c.Rounds, Ops: c.Ops}
			if round > 0 {
				c.Rounds = append(c.Rounds, float64(took.Nanoseconds())/float64(ops))
				c.Ops += ops
			}
		}
	}
	line := ""
	for i := range cells {
		c := &cells[i]
		c.Median, c.Min = median(c.Rounds), slices.Min(c.Rounds)
		line += " " + c.Store + " " + ns(c.Median)
	}
	b.progress("%s %s %s %s:%s", shape, result.Label(n), workload, dist, line)
	b.run.Cells = append(b.run.Cells, cells...)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	if n := len(x); n%2 == 0 {
		return (x[n/2-1] + x[n/2]) / 2
	}
	return x[len(x)/2]
}
