package snapshotter

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

// damage is a checkpoint with one file that is not what it was.
type damage struct {
	name string // of the file
	what string
	b    []byte // nil: the file is gone
	want error
	flip bool // only the byte at differs
	at   int
}

// TestCorrupt damages every file of small checkpoints in every way: each must be found by Verify, which names file and
// place, and nothing wrong may be restored without it.
func TestCorrupt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		embed int64
	}{
		{"a chain of data files", 0},
		{"pages in the metadata", 1 << 20},
	} {
		files, want := sampleOf(t, 0, tt.embed)
		other, _ := sampleOf(t, 1, tt.embed)
		must(t, verifyAll(t, lay(t, files)))
		for _, kind := range []struct {
			name  string
			every int // a sample takes one of so many
			all   func(files, other map[string][]byte, try func(damage))
		}{
			{"bits flipped", 97, flips},
			{"files cut short", 97, cuts},
			{"files gone, longer, doubled, swapped", 1, wholes},
		} {
			tally := vfstest.NewTally(t, "corrupt", tt.name+": "+kind.name)
			damages := make(chan damage, 100)
			var workers sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				workers.Go(func() {
					for d := range damages {
						tally.Try()
						if err := d.undetected(t, files, want); err != nil {
							tally.Wrong("%s %s: %v", d.name, d.what, err)
						}
					}
				})
			}
			n := 0
			kind.all(files, other, func(d damage) {
				if n++; !quick() || n%kind.every == 0 {
					damages <- d
				}
			})
			close(damages)
			workers.Wait()
		}
	}
}

// smallFile is a size up to which every bit is flipped, and not one per byte.
const smallFile = 4 << 10

func flips(files, _ map[string][]byte, try func(damage)) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for i := range files[name] {
			for bit := range 8 {
				if len(files[name]) > smallFile && vfstest.Size() < 2 && bit != i%8 {
					continue
				}
				b := bytes.Clone(files[name])
				b[i] ^= 1 << bit
				try(damage{name, fmt.Sprintf("with bit %d of byte %d flipped", bit, i), b, meta.ErrDamaged, true, i})
			}
		}
	}
}

func cuts(files, _ map[string][]byte, try func(damage)) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for n := range files[name] {
			try(damage{name, fmt.Sprintf("cut to %d bytes", n), files[name][:n:n], meta.ErrDamaged, false, n})
		}
	}
}

func wholes(files, other map[string][]byte, try func(damage)) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b := files[name]
		gone := meta.ErrNotFound
		if filepath.Base(name) == jobFile {
			gone = meta.ErrDamaged // missing beside a checkpoint
		}
		try(damage{name, "gone", nil, gone, false, 0})
		for _, more := range [][]byte{{0}, {0xff}, b, make([]byte, 4096)} {
			try(damage{name, fmt.Sprintf("longer by %d bytes", len(more)), slices.Concat(b, more), meta.ErrDamaged, false, 0})
		}
		try(damage{name, "all zeros", make([]byte, len(b)), meta.ErrDamaged, false, 0})
		for _, from := range slices.Sorted(maps.Keys(files)) {
			if from != name {
				try(damage{name, "with the content of " + from, files[from], meta.ErrDamaged, false, 0})
			}
			alone := from == name && len(files) == 2 // metadata that holds its pages is right in all it says
			if !alone && !bytes.Equal(other[from], b) {
				try(damage{name, "with the content of another run's " + from, other[from], meta.ErrDamaged, false, 0})
			}
		}
	}
}

// undetected says how the damage was missed, or taken for another.
func (d damage) undetected(t *testing.T, files map[string][]byte, want image) error {
	fsys := lay(t, with(files, d.name, d.b))
	if filepath.Base(d.name) == jobFile {
		dir, err := Open("/job", Options{FS: fsys})
		if err == nil {
			dir.Close()
		}
		return d.wants(err)
	}
	if err := d.wants(verifyAll(t, fsys)); err != nil {
		return fmt.Errorf("Verify: %w", err)
	}
	got, err := loadAll(fsys)
	if err != nil {
		return d.wants(err)
	}
	if what := diff(got, want); what != "" {
		return fmt.Errorf("restored wrong pages: %s", what)
	}
	return nil
}

// wants says what is wrong with an error that should tell of the damage. That of a flipped bit names its file, a place
// that is not after it and, in data files, the hashes.
func (d damage) wants(err error) error {
	if !errors.Is(err, d.want) {
		return fmt.Errorf("%w, want %w", err, d.want)
	}
	if !d.flip || filepath.Base(d.name) == jobFile {
		return nil
	}
	found, ok := errors.AsType[*meta.DamageError](err)
	if !ok || found.File != d.name || found.Offset > int64(d.at) || strings.HasSuffix(d.name, ".delta") && !found.HasSum {
		return fmt.Errorf("%w does not say where", err)
	}
	return nil
}
