package engine

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter"
)

// Backend is a policy of where the pages of checkpoints go. Working state is in mapped pages in any case, and any policy
// restores the checkpoints of any other: a job may change it with each start. The zero value is Mmap("").
//
// A job that has neither a directory of checkpoints nor one of data keeps incremental checkpoints in memory, whatever its
// policy says.
type Backend struct {
	Name    string // memory, filesystem or mmap; default mmap
	Dir     string // of data files, as in Checkpoints.DataDir; if there is no Checkpoints.Dir, the metadata goes there as well
	MaxSize int64  // of memory: bytes of pages in a checkpoint, at most 48 MiB; default 5 MiB

	// MemoryLimit bounds the bytes of state in memory, of all subtasks together; 0: no limit. State above it is read from
	// the newest checkpoint when it is needed. When all that is in memory has changed since, records wait for a checkpoint.
	// Each store may use 1 MiB in any case, and batches under way may go beyond the limit for a moment.
	MemoryLimit int64
}

// The names of the policies, as in the setting state.backend.
const (
	backendMemory     = "memory"
	backendFilesystem = "filesystem"
	backendMmap       = "mmap"
)

// defaultMaxSize is the default of Backend.MaxSize.
const defaultMaxSize = 5 << 20

// Memory puts all pages into each checkpoint's _metadata: one file that is complete by itself, for small state. A
// checkpoint of more than MaxSize bytes fails.
func Memory() Backend { return Backend{Name: backendMemory, MaxSize: defaultMaxSize} }

// Filesystem writes all pages to one data file for each checkpoint, in a directory; an empty one is that of the metadata.
func Filesystem(dir string) Backend { return Backend{Name: backendFilesystem, Dir: dir} }

// Mmap writes the lines that have changed since the checkpoint before to a data file, in a directory; an empty one is that
// of the metadata.
func Mmap(dir string) Backend { return Backend{Name: backendMmap, Dir: dir} }

// validate returns all faults, joined.
func (b Backend) validate() error {
	var found []error
	if backendNamed(b.Name) != nil && b.Name != "" {
		found = append(found, fmt.Errorf("state backend %w", backendNamed(b.Name)))
	}
	if b.MaxSize < 0 || b.MaxSize > meta.MaxEmbedded {
		found = append(found, fmt.Errorf("state backend %s, limit of %d bytes: want at most %d", backendMemory, b.MaxSize, meta.MaxEmbedded))
	}
	if b.MemoryLimit < 0 {
		found = append(found, fmt.Errorf("memory limit of %d bytes is negative", b.MemoryLimit))
	}
	return errors.Join(found...)
}

func backendNamed(name string) error {
	switch name {
	case backendMemory, backendFilesystem, backendMmap:
		return nil
	}
	return fmt.Errorf("%q is none of %s, %s, %s", name, backendMmap, backendFilesystem, backendMemory)
}

func setBackend(o *Options, v string) error {
	if err := backendNamed(v); err != nil {
		return err
	}
	o.Checkpoints.Backend.Name = v
	return nil
}

// dirs are the directories of metadata and of data, the second empty if it is the first.
func (c *Checkpoints) dirs() (dir, data string) {
	dir, data = c.Dir, orDefault(c.DataDir, c.Backend.Dir)
	if dir == "" {
		dir = c.Backend.Dir
	}
	if data == dir {
		data = ""
	}
	return dir, data
}

// policy says how the job's directory keeps pages.
func (c *Checkpoints) policy(o *snapshotter.Options) {
	switch c.Backend.Name {
	case backendMemory:
		o.Embed = c.Backend.MaxSize
	case backendFilesystem:
		o.Whole = true
	}
}

// hintSize says what to do about state that has grown out of its policy.
func hintSize(err error) error {
	if _, ok := errors.AsType[*snapshotter.SizeError](err); !ok {
		return err
	}
	return fmt.Errorf("%w: raise state.backend.memory.max-size, at most to 48 mb, or change state.backend to %s or %s",
		err, backendFilesystem, backendMmap)
}

var sizePattern = regexp.MustCompile(`^(\d+)\s*([a-z]*)$`)

var sizeUnits = map[string]int64{
	"": 1, "b": 1, "bytes": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "tib": 1 << 40,
}

// parseSize reads a number of bytes as Flink does: kb, mb and gb are powers of 1024.
func parseSize(v string) (int64, error) {
	bad := fmt.Errorf("%q: want a number of bytes with its unit, such as 512 kb, 5 mb or 2 gb", v)
	m := sizePattern.FindStringSubmatch(strings.ToLower(v))
	if m == nil {
		return 0, bad
	}
	unit, ok := sizeUnits[m[2]]
	n, err := strconv.ParseInt(m[1], 10, 64)
	if !ok || err != nil || n > math.MaxInt64/unit {
		return 0, bad
	}
	return n * unit, nil
}

func size(low, high int64, set func(*Options, int64)) func(*Options, string) error {
	return func(o *Options, v string) error {
		n, err := parseSize(v)
		if err != nil {
			return err
		}
		if n < low || n > high {
			return fmt.Errorf("%q: want %d to %d bytes", v, low, high)
		}
		set(o, n)
		return nil
	}
}
