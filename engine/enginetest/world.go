package enginetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// world is where a job lives, is killed, and lives again.
type world struct {
	plan
	rnd   *rand.Rand // of the driver: never used by two goroutines at a time
	disk  *vfs.Mem   // between two lives
	graph func(*engine.Job)
	trace strings.Builder
	sum   Report

	comeback *comeback // nil: from the job's own checkpoints
	badLives int       // that have met a place of the disk that could not be read

	dir      string // of checkpoints
	home     int    // tells the job's directories apart
	outputs  map[output]bool
	history  history
	branches int                        // so far
	own      map[meta.CheckpointID]bool // completed on the present branch, as far as it is known
	kept     []past                     // savepoints
}

func newWorld(p plan, graph func(*engine.Job)) *world {
	w := &world{plan: p, rnd: rand.New(rand.NewPCG(p.seed, 0)), disk: vfs.NewMem(), graph: graph, dir: dir, outputs: map[output]bool{}}
	w.branchOff(nil)
	return w
}

func (w *world) report() Report {
	r := w.sum
	r.Trace = w.trace.String()
	r.Hash = xxhash.Sum64String(r.Trace)
	return r
}

func (w *world) tell(format string, args ...any) {
	fmt.Fprintf(&w.trace, format, args...)
	w.trace.WriteByte('\n')
}

// manyLives is more than any job needs that survives what is done to it.
const manyLives = 200

// run is one life after the other until the job has finished.
func (w *world) run() error {
	for range manyLives {
		l := w.begin()
		if err := l.drive(); err != nil {
			return err
		}
		w.disk = l.left()
		if c := w.comeback; c != nil && c.after(l.outcome.Err) {
			w.comeback = nil
		}
		if at := l.outcome.Savepoint; at != "" && !l.killed {
			w.stopped(at)
		}
		finished := l.outcome.State == engine.Finished
		if finished && !l.killed && !l.broken && l.outcome.Err == nil { // else it may not have tidied up: its output is complete
			if err := w.clean(); err != nil {
				return err
			}
		}
		if !w.putBack() && finished {
			return nil
		}
	}
	return fmt.Errorf("the job has not finished in %d lives", manyLives)
}

const (
	dir      = "enginetest" // at first
	jobName  = "enginetest"
	longTime = 1000 * time.Hour
)

// options are those of the next life.
func (w *world) options() engine.Options {
	pick := func(n ...int) int { return n[w.rnd.IntN(len(n))] }
	memory := engine.Memory()
	memory.MaxSize = meta.MaxEmbedded // no job shall fail for its size
	backends := []engine.Backend{engine.Mmap(""), engine.Mmap(""), engine.Filesystem(""), memory}
	o := engine.Options{
		Parallelism:     pick(1, 2, 3, 4),
		MaxParallelism:  pick(0, 0, 0, 4, 7, 200),
		Restore:         w.restore(),
		Restart:         engine.Restart{InitialDelay: time.Millisecond, MaxDelay: time.Second, Jitter: -1},
		ShutdownTimeout: longTime,
		Checkpoints: engine.Checkpoints{
			Dir:       w.dir,
			Backend:   backends[w.rnd.IntN(len(backends))],
			Interval:  time.Duration(pick(0, 1, 10, 100, 1000)) * 10 * time.Microsecond,
			MinPause:  time.Duration(pick(0, 0, 1, 100)) * 10 * time.Microsecond,
			Timeout:   time.Duration(pick(1, 10, 1_000_000, 1_000_000, 1_000_000)) * time.Millisecond,
			Retained:  pick(1, 2),
			Tolerable: 1_000_000,
			Retention: engine.RetainOnCancellation,
		},
	}
	if w.rnd.IntN(3) == 0 { // of memory
		o.Checkpoints.Backend.MemoryLimit = int64(pick(16, 64, 256)) << 10
		o.Checkpoints.Timeout = longTime // records wait for checkpoints
	}
	if w.rnd.IntN(4) == 0 {
		o.Restore.Verify = engine.VerifyEager
	}
	return o
}

// path is the job's directory.
func (w *world) path() string { return path.Join(w.dir, jobName) }

// clean says that a job that has finished has left nothing behind.
func (w *world) clean() error {
	names, err := w.disk.List(w.path())
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "chk-") || strings.HasSuffix(name, ".delta") {
			return fmt.Errorf("the job has finished and left %s", strings.Join(names, ", "))
		}
	}
	return nil
}

// errInjected is behind everything that the world has made fail.
var errInjected = errors.New("simulated failure")

var (
	errPower = fmt.Errorf("%w: no power", errInjected)
	errDisk  = fmt.Errorf("%w of storage", errInjected)
)
