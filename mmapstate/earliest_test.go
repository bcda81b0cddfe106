package mmapstate

import (
	"math/rand/v2"
	"testing"
)

// TestIndexKnowsItsEarliest removes entries of few times, which lie in many leaves, in a random order: at each step the
// earliest is that of those left.
func TestIndexKnowsItsEarliest(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 44))
		s := New(Options{KeyGroups: 1, HashSeed: 1})
		keyer := must(NewKeyer[uint64](s.HashSeed(), s.KeyGroups()))
		x := must(s.Index("x", keyer.Shape()))
		left := map[int64]int{}
		for i := range uint64(1000) {
			at := int64(i) % 3
			x.Insert(keyer.Key(&i), at)
			left[at]++
		}
		for _, i := range rnd.Perm(1000) {
			k, at := uint64(i), int64(i)%3
			if !x.Delete(keyer.Key(&k), at) {
				t.Fatalf("seed %d: %d is not there at %d", seed, k, at)
			}
			left[at]--
			want := int64(0)
			for want < 3 && left[want] == 0 {
				want++
			}
			if got, ok := x.Min(); ok != (want < 3) || ok && got != want {
				t.Fatalf("seed %d: the earliest is at %d (%t), want %d", seed, got, ok, want)
			}
		}
		s.Close()
	}
}
