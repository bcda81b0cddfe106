package mmapstate

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/pagetide/pagetide/meta"
)

// HashName names the function that keys are hashed with. A checkpoint that says another cannot be opened.
const HashName = "pagetide1"

// Key is a key as tables see it. A [Keyer] makes it; whoever makes one by hand for a fixed-size key must use the same
// hash, because tables compute it again from the bytes.
type Key struct {
	Hash  uint64
	Group meta.KeyGroup
	Bytes []byte // a view; tables copy what they keep
}

// KeyShape describes the keys of a state.
type KeyShape struct {
	Fixed       int    // bytes of every key, 0 if they vary
	Suffix      int    // bytes at the end that Key.With or a map of maps added, 0 if none
	Fingerprint string // of the type
}

// With is the shape of keys extended by [Key.With].
func (k KeyShape) With() KeyShape {
	if k.Fixed > 0 {
		k.Fixed += 8
	}
	return KeyShape{Fixed: k.Fixed, Suffix: 8, Fingerprint: k.Fingerprint + "+u64"}
}

// With extends a key by a number: a window of the key, an element of its list. It stays in the key's group. The bytes
// lie in scratch, which is reused: they are valid until the next call with the same scratch.
func (k Key) With(n uint64, scratch *[]byte) Key {
	b := append((*scratch)[:0], k.Bytes...)
	b = binary.LittleEndian.AppendUint64(b, n)
	*scratch = b
	return Key{Hash: joinHash(k.Hash, n), Group: k.Group, Bytes: b}
}

// Hinted is With without the bytes: good for hints, which read none.
func (k Key) Hinted(n uint64) Key { return Key{Hash: joinHash(k.Hash, n), Group: k.Group} }

func joinHash(h, n uint64) uint64 { return mix(h ^ mix(n+0x9e3779b97f4a7c15)) }

// mix is a bijection in which every input bit decides every output bit ("moremur").
func mix(x uint64) uint64 {
	x ^= x >> 27
	x *= 0x3c79ac492ba7b653
	x ^= x >> 33
	x *= 0x1c69b3f74ac4ae35
	return x ^ x>>27
}

// hashKey hashes the bytes of a key. Small fixed-size keys skip the byte hash: mix alone separates them.
func hashKey(b []byte, fixed bool, seed uint64) uint64 {
	if fixed && len(b) <= 8 {
		return mix(word(b) ^ seed)
	}
	return mix(xxhash.Sum64(b) ^ seed)
}

// rehash computes the hash of a fixed-size key from the bytes in its slot.
func (k KeyShape) rehash(b []byte, seed uint64) uint64 {
	if k.Suffix == 0 {
		return hashKey(b, true, seed)
	}
	n := len(b) - k.Suffix
	return joinHash(hashKey(b[:n], true, seed), hashSuffix(b[n:]))
}

// groupOf places a hash in one of n key groups, by other bits than tables use.
func groupOf(hash uint64, n int) meta.KeyGroup {
	hi, _ := bits.Mul64(hash*0xd6e8feb86659fd93, uint64(n))
	return meta.KeyGroup(hi)
}

// hashSuffix makes the number that joinHash takes of the bytes behind a key.
func hashSuffix(b []byte) uint64 {
	if len(b) <= 8 {
		return word(b)
	}
	return xxhash.Sum64(b)
}

// splitHash undoes joinHash: all its steps are bijections.
func splitHash(joined, n uint64) uint64 { return unmix(joined) ^ mix(n+0x9e3779b97f4a7c15) }

// unmix undoes mix.
func unmix(x uint64) uint64 {
	x ^= x>>27 ^ x>>54
	x *= 0xc47c8f6b6bafb41d
	x ^= x >> 33
	x *= 0xc09c5fe5bd6dfddb
	return x ^ x>>27 ^ x>>54
}
