package mmapstate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pagetide/pagetide/meta"
)

// BenchmarkRef increments the counter of a random key, beside Go's own map. Hinted reads
// the lines of 64 keys first, as a batch of records allows.
func BenchmarkRef(b *testing.B) {
	for _, n := range []uint64{1e4, 1e6} {
		keys := batches(n)
		b.Run(fmt.Sprintf("kind=cellmap/keys=%d", n), func(b *testing.B) {
			m, s := counters(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				*m.Ref(keys[i%len(keys)])++
			}
			b.ReportMetric(float64(s.Stats().Bytes)/float64(n), "B/entry")
		})
		b.Run(fmt.Sprintf("kind=looked/keys=%d", n), func(b *testing.B) {
			m, _ := counters(b, n)
			var views [64]Key
			var found [64]Found
			for i := 0; b.Loop(); i++ {
				at := i % len(views)
				if at == 0 {
					for j := range views {
						views[j] = m.keyer.Key(&keys[(i+j)%len(keys)])
					}
					m.cells.Look(views[:], found[:])
				}
				*(*int64)(m.cells.RefAt(&found[at], &views[at]))++
			}
		})
		b.Run(fmt.Sprintf("kind=gomap/keys=%d", n), func(b *testing.B) {
			m := map[uint64]int64{}
			for i := range n {
				m[i] = 1
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m[keys[i%len(keys)]]++
			}
		})
	}
}

func batches(n uint64) []uint64 {
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]uint64, 1<<16)
	for i := range keys {
		keys[i] = r.Uint64N(n)
	}
	return keys
}

func counters(b *testing.B, n uint64) (CellMap[uint64, int64], *Store) {
	b.Helper()
	s := New(Options{HashSeed: 1})
	b.Cleanup(func() { s.Close() })
	m, err := NewCellMap[uint64, int64](s, "counts")
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		*m.Ref(i) = 1
	}
	return m, s
}

// BenchmarkFreeze shows that a barrier costs the same whatever was written: an abort before any shard
// noticed, which is part of the operation, undoes it.
func BenchmarkFreeze(b *testing.B) {
	for _, n := range []uint64{1e3, 1e6} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			_, s := counters(b, n)
			for b.Loop() {
				if _, err := s.Freeze(); err != nil {
					b.Fatal(err)
				}
				s.takeIn(s.cut, s.cut.giveUp(meta.ErrAborted))
			}
		})
	}
}
