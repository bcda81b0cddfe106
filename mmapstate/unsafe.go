package mmapstate

import "unsafe"

// The only pointer arithmetic of the package. Offsets come from layouts that were checked when a page was loaded or
// made, and are always within the page.

// page is 4 KiB of one shard.
type page [pageSize]byte

// extent is the unit that a shard's page table points to.
type extent [extentPages]page

// addressOf is where memory lies: regions are aligned, and never move.
func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// chunkAround is the chunk of a region that a block is part of.
func chunkAround(block []byte) []byte {
	p := unsafe.Pointer(unsafe.SliceData(block))
	return bytesOf(unsafe.Add(p, -int(uintptr(p)%chunkSize)), chunkSize)
}

func asExtent(b []byte) *extent { return (*extent)(unsafe.Pointer(&b[0])) }

func ptrAt(pg *page, off uint32) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(pg), off) }

func load16(pg *page, off uint32) uint16 { return *(*uint16)(ptrAt(pg, off)) }
func load32(pg *page, off uint32) uint32 { return *(*uint32)(ptrAt(pg, off)) }
func load64(pg *page, off uint32) uint64 { return *(*uint64)(ptrAt(pg, off)) }

// load64At reads a word of memory outside pages: a key's.
func load64At(p unsafe.Pointer) uint64 { return *(*uint64)(p) }

func store16(pg *page, off uint32, v uint16) { *(*uint16)(ptrAt(pg, off)) = v }
func store32(pg *page, off uint32, v uint32) { *(*uint32)(ptrAt(pg, off)) = v }
func store64(pg *page, off uint32, v uint64) { *(*uint64)(ptrAt(pg, off)) = v }

// bytesOf views n bytes at p. The view lives as long as what p points to.
func bytesOf(p unsafe.Pointer, n int) []byte { return unsafe.Slice((*byte)(p), n) }

// word reads the at most eight bytes of a small key as a number, without allocation.
func word(b []byte) uint64 {
	if len(b) == 8 {
		return *(*uint64)(unsafe.Pointer(unsafe.SliceData(b)))
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v
}

// ptr is a pointer into a page, in signatures.
type ptr = unsafe.Pointer
