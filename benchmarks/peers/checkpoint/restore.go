package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// restore times what a job waits for after a crash, at one size of state: the first record through the engine, single
// keys that are not in memory yet, and all of it.
func (b *bench) restore(label string) {
	size, ok := b.parse("restore", label, 3072)
	if !ok {
		return
	}
	folder, remove := b.space("restore")
	defer remove()
	records := size / 512
	path := build(folder, records)
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	check(err)
	r := result.Restore{Label: label, StateBytes: cp.Sizes().Live}
	check(cp.Close())
	b.progress("restore %s: built with %d keys", label, records)

	for range b.rounds {
		r.Cold = dropCaches()
		r.FirstRounds = append(r.FirstRounds, ms(firstRecord(folder, records)))
		debug.FreeOSMemory()
	}
	r.FirstRecord = median(r.FirstRounds)

	dropCaches()
	r.Disk = readAll(folder).Seconds()
	keys := coldKeys(path, records) // the files are in the system's cache now, as after the crash of a process
	r.ColdKeyP50, r.ColdKeyP99 = us(quantile(keys, 0.5)), us(quantile(keys, 0.99))
	debug.FreeOSMemory()
	dropCaches()
	keys = coldKeys(path, records) // as after that of a machine
	r.ColdFileP50, r.ColdFileP99 = us(quantile(keys, 0.5)), us(quantile(keys, 0.99))
	debug.FreeOSMemory()

	dropCaches()
	r.Full = everything(path).Seconds()
	debug.FreeOSMemory()
	b.run.Restores = append(b.run.Restores, r)
	b.progress("restore %s: first record after %.1f ms, cold key p99 %.0f us, %.0f with cold files, all in %.2f s, the disk reads it in %.2f s, cold %v",
		label, r.FirstRecord, r.ColdKeyP99, r.ColdFileP99, r.Full, r.Disk, r.Cold)
	b.result("restore.first_record."+label, r.FirstRecord, "ms")
	if label == "1GiB" {
		b.result("restore.cold_key.p99", r.ColdKeyP99, "us")
		b.result("restore.cold_key.cold_files.p99", r.ColdFileP99, "us")
		b.result("restore.full.ratio_to_disk", r.Disk/r.Full, "x")
	}
}

// build runs a job that counts that many keys once and stops; it returns the path of its checkpoint.
func build(folder string, records int64) string {
	job, _ := counting(records)
	running, err := job.Start(context.Background(), options(folder))
	check(err)
	for running.Stats().RecordsIn < records {
		time.Sleep(10 * time.Millisecond) // of a program that measures nothing now
	}
	cp, err := running.Stop(context.Background())
	check(err)
	return cp.Path
}

// firstRecord is the time from the start of the job to its first record. The run is given up then, like a crash.
func firstRecord(folder string, records int64) time.Duration {
	ctx, crash := context.WithCancel(context.Background())
	job, seen := counting(2 * records)
	o := options(folder)
	o.Restore = engine.Resume()
	start := time.Now()
	running, err := job.Start(ctx, o)
	check(err)
	took := (<-seen).Sub(start)
	crash()
	<-running.Done()
	return took
}

func options(folder string) engine.Options {
	return engine.Options{Checkpoints: engine.Checkpoints{Dir: folder}}
}

// counting is a job that counts its records by their numbers, in cells that are wide. seen has room for the time of the
// first record, and the source does not end.
func counting(records int64) (job *engine.Job, seen chan time.Time) {
	seen = make(chan time.Time, 1)
	job = engine.NewJob("counting")
	in := engine.From[uint64](job, "numbers", numbers(records))
	counts := engine.Process(engine.KeyBy(in, func(n uint64) uint64 { return n % uint64(records) }), "count",
		func(s *engine.Setup) engine.Func[uint64, uint64, uint64] {
			cell, first := engine.NewCell[wide](s, "n"), true
			return func(ctx *engine.Context, _ uint64, n uint64, out engine.Out[uint64]) error {
				cell.Ref(ctx)[0]++
				if first {
					first = false
					select {
					case seen <- time.Now():
					default:
					}
				}
				return nil
			}
		})
	engine.To(counts, "out", engine.SinkFunc(func(context.Context, []uint64) error { return nil }))
	return job, seen
}

// numbers is a source of so many numbers, which then waits.
type numbers int64

func (numbers) Splits(context.Context) ([]engine.Split, bool, error) {
	return []engine.Split{{ID: "all"}}, true, nil
}

func (n numbers) Open(_ context.Context, _ engine.Split, from engine.Position) (engine.Reader[uint64], error) {
	at, err := strconv.ParseInt("0"+string(from), 10, 64)
	return &reader{at: at, end: int64(n)}, err
}

type reader struct{ at, end int64 }

func (r *reader) Read(ctx context.Context, b *engine.Batch[uint64]) error {
	if r.at == r.end {
		<-ctx.Done()
		return nil
	}
	for r.at < r.end {
		rec := b.Next()
		if rec == nil {
			break
		}
		*rec = uint64(r.at)
		r.at++
	}
	return nil
}

func (r *reader) Position() engine.Position { return engine.Position(strconv.FormatInt(r.at, 10)) }
func (r *reader) Close() error              { return nil }

// coldKeys times lookups of random keys, each of which has to load its page group or finds it by luck.
func coldKeys(path string, records int64) (took []time.Duration) {
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	check(err)
	defer cp.Close()
	store, err := mmapstate.Open(mmapstate.Options{Operator: cp.Meta.Operators[0].No, Lazy: true}, cp)
	check(err)
	defer store.Close()
	counts, err := mmapstate.NewCellMap[uint64, wide](store, "n")
	check(err)
	random := rand.New(rand.NewPCG(3, 4))
	for loads := store.Stats().Loads; len(took) < 2000; {
		k := random.Uint64N(uint64(records))
		start := time.Now()
		v, ok := counts.Get(k)
		spent := time.Since(start)
		if !ok || v[0] == 0 {
			check(fmt.Errorf("key %d is lost", k))
		}
		now := store.Stats().Loads
		if now == loads && len(took) > 0 {
			if store.Stats().Resident > store.Stats().Pages/2 {
				return took // little is left that is cold
			}
			continue
		}
		loads = now
		took = append(took, spent)
	}
	return took
}

// everything opens the state with every page loaded and checked.
func everything(path string) time.Duration {
	start := time.Now()
	cp, err := snapshotter.Load(path, snapshotter.LoadOptions{})
	check(err)
	defer cp.Close()
	store, err := mmapstate.Open(mmapstate.Options{Operator: cp.Meta.Operators[0].No}, cp)
	check(err)
	took := time.Since(start)
	check(store.Close())
	return took
}

// readAll reads the data files from end to end.
func readAll(folder string) time.Duration {
	files, err := filepath.Glob(filepath.Join(folder, "counting", "*.delta"))
	check(err)
	buf := make([]byte, 1<<20)
	start := time.Now()
	for _, name := range files {
		f, err := os.Open(name)
		check(err)
		for err == nil {
			_, err = f.Read(buf)
		}
		if err != io.EOF {
			check(err)
		}
		check(f.Close())
	}
	return time.Since(start)
}

// dropCaches empties the system's cache of files, if it may.
func dropCaches() bool {
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) == nil
}
