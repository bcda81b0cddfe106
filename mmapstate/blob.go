package mmapstate

import (
	"fmt"

	"github.com/pagetide/pagetide/meta"
)

// A reference stands for a byte string of any length up to maxBlob:
//
//	0 length u32 │ 4 up to 12 bytes                              short
//	0 length u32 │ 4 first 4 bytes │ 8 page u32 │ 12 slot u32    in a slab, or in a run of pages from that page on
//
// Whether the string is short, in a slab or in a run follows from its length.
const (
	maxShort = 12
	maxSlab  = 2024
	maxBlob  = 16 << 20

	runBytes = pageSize - headSize
)

// errBlobSize refuses a byte string before anything is changed.
func errBlobSize(n int) error {
	return fmt.Errorf("%d bytes are over the limit of %d for one key or value: %w", n, maxBlob, meta.ErrIncompatible)
}

// putRef stores b and writes a reference to it at off of page p.
func (sh *shard) putRef(h *head, no uint16, p, off uint32, b []byte) {
	if len(b) > maxBlob {
		panic("mmapstate: " + errBlobSize(len(b)).Error())
	}
	var at, slot uint32
	switch {
	case len(b) > maxSlab:
		at = sh.putRun(no, b)
	case len(b) > maxShort:
		at, slot = sh.putSlab(h, no, b)
	}
	pg := sh.edit(p, off, refSize)
	clear(bytesOf(ptrAt(pg, off), refSize))
	store32(pg, off, uint32(len(b)))
	if len(b) <= maxShort {
		copy(bytesOf(ptrAt(pg, off+4), maxShort), b)
		return
	}
	copy(bytesOf(ptrAt(pg, off+4), 4), b)
	store32(pg, off+8, at)
	store32(pg, off+12, slot)
}

// refBytes appends the byte string that a reference stands for.
func (sh *shard) refBytes(pg *page, off uint32, no uint16, buf []byte) []byte {
	n := load32(pg, off)
	if n <= maxShort {
		return append(buf, bytesOf(ptrAt(pg, off+4), int(n))...)
	}
	at := load32(pg, off+8)
	if n <= maxSlab {
		return append(buf, sh.slabBytes(no, at, load32(pg, off+12), n)...)
	}
	for n > 0 {
		run := sh.run(no, at, n)
		part := min(n, runBytes)
		buf = append(buf, run[headSize:headSize+part]...)
		n -= part
		at = run.link()
	}
	return buf
}

// refEqual compares the byte string that a reference stands for, cheapest first.
func (sh *shard) refEqual(pg *page, off uint32, no uint16, b []byte) bool {
	n := load32(pg, off)
	if int(n) != len(b) {
		return false
	}
	if n <= maxShort {
		return string(bytesOf(ptrAt(pg, off+4), int(n))) == string(b)
	}
	if string(bytesOf(ptrAt(pg, off+4), 4)) != string(b[:4]) {
		return false
	}
	at := load32(pg, off+8)
	if n <= maxSlab {
		return string(sh.slabBytes(no, at, load32(pg, off+12), n)) == string(b)
	}
	for len(b) > 0 {
		run := sh.run(no, at, uint32(len(b)))
		part := min(len(b), runBytes)
		if string(run[headSize:headSize+part]) != string(b[:part]) {
			return false
		}
		b = b[part:]
		at = run.link()
	}
	return true
}

// freeRef gives back what a reference stands for. The reference itself is left as it is.
func (sh *shard) freeRef(h *head, no uint16, pg *page, off uint32) {
	n, at := load32(pg, off), load32(pg, off+8)
	switch {
	case n > maxSlab:
		for n > 0 {
			run := sh.run(no, at, n)
			next := run.link()
			sh.free(at)
			n -= min(n, runBytes)
			at = next
		}
	case n > maxShort:
		sh.freeSlab(h, no, at, load32(pg, off+12), n)
	}
}

// putRun stores b in a chain of pages of its own.
func (sh *shard) putRun(no uint16, b []byte) uint32 {
	var first, last uint32
	for len(b) > 0 {
		p, pg := sh.alloc(pageRun, no)
		n := copy(pg[headSize:], b)
		store16(pg, offCount, uint16(n))
		b = b[n:]
		if first == 0 {
			first = p
		} else {
			sh.put32(last, offLink, p)
		}
		last = p
	}
	return first
}

// run follows a run with n bytes to go. The length bounds the walk: a circle cannot hold it up.
func (sh *shard) run(no uint16, p, n uint32) *page {
	pg := sh.see(p, pageRun, no)
	if n > maxBlob || pg.count() != min(n, runBytes) {
		sh.damaged(p, "run holds %d bytes of %d", pg.count(), n)
	}
	return pg
}
