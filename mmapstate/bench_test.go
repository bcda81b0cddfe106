package mmapstate

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkRef(b *testing.B) {
	for _, n := range []uint64{1e6} {
		b.Run(fmt.Sprintf("kind=cellmap/keys=%d", n), func(b *testing.B) {
			s := New(Options{HashSeed: 1})
			defer s.Close()
			m, err := NewCellMap[uint64, int64](s, "counts")
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				*m.Ref(i) = 1
			}
			r := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				*m.Ref(r.Uint64N(n))++
			}
			b.ReportMetric(float64(s.Stats().Bytes)/float64(n), "B/entry")
		})
		b.Run(fmt.Sprintf("kind=gomap/keys=%d", n), func(b *testing.B) {
			m := map[uint64]int64{}
			for i := range n {
				m[i] = 1
			}
			r := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				m[r.Uint64N(n)]++
			}
		})
	}
}
