package main

import "encoding/binary"

// Go's own map, without any durability: the upper reference.

const gomapSettings = "grown, not presized. word: map[uint64]complex128, because += on it is the only update of a 16-byte value that a map does with one lookup; string: map[string][100]byte, looked up and stored again"

type wordMap map[uint64]complex128

func (wordMap) name() string { return "gomap" }

func (m wordMap) load(keys []uint64) { m.insert(keys) }

func (m wordMap) rmw(keys []uint64) {
	for _, k := range keys {
		m[k] += 1
	}
}

func (m wordMap) read(keys []uint64) uint64 {
	sum := 0.0
	for _, k := range keys {
		v, ok := m[k]
		if !ok {
			missing(m.name(), k)
		}
		sum += real(v)
	}
	return uint64(sum)
}

func (m wordMap) insert(keys []uint64) {
	for _, k := range keys {
		m[k] = 0
	}
}

func (m wordMap) remove(keys []uint64) {
	for _, k := range keys {
		delete(m, k)
	}
}

func (wordMap) rest()    {}
func (m wordMap) close() { clear(m) }

type stringMap map[string][100]byte

func (stringMap) name() string { return "gomap" }

func (m stringMap) load(keys []string) { m.insert(keys) }

func (m stringMap) rmw(keys []string) {
	for _, k := range keys {
		v := m[k]
		add(v[:])
		m[k] = v
	}
}

func (m stringMap) read(keys []string) (sum uint64) {
	for _, k := range keys {
		v, ok := m[k]
		if !ok {
			missing(m.name(), k)
		}
		sum += binary.LittleEndian.Uint64(v[:])
	}
	return sum
}

func (m stringMap) insert(keys []string) {
	var zero [100]byte
	for _, k := range keys {
		m[k] = zero
	}
}

func (m stringMap) remove(keys []string) {
	for _, k := range keys {
		delete(m, k)
	}
}

func (stringMap) rest()    {}
func (m stringMap) close() { clear(m) }
