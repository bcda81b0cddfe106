//go:build heaparena

package mmapstate

// The heap twin: the race detector sees Go memory only, so `go test -race -tags heaparena` runs the same code on it.

const (
	regionSize = 1 << 20
	chunkSize  = 256 << 10
)

type region struct{ bytes []byte }

func mapRegion() (region, error) {
	b := make([]byte, regionSize+chunkSize)
	skip := -addressOf(b) % chunkSize
	return region{bytes: b[skip : skip+regionSize : skip+regionSize]}, nil
}

func (r *region) unmap() error { return nil }

// discard spoils memory that was given back, so that a read that still goes there shows.
func discard(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
