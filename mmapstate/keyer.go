package mmapstate

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/pagetide/pagetide/meta"
)

// Keyer turns keys of a Go type into [Key]s. It is built once and may be used by several goroutines.
type Keyer[K any] struct {
	shape  KeyShape
	seed   uint64
	groups int
}

// NewKeyer admits K as a key type: strings, integers, booleans, and arrays and structs of fixed size without padding,
// floats or pointers. The error names what is in the way, and the field to add. The seed and the number of key groups
// are a store's; all operators of a job have the same.
func NewKeyer[K any](seed uint64, groups int) (*Keyer[K], error) {
	t := reflect.TypeFor[K]()
	k := &Keyer[K]{seed: seed, groups: groups}
	if t.Kind() == reflect.String {
		k.shape.Fingerprint = "string"
		return k, nil
	}
	print, err := flatKey(t)
	if err != nil {
		return nil, err
	}
	k.shape = KeyShape{Fixed: int(t.Size()), Fingerprint: print}
	return k, nil
}

// Shape describes the keys to the states that use them.
func (k *Keyer[K]) Shape() KeyShape { return k.shape }

// Fixed is the size of every key in bytes, 0 if sizes vary.
func (k *Keyer[K]) Fixed() int { return k.shape.Fixed }

// Fingerprint tells the key type.
func (k *Keyer[K]) Fingerprint() string { return k.shape.Fingerprint }

// Key views a key, without allocation: the result must not outlive *key, and *key must not change meanwhile.
func (k *Keyer[K]) Key(key *K) Key {
	if k.shape.Fixed == 8 { // most keys are one word
		h := mix(*(*uint64)(unsafe.Pointer(key)) ^ k.seed)
		return Key{Hash: h, Group: groupOf(h, k.groups), Bytes: unsafe.Slice((*byte)(unsafe.Pointer(key)), 8)}
	}
	b := k.view(key)
	h := hashKey(b, k.shape.Fixed != 0, k.seed)
	return Key{Hash: h, Group: groupOf(h, k.groups), Bytes: b}
}

// Hash gives the hash and the group of a key.
func (k *Keyer[K]) Hash(key *K) (uint64, meta.KeyGroup) {
	if k.shape.Fixed == 8 {
		h := mix(*(*uint64)(unsafe.Pointer(key)) ^ k.seed)
		return h, groupOf(h, k.groups)
	}
	h := hashKey(k.view(key), k.shape.Fixed != 0, k.seed)
	return h, groupOf(h, k.groups)
}

func (k *Keyer[K]) view(key *K) []byte {
	if k.shape.Fixed != 0 {
		return bytesOf(unsafe.Pointer(key), k.shape.Fixed)
	}
	s := *(*string)(unsafe.Pointer(key))
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// BytesKey views a byte slice as a key of type string, without a copy, for one call: states with keys of type string take
// it like any other, and copy what they keep. The bytes must not change before the call returns.
func BytesKey(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Decode makes a key from the bytes of a [Key]. A string is a copy. Bytes of another length panic.
func (k *Keyer[K]) Decode(b []byte) (key K) {
	if k.shape.Fixed == 0 {
		*(*string)(unsafe.Pointer(&key)) = string(b)
		return key
	}
	if len(b) != k.shape.Fixed {
		panic(fmt.Sprintf("mmapstate: %d bytes are no key of %d", len(b), k.shape.Fixed))
	}
	copy(bytesOf(unsafe.Pointer(&key), len(b)), b)
	return key
}
