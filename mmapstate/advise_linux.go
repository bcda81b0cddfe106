//go:build linux && !heaparena

package mmapstate

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages. It is a hint: a kernel without them only makes state slower.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// adviseUnused gives memory back; it reads as zero afterwards. If the kernel refuses, it stays in use.
func adviseUnused(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }
