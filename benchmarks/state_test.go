package benchmarks

import (
	"fmt"
	"testing"

	"github.com/pagetide/pagetide/mmapstate"
)

// numbers is a value of 16 bytes.
type numbers struct{ N, Sum int64 }

// stateBatch is how many records' keys are hashed and hinted at before they are worked on.
const stateBatch = 64

// BenchmarkState works on keyed state with 8-byte keys and 16-byte values, an op on each key, beside Go's own map. The
// stores of others are in the nested module peers: make bench-state.
func BenchmarkState(b *testing.B) {
	for _, n := range []int64{1_000, 100_000, 1_000_000} {
		cells, keyer := stateCells(b, n)
		m := map[uint64]numbers{}
		for i := range n {
			m[scramble(i)] = numbers{}
		}
		bench := func(op, store string, f func(first, count int64)) {
			b.Run(fmt.Sprintf("op=%s/keys=%d/store=%s", op, n, store), func(b *testing.B) {
				b.ReportAllocs()
				for i := int64(0); i < int64(b.N); i += stateBatch {
					f(i, min(stateBatch, int64(b.N)-i))
				}
			})
		}
		batch := func(first, count, from int64) []mmapstate.Key {
			for i := range count {
				stateKeys[i] = scramble(from + draw(first+i)%n)
				stateViews[i] = keyer.Key(&stateKeys[i])
			}
			cells.Look(stateViews[:count], stateFound[:count])
			return stateViews[:count]
		}

		bench("rmw", "pagetide", func(first, count int64) {
			for i := range batch(first, count, 0) {
				(*numbers)(cells.RefAt(&stateFound[i], &stateViews[i])).N++
			}
		})
		bench("rmw", "gomap", func(first, count int64) {
			for i := range count {
				k := scramble(draw(first+i) % n)
				v := m[k]
				v.N++
				m[k] = v
			}
		})
		bench("read", "pagetide", func(first, count int64) {
			for i := range batch(first, count, 0) {
				stateSink += uint64((*numbers)(cells.PeekAt(&stateFound[i], &stateViews[i])).N)
			}
		})
		bench("read", "gomap", func(first, count int64) {
			for i := range count {
				stateSink += uint64(m[scramble(draw(first+i)%n)].N)
			}
		})
		bench("insert+delete", "pagetide", func(first, count int64) { // of keys that are not there
			views := batch(first, count, n)
			for _, k := range views {
				(*numbers)(cells.Ref(k)).N = 1
			}
			for _, k := range views {
				cells.Delete(k)
			}
		})
		bench("insert+delete", "gomap", func(first, count int64) {
			for i := range count {
				m[scramble(n+draw(first+i)%n)] = numbers{N: 1}
			}
			for i := range count {
				delete(m, scramble(n+draw(first+i)%n))
			}
		})
	}
}

var (
	stateKeys  [stateBatch]uint64
	stateViews [stateBatch]mmapstate.Key
	stateFound [stateBatch]mmapstate.Found
	stateSink  uint64 // keeps reads alive
)

func stateCells(b *testing.B, n int64) (*mmapstate.Cells, *mmapstate.Keyer[uint64]) {
	s := mmapstate.New(mmapstate.Options{HashSeed: 1})
	b.Cleanup(func() { s.Close() })
	keyer, err := mmapstate.NewKeyer[uint64](s.HashSeed(), s.KeyGroups())
	if err != nil {
		b.Fatal(err)
	}
	cells, err := s.Cells("numbers", keyer.Shape(), 16, "numbers")
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		k := scramble(i)
		cells.Ref(keyer.Key(&k))
	}
	return cells, keyer
}

// draw gives the i-th of a fixed series of numbers without visible order.
func draw(i int64) int64 {
	x := uint64(i) * 0xd6e8feb86659fd93
	x ^= x >> 32
	return int64(x * 0xd6e8feb86659fd93 >> 8)
}
