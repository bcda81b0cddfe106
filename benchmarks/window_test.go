package benchmarks

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// BenchmarkWindowKinds aggregates, or lists, 100 k records to the second of event time in windows of about 100 records.
func BenchmarkWindowKinds(b *testing.B) {
	second := engine.Tumbling(100 * time.Millisecond)
	counted := func(w engine.Windowed[uint64, click]) engine.Stream[int64] {
		return engine.Aggregate(w, "windows", counting{})
	}
	listed := func(w engine.Windowed[uint64, click]) engine.Stream[int64] {
		return engine.ProcessWindow(w, "windows", func(_ *engine.Context, _ uint64, _ engine.Span, recs iter.Seq[click], out engine.Out[int64]) error {
			n := int64(0)
			for range recs {
				n++
			}
			out.Emit(n)
			return nil
		})
	}
	for _, tt := range []struct {
		name   string
		assign engine.Assigner
		build  func(engine.Windowed[uint64, click]) engine.Stream[int64]
		opts   []engine.WindowOption
	}{
		{"tumbling", second, counted, nil},
		{"tumbling/late", second, counted, []engine.WindowOption{engine.AllowedLateness(time.Second)}},
		{"tumbling/early", second, counted, []engine.WindowOption{engine.FireEvery(time.Second)}},
		{"tumbling/clock", engine.Tumbling(10 * time.Millisecond).InProcessingTime(), counted, nil},
		{"tumbling/list", second, listed, nil},
		{"sliding/list", engine.Sliding(100*time.Millisecond, 50*time.Millisecond), listed, nil},
		{"session", engine.Session(50 * time.Millisecond), counted, nil},
		{"session/by", engine.SessionBy(func(click) time.Duration { return 50 * time.Millisecond }), counted, nil},
		{"session/list", engine.Session(50 * time.Millisecond), listed, nil},
		{"count", engine.Count(100), counted, nil},
	} {
		b.Run(strings.ReplaceAll(tt.name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			job := engine.NewJob("windows")
			src := engine.From(job, "clicks", clicks(int64(b.N), 100), engine.EventTime(
				func(c click) time.Time { return time.Unix(0, int64(c.At)*1e4) }, engine.OutOfOrder(0)))
			w := engine.Window(engine.KeyBy(src, func(c click) uint64 { return c.User }), tt.assign, tt.opts...)
			engine.To(tt.build(w), "out", engine.SinkFunc(func(context.Context, []int64) error { return nil }))
			if err := job.Run(b.Context(), engine.Options{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
