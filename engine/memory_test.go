package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// wide is a value of which some thousands are several times the least limit.
type wide struct {
	N   int64
	Pad [59]int64
}

// wideJob counts the records of each key and tells the count with each.
func wideJob(in engine.Source[event], out engine.Sink[string], seen func(event)) *engine.Job {
	job := engine.NewJob("wide")
	src := engine.Map(engine.From(job, "in", in), func(e event) event { seen(e); return e })
	byKey := engine.KeyBy(src, func(e event) string { return e.Key })
	engine.To(engine.Process(byKey, "count", func(s *engine.Setup) engine.Func[string, event, string] {
		n := engine.NewCell[wide](s, "n")
		return func(ctx *engine.Context, key string, _ event, out engine.Out[string]) error {
			w := n.Ref(ctx)
			w.N++
			out.Emit(fmt.Sprint(key, " ", w.N))
			return nil
		}
	}), "out", out)
	return job
}

func wideInput(records, keys int) (all []event, want []string) {
	rnd := rand.New(rand.NewPCG(4, 5))
	count := map[string]int{}
	for i := range records {
		k := fmt.Sprint("key ", rnd.IntN(keys))
		count[k]++
		all = append(all, event{Key: k, N: int64(i)})
		want = append(want, fmt.Sprint(k, " ", count[k]))
	}
	slices.Sort(want)
	return all, want
}

// TestStateLargerThanItsLimit runs a job whose state is several times what it may keep in memory, crashes it, and resumes
// it at another parallelism. Without a memory limit nothing would ask for a checkpoint.
func TestStateLargerThanItsLimit(t *testing.T) {
	const limit = 2 << 20
	all, want := wideInput(24_000, 16_000)
	in, out := newFeed[event](2), newLog()
	for _, e := range all {
		s := int(e.Key[len(e.Key)-1]) % 2
		in.recs[s] = append(in.recs[s], e)
	}
	in.ended = true
	ctx, crash := context.WithCancelCause(t.Context())
	o := engine.Options{Parallelism: 2, MaxParallelism: 4,
		Checkpoints: engine.Checkpoints{Dir: t.TempDir(), Backend: engine.Backend{MemoryLimit: limit}}}
	var run atomic.Pointer[engine.Running]
	r, err := wideJob(in, out, func(e event) {
		if r := run.Load(); r != nil && e.N >= 8_000 && e.N%16 == 0 {
			if s := r.Stats(); s.MemoryWaits > 0 && s.Evictions > 0 && s.Completed >= 2 {
				crash(errors.New("crash"))
			}
		}
	}).Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	run.Store(r)
	if err := r.Wait(); err == nil || r.Outcome().State != engine.Crashed {
		s := r.Stats()
		t.Fatalf("the job ended with %v as %s after %d waits, %d evictions, %d checkpoints", err, r.Outcome().State, s.MemoryWaits, s.Evictions, s.Completed)
	}
	o.Parallelism, o.Restore = 1, engine.Resume()
	r = start(t, wideJob(in, out, func(event) {}), o)
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	equal(t, out.rows(), want)
	s := r.Stats()
	if s.Pages*meta.PageSize < 3*limit || s.Resident*meta.PageSize > 3*limit/2 {
		t.Errorf("%d pages, %d of them in memory: want more than %d bytes and not much more than %d", s.Pages, s.Resident, 3*limit, limit)
	}
	if s.Evictions == 0 || s.MemoryWaits == 0 || s.MemoryWaited == 0 {
		t.Errorf("%d evictions, waited %d times for %s", s.Evictions, s.MemoryWaits, s.MemoryWaited)
	}
}

// TestMemoryLimitWhileStorageFails has some checkpoints fail: nothing is lost, and a source beside the state reads one batch
// more at most before the next one is durable.
func TestMemoryLimitWhileStorageFails(t *testing.T) {
	all, want := wideInput(10_000, 10_000)
	for _, parallelism := range []int{1, 2} {
		t.Run(fmt.Sprint(parallelism), func(t *testing.T) {
			disk := vfs.NewFault(vfs.NewMem())
			out, n, failed := newLog(), 0, int64(-1)
			var run atomic.Pointer[engine.Running]
			o := engine.Options{Parallelism: parallelism, MaxParallelism: 2, Restore: engine.Resume(),
				Checkpoints: engine.Checkpoints{Dir: "state", Tolerable: 5, Backend: engine.Backend{MemoryLimit: 1 << 20}}.On(disk)}
			o.Hooks.Checkpoint = func(engine.Checkpoint) {
				if n++; n < 4 {
					disk.Fail(1, isDelta, vfs.Failure{Err: errors.New("storage failed")})
				}
				if r := run.Load(); r != nil && failed >= 0 {
					if read := r.Stats().RecordsIn; parallelism == 1 && read > failed+2048 {
						t.Errorf("%d records were read when a checkpoint had failed, %d when the next was durable", failed, read)
					}
				}
				failed = -1
			}
			o.Hooks.CheckpointFailed = func(meta.CheckpointID, error) {
				if r := run.Load(); r != nil {
					failed = r.Stats().RecordsIn
				}
			}
			r := start(t, wideJob(engine.SliceSource(all...), out, func(event) {}), o)
			run.Store(r)
			if err := r.Wait(); err != nil {
				t.Fatal(err)
			}
			equal(t, out.rows(), want)
			if s := r.Stats(); s.Failed == 0 || s.MemoryWaits == 0 {
				t.Errorf("%d checkpoints failed, %d waits, want some", s.Failed, s.MemoryWaits)
			}
		})
	}
}

func isDelta(c vfs.Call) bool { return c.Op == "create" && strings.HasSuffix(c.Name, ".delta") }

// TestMemoryShares gives a store that has most of the state most of the memory.
func TestMemoryShares(t *testing.T) {
	for _, tt := range []struct{ limit, pages, total, want int64 }{
		{10 << 20, 100, 200, 10 << 20},               // all fits
		{10 << 20, 4096, 5120, 8 << 20},              // in proportion
		{10 << 20, 1, 5120, 1 << 20},                 // the least
		{1 << 40, 1 << 31, 1 << 32, 1 << 39},         // large
		{1 << 30, 0, 1 << 20, 1 << 20}, {5, 0, 0, 5}, // nothing yet
	} {
		if got := engine.MemoryShare(tt.limit, tt.pages, tt.total, 1<<20); got != tt.want {
			t.Errorf("of %d bytes for %d of %d pages: %d, want %d", tt.limit, tt.pages, tt.total, got, tt.want)
		}
	}
}
