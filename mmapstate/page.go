package mmapstate

import "github.com/pagetide/pagetide/meta"

const (
	pageSize    = meta.PageSize
	extentPages = 4
	extentSize  = extentPages * pageSize // the first extents of a shard
	blockSize   = meta.GroupSize         // later extents come four at a time: one page group
	groupPages  = meta.GroupPages

	// maxPages bounds a shard: 256 GiB.
	maxPages = 1 << 26
)

// Kinds of pages. The numbers are part of the format.
const (
	pageShard     = 1  // page 0 of a shard
	pageTable     = 2  // root of a hash table
	pageDirectory = 3  // part of a large table's directory
	pageBucket    = 4  // entries of a table
	pageSlab      = 5  // byte strings of one size class
	pageRun       = 6  // part of a long byte string
	pageIndex     = 7  // root of an ordered index
	pageLeaf      = 8  // entries of an index
	pageInner     = 9  // separators of an index
	pageFree      = 10 // in the free list
)

// Every page starts with a header of 16 bytes:
//
//	0 kind u8 │ 1 level u8 │ 2 count u16 │ 4 state u16 │ 6 size u16 │ 8 link u32 │ 12 extra u32
//
//	          level          count           size        link                   extra
//	shard                                                first free page        free pages
//	table     depth                                      -                      -
//	directory                                            -                      -
//	bucket    local depth    entries         slot size   overflow page          lanes u8, groups u8, tombstones u16
//	slab      class          slots in use                next of the list       previous of the list
//	run                      bytes                       next page of the run
//	index     tree height                    entry size  tree's root page
//	leaf                     entries         entry size
//	inner     height         children        entry size
//	free                                                 next free page         previous free page
const (
	offKind  = 0
	offLevel = 1
	offCount = 2
	offState = 4
	offSize  = 6
	offLink  = 8
	offExtra = 12
	headSize = 16

	offLanes  = 12
	offGroups = 13
	offTombs  = 14
)

// Page 0 and the roots keep fixed fields behind the header.
const (
	offRoots = 64 // shard: root page by state number, u32 each

	offEntries   = 16                           // table and index: u64
	offDirectory = 64                           // table: buckets, or directory pages beyond inlineDepth
	offSlabs     = offDirectory + 4*inlineSpace // table and index: first slab with room, by class

	maxStates     = 250                       // states of an operator
	inlineDepth   = 9                         // 512 buckets fit the table's root page
	inlineSpace   = 640                       // numbers that the root page has room for
	directorySpan = (pageSize - headSize) / 4 // numbers in a directory page
	maxDepth      = 19                        // 2^19 numbers take 515 directory pages; tables beyond 2 GiB chain pages
)

func (pg *page) kind() byte    { return pg[offKind] }
func (pg *page) level() byte   { return pg[offLevel] }
func (pg *page) count() uint32 { return uint32(load16(pg, offCount)) }
func (pg *page) state() uint16 { return load16(pg, offState) }
func (pg *page) size() uint32  { return uint32(load16(pg, offSize)) }
func (pg *page) link() uint32  { return load32(pg, offLink) }
func (pg *page) extra() uint32 { return load32(pg, offExtra) }

// is tells whether the page is of that kind and state: references are believed only after asking.
func (pg *page) is(kind byte, state uint16) bool { return pg.kind() == kind && pg.state() == state }

// lineBits is the set of lines that n > 0 bytes at off lie on.
func lineBits(off, n uint32) meta.LineMask {
	first, last := off>>6, (off+n-1)>>6
	return meta.AllLines >> (63 - (last - first)) << first
}

func align8(n uint32) uint32 { return alignTo(n, 8) }

// alignTo rounds up to a multiple of a power of two.
func alignTo(n, unit uint32) uint32 { return (n + unit - 1) &^ (unit - 1) }
