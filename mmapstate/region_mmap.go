//go:build !heaparena

package mmapstate

import (
	"fmt"
	"runtime"

	"github.com/edsrzf/mmap-go"
)

const (
	regionSize = 64 << 20
	chunkSize  = 2 << 20 // a huge page; regions begin with one
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
	m, err := mmap.MapRegion(nil, regionSize+chunkSize, mode, mmap.ANON, 0)
	if err != nil {
		return region{}, fmt.Errorf("map %d MiB of state memory: %w", regionSize>>20, err)
	}
	skip := -addressOf(m) % chunkSize
	b := m[skip : skip+regionSize : skip+regionSize]
	adviseHuge(b)
	return region{bytes: b, whole: m}, nil
}

func (r *region) unmap() error { return r.whole.Unmap() }

// discard gives memory back to the system. Its content is unspecified afterwards.
func discard(b []byte) { adviseUnused(b) }
