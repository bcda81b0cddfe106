package fuzz

import "encoding/binary"

// patch changes a few bytes of what it is applied to: eight bytes of a fuzzer's input.
type patch struct {
	where byte   // which of several things
	how   byte   // what is done
	at    uint32 // offset, taken modulo the length
	value uint16
}

const (
	patchBytes = 8
	maxPatches = 64
)

func patches(b []byte) (all []patch) {
	for ; len(b) >= patchBytes && len(all) < maxPatches; b = b[patchBytes:] {
		all = append(all, patch{b[0], b[1], uint32(b[2]) | uint32(b[3])<<8 | uint32(b[4])<<16, binary.LittleEndian.Uint16(b[6:])})
	}
	return all
}

func (p patch) bytes() []byte {
	b := []byte{p.where, p.how, byte(p.at), byte(p.at >> 8), byte(p.at >> 16), 0, byte(p.value), byte(p.value >> 8)}
	return b
}

// apply never changes the length.
func (p patch) apply(b []byte) {
	if len(b) < 8 {
		return
	}
	at := int(p.at) % (len(b) - 7)
	switch p.how % 8 {
	case 0:
		b[at] ^= 1 << (p.value % 8)
	case 1:
		b[at] = byte(p.value)
	case 2: // small numbers pass for pages and counts
		binary.LittleEndian.PutUint32(b[at&^3:], uint32(p.value))
	case 3:
		binary.LittleEndian.PutUint32(b[at&^3:], ^uint32(p.value))
	case 4:
		binary.LittleEndian.PutUint64(b[at&^7:], ^uint64(p.value))
	case 5: // a neighbour's bytes
		copy(b[at:], b[int(p.value)%(len(b)-7):][:8])
	case 6:
		binary.LittleEndian.PutUint16(b[at&^1:], p.value)
	case 7:
		clear(b[at:min(len(b), at+int(p.value%256))])
	}
}
