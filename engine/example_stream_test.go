package engine_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Print is the sink of the examples: it prints every record.
func Print[T any]() engine.Sink[T] {
	return engine.SinkFunc(func(_ context.Context, batch []T) error {
		for _, v := range batch {
			fmt.Println(v)
		}
		return nil
	})
}

func ExampleFrom() {
	job := engine.NewJob("squares")
	numbers := engine.From(job, "numbers", engine.SliceSource(1, 2, 3, 4))
	even := engine.Filter(numbers, func(n int) bool { return n%2 == 0 })
	squares := engine.Map(even, func(n int) string { return fmt.Sprint(n, " squared is ", n*n) })
	engine.To(squares, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 2 squared is 4
	// 4 squared is 16
}

func ExampleFlatMap() {
	job := engine.NewJob("words")
	lines := engine.From(job, "lines", engine.SliceSource("to be or", "not to be"))
	words := engine.FlatMap(lines, func(line string, out engine.Out[string]) error {
		for _, w := range strings.Fields(line) {
			out.Emit(w)
		}
		return nil
	})
	engine.To(words, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// to
	// be
	// or
	// not
	// to
	// be
}

// Mistakes in the graph are returned together, with their places.
func ExampleJob_Start_mistakes() {
	job := engine.NewJob("careless")
	words := engine.From(job, "words", engine.SliceSource("a"))
	engine.Process(engine.KeyBy(words, strings.ToLower), "last", func(s *engine.Setup) engine.Func[string, string, string] {
		engine.NewCell[string](s, "last")
		return nil
	})
	_, err := job.Start(context.Background(), engine.Options{})
	for line := range strings.Lines(err.Error()) {
		_, what, _ := strings.Cut(line, ": ")
		fmt.Println(strings.TrimSpace(what))
	}
	// Output:
	// process "last": cell "last": string is a string, which is not flat: state in pages holds no pointers
	// the stream of process "last" is not used
}

type reading struct {
	Sensor string
	At     time.Time
	Value  int64
}

func (r reading) When() time.Time { return r.At }

func at(minute int) time.Time { return time.Date(2026, 1, 1, 12, minute, 0, 0, time.UTC) }

type mean struct{}
type meanAcc struct{ N, Sum int64 }

func (mean) Add(a *meanAcc, r reading)         { a.N++; a.Sum += r.Value }
func (mean) Merge(into *meanAcc, from meanAcc) { into.N += from.N; into.Sum += from.Sum }
func (mean) Result(sensor string, w engine.Span, a meanAcc) string {
	return fmt.Sprintf("%s from %s: mean %d of %d", sensor, w.Start.UTC().Format("15:04"), a.Sum/a.N, a.N)
}

// Every minute, how many visits the last three have had.
func ExampleSliding() {
	job := engine.NewJob("visits")
	visits := engine.From(job, "visits", engine.SliceSource(0, 1, 1, 5), engine.EventTime(
		func(minute int) time.Time { return time.Date(2026, 1, 1, 12, minute, 30, 0, time.UTC) }, engine.OutOfOrder(0)))
	all := engine.KeyBy(visits, func(int) string { return "all" })
	counts := engine.Aggregate(engine.Window(all, engine.Sliding(3*time.Minute, time.Minute)), "count", visitCount{})
	engine.To(counts, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 12:01 1
	// 12:02 3
	// 12:03 3
	// 12:04 2
	// 12:06 1
	// 12:07 1
	// 12:08 1
}

type visitCount struct{}

func (visitCount) Add(n *int64, _ int)           { *n++ }
func (visitCount) Merge(into *int64, from int64) { *into += from }
func (visitCount) Result(_ string, w engine.Span, n int64) string {
	return fmt.Sprint(w.End.UTC().Format("15:04"), " ", n)
}

// Windows of ten minutes, and the records that come too late for theirs.
func ExampleWindow() {
	job := engine.NewJob("means")
	source := engine.SliceSource(
		reading{"a", at(1), 10}, reading{"a", at(4), 20}, reading{"b", at(3), 7},
		reading{"a", at(11), 40}, reading{"a", at(9), 30}, // out of order, but in time
		reading{"b", at(50), 8},
	)
	readings := engine.From(job, "readings", source, engine.EventTime(reading.When, engine.OutOfOrder(5*time.Minute)))
	bySensor := engine.KeyBy(readings, func(r reading) string { return r.Sensor })
	windows := engine.Window(bySensor, engine.Tumbling(10*time.Minute))
	engine.To(engine.Aggregate(windows, "means", mean{}), "out", Print[string]())
	engine.To(windows.Late(), "late", Print[reading]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// a from 12:00: mean 20 of 3
	// b from 12:00: mean 7 of 1
	// a from 12:10: mean 40 of 1
	// b from 12:50: mean 8 of 1
}

func ExampleTime() {
	t := engine.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	fmt.Println(t.Add(90 * time.Minute))
	fmt.Println(t.Add(time.Hour).Sub(t))
	fmt.Println(engine.Span{Start: t, End: t.Add(time.Hour)})
	fmt.Println(engine.TimeOf(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), engine.MinTime)
	fmt.Println(t.UTC().Format(time.DateOnly))
	// Output:
	// 2026-01-01T01:30:00Z
	// 1h0m0s
	// [2026-01-01T00:00:00Z, 2026-01-01T01:00:00Z)
	// max min
	// 2026-01-01
}
