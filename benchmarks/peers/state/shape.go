package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"unsafe"
)

// shape is a kind of keys and the size of their values. Key number i is the same key for every store.
type shape[K comparable] struct {
	name      string
	keyBytes  int
	valueSize int
	keys      func(numbers []uint64) []K // of these numbers, in memory of their own
	bytes     func(k *K, buf *[8]byte) []byte
}

// words are 8-byte keys; in stores of byte strings they are big-endian, so that the order is the number's.
var words = shape[uint64]{
	name: "word", keyBytes: 8, valueSize: 16,
	keys: func(numbers []uint64) []uint64 {
		keys := make([]uint64, len(numbers))
		for i, n := range numbers {
			keys[i] = mix(n)
		}
		return keys
	},
	bytes: func(k *uint64, buf *[8]byte) []byte {
		binary.BigEndian.PutUint64(buf[:], *k)
		return buf[:]
	},
}

// strings24 are string keys of 24 bytes.
var strings24 = shape[string]{
	name: "string", keyBytes: 24, valueSize: 100,
	keys: func(numbers []uint64) []string {
		const hex = "0123456789abcdef"
		blob := make([]byte, 0, 24*len(numbers))
		for _, n := range numbers {
			blob = append(blob, "pt-user-"...)
			for x, shift := mix(n), 60; shift >= 0; shift -= 4 {
				blob = append(blob, hex[x>>shift&15])
			}
		}
		keys := make([]string, len(numbers))
		for i := range keys {
			keys[i] = unsafe.String(&blob[24*i], 24)
		}
		return keys
	},
	bytes: func(k *string, _ *[8]byte) []byte { return unsafe.Slice(unsafe.StringData(*k), len(*k)) },
}

// mix scrambles key numbers one to one (splitmix64), so that the order of keys is not that of their numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sorted gives the keys with numbers from..to in the order of their bytes, in which every store loads fastest.
func (s shape[K]) sorted(from, to int) []K {
	numbers := make([]uint64, 0, to-from)
	for n := from; n < to; n++ {
		numbers = append(numbers, uint64(n))
	}
	slices.SortFunc(numbers, func(a, b uint64) int {
		if mix(a) < mix(b) {
			return -1
		}
		return 1
	})
	return s.keys(numbers)
}

// streamLength is how many keys a workload has before it starts over: far more than caches remember.
const streamLength = 1 << 22

// uniform draws every key with the same chance.
func uniform(n int, r *rand.Rand) []uint64 {
	numbers := make([]uint64, streamLength)
	for i := range numbers {
		numbers[i] = r.Uint64N(uint64(n))
	}
	return numbers
}

// zipfian draws keys as YCSB does: key of rank i with a chance in proportion to 1/i^0.99 (Gray et al., "Quickly
// generating billion-record synthetic databases"). Ranks are scrambled by the keys themselves.
func zipfian(n int, r *rand.Rand) []uint64 {
	const theta = 0.99
	zeta := 0.0
	for i := 1; i <= n; i++ {
		zeta += math.Pow(float64(i), -theta)
	}
	alpha := 1 / (1 - theta)
	eta := (1 - math.Pow(2/float64(n), 1-theta)) / (1 - (1+math.Pow(0.5, theta))/zeta)
	numbers := make([]uint64, streamLength)
	for i := range numbers {
		u := r.Float64()
		switch uz := u * zeta; {
		case uz < 1:
			numbers[i] = 0
		case uz < 1+math.Pow(0.5, theta):
			numbers[i] = 1
		default:
			numbers[i] = min(uint64(float64(n)*math.Pow(eta*u-eta+1, alpha)), uint64(n-1))
		}
	}
	return numbers
}
