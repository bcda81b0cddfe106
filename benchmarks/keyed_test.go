package benchmarks

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

type click struct {
	User uint64
	At   engine.Time
}

func clicks(n, users int64) engine.Source[click] {
	return generate(n, func(i int64) click { return click{scramble(i) % uint64(users), engine.Time(i)} })
}

// countGraph counts per key in a cell and emits nothing until a count passes a mark that none reaches.
func countGraph(job *engine.Job, in engine.Source[click]) {
	src := engine.From(job, "clicks", in)
	counts := engine.Process(engine.KeyBy(src, func(c click) uint64 { return c.User }), "count",
		func(s *engine.Setup) engine.Func[uint64, click, uint64] {
			n := engine.NewCell[int64](s, "n")
			return func(ctx *engine.Context, user uint64, c click, out engine.Out[uint64]) error {
				p := n.Ref(ctx)
				if *p++; *p < 0 {
					out.Emit(user)
				}
				return nil
			}
		})
	engine.To(counts, "out", engine.SinkFunc(func(context.Context, []uint64) error { return nil }))
}

func runCount(tb testing.TB, records, users int64, o engine.Options) {
	job := engine.NewJob("count")
	countGraph(job, clicks(records, users))
	if err := job.Run(tb.Context(), o); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkKeyedCount counts records per key; an op is a record. A bare loop over a Go map stands beside it.
func BenchmarkKeyedCount(b *testing.B) {
	for _, users := range []int64{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d/engine", users), func(b *testing.B) {
			b.ReportAllocs()
			runCount(b, int64(b.N), users, engine.Options{})
		})
		b.Run(fmt.Sprintf("keys=%d/engine-checkpoints", users), func(b *testing.B) {
			b.ReportAllocs()
			runCount(b, int64(b.N), users, engine.Options{Checkpoints: engine.Checkpoints{Dir: b.TempDir(), Interval: time.Second}})
		})
		b.Run(fmt.Sprintf("keys=%d/gomap", users), func(b *testing.B) {
			m := map[uint64]int64{}
			for i := range int64(b.N) {
				m[scramble(i)%uint64(users)]++
			}
		})
	}
}

// BenchmarkWindowedCount aggregates into tumbling windows of a second, with 1000 records to the second.
func BenchmarkWindowedCount(b *testing.B) {
	b.ReportAllocs()
	job := engine.NewJob("windows")
	src := engine.From(job, "clicks", clicks(int64(b.N), 100), engine.EventTime(
		func(c click) time.Time { return time.Unix(0, int64(c.At)*1e6) }, engine.OutOfOrder(0)))
	byUser := engine.KeyBy(src, func(c click) uint64 { return c.User })
	sums := engine.Aggregate(engine.Window(byUser, engine.Tumbling(time.Second)), "count", counting{})
	engine.To(sums, "out", engine.SinkFunc(func(context.Context, []int64) error { return nil }))
	if err := job.Run(b.Context(), engine.Options{}); err != nil {
		b.Fatal(err)
	}
}

type counting struct{}

func (counting) Add(acc *int64, _ click)                         { *acc++ }
func (counting) Merge(into *int64, from int64)                   { *into += from }
func (counting) Result(_ uint64, _ engine.Span, acc int64) int64 { return acc }

// TestKeyedPathAllocatesNothing compares the allocations of a short and a long run over the same keys: the records
// between them are in steady state.
func TestKeyedPathAllocatesNothing(t *testing.T) {
	const users, short, long = 1_000, 100_000, 1_100_000
	for _, parallelism := range []int{1, 2} {
		allocs := func(records int64) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			runCount(t, records, users, engine.Options{Parallelism: parallelism})
			runtime.ReadMemStats(&after)
			return after.Mallocs - before.Mallocs
		}
		allocs(short) // what is made once per process
		a, b := allocs(short), allocs(long)
		perRecord := (float64(b) - float64(a)) / (long - short)
		t.Logf("parallelism %d: %.6f allocations per record", parallelism, perRecord)
		if perRecord > 0.008 { // two for each batch of 256: the text of its position
			t.Errorf("parallelism %d: %.6f allocations per record, want none", parallelism, perRecord)
		}
	}
}

// BenchmarkSlidingCount is BenchmarkWindowedCount with windows of 10 s that slide by 100 ms, and 100 k records to the second.
func BenchmarkSlidingCount(b *testing.B) {
	for _, w := range []engine.Assigner{engine.Tumbling(10 * time.Second), engine.Sliding(10*time.Second, 100*time.Millisecond)} {
		b.Run(strings.ReplaceAll(w.String(), " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			job := engine.NewJob("windows")
			src := engine.From(job, "clicks", clicks(int64(b.N), 100), engine.EventTime(
				func(c click) time.Time { return time.Unix(0, int64(c.At)*1e4) }, engine.OutOfOrder(0)))
			byUser := engine.KeyBy(src, func(c click) uint64 { return c.User })
			engine.To(engine.Aggregate(engine.Window(byUser, w), "count", counting{}), "out",
				engine.SinkFunc(func(context.Context, []int64) error { return nil }))
			if err := job.Run(b.Context(), engine.Options{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
