//go:build heaparena

package mmapstate

// The heap twin: the race detector sees Go memory only, so `go test -race -tags heaparena` runs the same code on it.

const regionSize = 1 << 20

type region struct{ bytes []byte }

func mapRegion() (region, error) { return region{bytes: make([]byte, regionSize)}, nil }

func (r *region) unmap() error { return nil }

// discard spoils the memory of an evicted group, so that a read that forgot to load it shows.
func discard(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
