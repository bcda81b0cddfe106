//go:build !heaparena

package mmapstate

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/edsrzf/mmap-go"
)

const (
	regionSize  = 64 << 20
	regionAlign = 2 << 20 // a huge page
)

// region is one mapping. bytes is its aligned part.
type region struct {
	bytes []byte
	whole mmap.MMap
}

// mapRegion maps private anonymous memory: RDWR|ANON would be shared memory, on which huge pages are off by default.
func mapRegion() (region, error) {
	mode := mmap.COPY
	if runtime.GOOS == "windows" { // a paging file section cannot be copied on write, and is private anyway
		mode = mmap.RDWR
	}
	m, err := mmap.MapRegion(nil, regionSize+regionAlign, mode, mmap.ANON, 0)
	if err != nil {
		return region{}, fmt.Errorf("map %d MiB of state memory: %w", regionSize>>20, err)
	}
	skip := -uintptr(unsafe.Pointer(&m[0])) % regionAlign
	b := m[skip : skip+regionSize : skip+regionSize]
	adviseHuge(b)
	return region{bytes: b, whole: m}, nil
}

func (r *region) unmap() error { return r.whole.Unmap() }

// discard gives the memory of an evicted group back. Its content is unspecified afterwards.
func discard(b []byte) { adviseUnused(b) }
