package mmapstate

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/pagetide/pagetide/meta"
)

// HashName names the function that keys are hashed with. A checkpoint that says another cannot be opened.
const HashName = "pagetide1"

// Key is a key as tables see it. A [Keyer] makes it; whoever makes one by hand must use the same hash, because tables
// compute it again from the bytes, unless there are more than 31 and keys vary in length.
type Key struct {
	Hash  uint64
	Group meta.KeyGroup
	Bytes []byte // a view; tables copy what they keep
}

// KeyShape describes the keys of a state.
type KeyShape struct {
	Fixed       int    // bytes of every key, 0 if they vary
	Suffix      int    // bytes at the end that Key.With, WithPair or a map of maps added, 0 if none, -1 if they vary
	Fingerprint string // of the type

	base int // bytes in front of the suffix, 0 if they vary
}

// With is the shape of keys extended by [Key.With].
func (k KeyShape) With() KeyShape {
	return k.extended(8, k.Fingerprint+"+u64")
}

// extended is the shape of keys with n more bytes at the end, -1 if they vary.
func (k KeyShape) extended(n int, print string) KeyShape {
	e := KeyShape{Suffix: n, Fingerprint: print, base: k.Fixed}
	if k.Fixed > 0 && n > 0 && k.Fixed+n <= maxInline {
		e.Fixed = k.Fixed + n
	}
	return e
}

// With extends a key by a number: a window of the key, an element of its list. It stays in the key's group. The bytes
// lie in scratch, which is reused: they are valid until the next call with the same scratch.
func (k Key) With(n uint64, scratch *[]byte) Key {
	b := append((*scratch)[:0], k.Bytes...)
	b = binary.LittleEndian.AppendUint64(b, n)
	*scratch = b
	return Key{Hash: joinHash(k.Hash, n), Group: k.Group, Bytes: b}
}

// pairPrint is how key types name what [Key.WithPair] adds.
const pairPrint = "le:[2]uint64"

// WithPair is the shape of keys extended by [Key.WithPair].
func (k KeyShape) WithPair() KeyShape { return k.extended(16, k.Fingerprint+"+"+pairPrint) }

// WithPair extends a key by two numbers: an element of a window of the key, and its place there. It is else as With.
func (k Key) WithPair(n, m uint64, scratch *[]byte) Key {
	b := append((*scratch)[:0], k.Bytes...)
	b = binary.LittleEndian.AppendUint64(b, n)
	b = binary.LittleEndian.AppendUint64(b, m)
	*scratch = b
	return Key{Hash: joinHash(k.Hash, hashSuffix(b[len(k.Bytes):])), Group: k.Group, Bytes: b}
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

// rehash computes the hash of a key from the bytes in its slot. Bytes that are no key of the shape have any.
func (k KeyShape) rehash(b []byte, seed uint64) uint64 {
	if k.Suffix == 0 {
		return hashKey(b, k.Fixed > 0, seed)
	}
	key, suffix, _ := k.cut(b)
	return joinHash(hashKey(key, k.Fixed > 0 || k.base > 0, seed), hashSuffix(suffix))
}

// cut parts an extended key. Where both parts vary in length, the key's own stands at the end.
func (k KeyShape) cut(b []byte) (key, suffix []byte, ok bool) {
	n, end := k.base, len(b)
	switch {
	case n > 0:
	case k.Suffix > 0:
		n = end - k.Suffix
	default:
		if end -= 4; end >= 0 {
			n = int(binary.LittleEndian.Uint32(b[end:]))
		}
	}
	if n < 0 || n > end {
		return nil, nil, false
	}
	return b[:n], b[n:end], true
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
